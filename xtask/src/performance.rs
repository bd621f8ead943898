//! docs/performance.md: what `cargo bench --bench peers` has measured is put there, and `cargo verify instructions` compares
//! what it says of the hot calls' instructions. Callgrind counts the same every time, so that a call that has become dearer shows at once.

use crate::profile::dearest;
use crate::{generated, tools};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// Of gungraun and its runner; benches/Cargo.toml has the same.
const VERSION: &str = "0.18.2";
const DOCUMENT: &str = "docs/performance.md";
/// A call is made so often in each benchmark.
const CALLS: u64 = 100;
/// In a hundred.
const MOST: f64 = 3.0;

#[derive(Deserialize)]
struct Summary {
    function_name: String,
    profiles: Vec<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    summaries: Summaries,
}

#[derive(Deserialize)]
struct Summaries {
    total: Total,
}

#[derive(Deserialize)]
struct Total {
    summary: serde_json::Value,
}

/// Whether every call costs what the document says, within three in a hundred. With `write` the document says it
/// afterwards.
pub fn run(root: &Path, write: bool) -> bool {
    let Some(counts) = count(root) else {
        return false;
    };
    let table = table(&counts);
    println!("\n{table}");
    let document = root.join(DOCUMENT);
    if write {
        let profiles = profiles(root, &counts);
        return generated::check(&document, "instructions", &table, true)
            && generated::check(&document, "profile", &profiles, true);
    }
    let known = parse(&generated::read(&document, "instructions").unwrap_or_default());
    let wrong = differences(&known, &counts);
    for line in &wrong {
        eprintln!("{line}");
    }
    if known.is_empty() {
        eprintln!("{DOCUMENT} has no counts; `cargo verify instructions --write` writes them");
    }
    wrong.is_empty() && !known.is_empty()
}

/// Copies what the last `cargo bench --bench peers` has written for it into the document.
pub fn copy_peers(root: &Path) -> bool {
    let Ok(peers) = std::fs::read_to_string(root.join("target/peers.md")) else {
        eprintln!("there is no target/peers.md: `cargo bench --bench peers` writes it");
        return false;
    };
    generated::check(&root.join(DOCUMENT), "peers", &peers, true)
}

/// Instructions for each call.
type Counts = BTreeMap<String, f64>;

fn count(root: &Path) -> Option<Counts> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("valgrind is needed to count instructions");
        return None;
    }
    let runner = tools::install(root, "gungraun-runner", VERSION)?;
    let output = Command::new(env!("CARGO"))
        .current_dir(root)
        .env("GUNGRAUN_RUNNER", runner)
        // For the profile: which file an instruction is of.
        .env("CARGO_PROFILE_BENCH_DEBUG", "line-tables-only")
        .args(["bench", "--quiet", "--package", "job-registry-benches"])
        .args(["--features", "instructions", "--bench", "instructions"])
        .args(["--", "--output-format=json"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .ok()?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stdout));
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let counts: Option<Counts> = text.lines().map(parse_summary).collect();
    if counts.is_none() {
        eprintln!("gungraun {VERSION} prints something else than was expected:\n{text}");
    }
    counts
}

fn parse_summary(line: &str) -> Option<(String, f64)> {
    let summary: Summary = serde_json::from_str(line).ok()?;
    let total = &summary.profiles.first()?.summaries.total.summary;
    let metrics = &total["Callgrind"]["Ir"]["metrics"];
    // `Both` has this run and the last.
    let new = metrics
        .get("Left")
        .or_else(|| metrics.get("Both")?.get(0))?;
    let count = new["Int"].as_u64()?;
    #[allow(clippy::cast_precision_loss)] // far below what that loses
    let each = count as f64 / CALLS as f64;
    Some((summary.function_name, each))
}

fn table(counts: &Counts) -> String {
    let mut table = "| call | instructions |\n|---|---:|\n".to_owned();
    for (name, count) in counts {
        let _ = writeln!(table, "| `{name}` | {count:.0} |");
    }
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map_or_else(
        |_| String::new(),
        |it| String::from_utf8_lossy(&it.stdout).into_owned(),
    );
    table + "\nBy " + rustc.trim() + ".\n"
}

/// Where the instructions are spent.
fn profiles(root: &Path, counts: &Counts) -> String {
    let mut table = "| call | instructions |\n|---|---|\n".to_owned();
    let folder = root.join("target/gungraun/job-registry-benches/instructions/calls");
    for name in counts.keys() {
        let out = folder.join(name).join(format!("callgrind.{name}.out"));
        let out = std::fs::read_to_string(&out).unwrap_or_default();
        let dearest = dearest(&out, CALLS);
        let _ = writeln!(table, "| `{name}` | {dearest} |");
    }
    table
}

fn parse(table: &str) -> Counts {
    let row = |line: &str| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        Some((name.to_owned(), cells.next()?.parse().ok()?))
    };
    table.lines().filter_map(row).collect()
}

/// Calls that have come, gone, or changed by more than `MOST`.
fn differences(known: &Counts, counts: &Counts) -> Vec<String> {
    let changed = counts.iter().filter_map(|(name, &now)| {
        let Some(&then) = known.get(name) else {
            return Some(format!("{name}: {now:.0} instructions, and none are known"));
        };
        let change = (now - then) / then * 100.0;
        (change.abs() > MOST).then(|| {
            format!("{name}: {now:.0} instructions, {change:+.1} % of the {then:.0} that are known")
        })
    });
    let gone = known.keys().filter(|name| !counts.contains_key(*name));
    changed
        .chain(gone.map(|name| format!("{name}: is not counted any more")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Counts, differences, parse, table};

    fn counts(pairs: &[(&str, f64)]) -> Counts {
        pairs
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let known = counts(&[("advance", 140.0), ("get", 369.0)]);
        assert_eq!(parse(&table(&known)), known);
    }

    #[test]
    fn more_than_three_in_a_hundred_is_told() {
        let known = counts(&[("advance", 100.0)]);
        assert!(differences(&known, &counts(&[("advance", 103.0)])).is_empty());
        assert_eq!(differences(&known, &counts(&[("advance", 104.0)])).len(), 1);
        assert_eq!(differences(&known, &counts(&[("advance", 96.0)])).len(), 1);
    }

    #[test]
    fn what_has_come_or_gone_is_told() {
        let known = counts(&[("advance", 100.0)]);
        assert_eq!(differences(&known, &counts(&[("get", 100.0)])).len(), 2);
    }
}
