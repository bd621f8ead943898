//! cargo-mutants: what it is called with, and the lists that it leaves.

use super::{Names, Outcomes};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Failures are not shrunk, not kept and not traced, and the histories are the same for every mutant.
const ENV: &[(&str, &str)] = &[
    ("RUST_BACKTRACE", "0"),
    ("PROPTEST_MAX_SHRINK_ITERS", "0"),
    ("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1"),
    ("PROPTEST_RNG_SEED", "1"),
];

/// The tool's lists, with line and column. What stands in the first three need not be tried again.
const LISTS: [&str; 4] = ["caught.txt", "timeout.txt", "unviable.txt", "missed.txt"];

/// How the second round goes, and the third.
const SUITES: &str = ".cargo/mutants-suites.toml";
const HISTORIES: &str = ".cargo/mutants-histories.toml";

/// Of each list, what an earlier run has written.
pub(super) type Known = [String; LISTS.len()];

/// What tells a mutant from the library.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    /// A few histories, which are built and run soonest: most mutants die of them.
    First,
    /// The other suites.
    Suites,
    /// More histories.
    Histories,
    /// Models, under a checker.
    Models(&'static str, &'a [&'a str]),
}

impl By<'_> {
    /// Below `target/mutants`.
    fn folder(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Suites => "suites",
            Self::Histories => "histories",
            Self::Models(checker, _) => checker,
        }
    }

    /// How often a property is tried.
    fn cases(self) -> &'static str {
        match self {
            Self::First => "10",
            _ => "40",
        }
    }
}

/// What the last run has noticed. `None` if the library has changed since: lines and columns would name other mutants.
pub(super) fn known(root: &Path, by: By<'_>) -> Option<Known> {
    let lists = root.join("target/mutants").join(by.folder());
    let known = LISTS.map(|list| match list {
        "missed.txt" => String::new(),
        _ => fs::read_to_string(lists.join(list)).unwrap_or_default(),
    });
    let mut cargo = tool(root);
    cargo.args(["--list", "--package", "job-registry"]);
    // The second round's, which excludes the least.
    let output = cargo.args(["--config", SUITES]).output();
    let present = String::from_utf8(output.ok()?.stdout).ok()?;
    let present: BTreeSet<_> = present.lines().collect();
    let stale = known
        .iter()
        .flat_map(|list| list.lines())
        .find(|name| !present.contains(name));
    match stale {
        None => Some(known),
        Some(name) => {
            eprintln!("the library has changed since the last run, try all of them: {name}");
            None
        }
    }
}

fn tool(root: &Path) -> Command {
    let mut cargo = Command::new(root.join("target/tools/bin/cargo-mutants"));
    cargo
        .current_dir(root)
        .arg("mutants")
        // Builds must not share one target directory.
        .env_remove("CARGO_TARGET_DIR")
        .envs(ENV.iter().copied());
    cargo
}

/// Runs the mutants that are not known, all or those of these names. `None` if the tool itself failed, or the unchanged
/// library did.
pub(super) fn mutate(root: &Path, by: By<'_>, names: &[&str], known: &Known) -> Option<Outcomes> {
    let output = root.join("target/mutants").join(by.folder());
    // What is read below has to be of this run.
    let _ = fs::remove_dir_all(&output);
    let results = output.join("mutants.out");
    fs::create_dir_all(&results).ok()?;
    fs::write(results.join("previously_caught.txt"), known.concat()).ok()?;
    let mut cargo = tool(root);
    cargo
        .args(["--package", "job-registry", "--no-times", "--iterate"])
        .env("PROPTEST_CASES", by.cases())
        .arg("-o")
        .arg(&output);
    if std::env::var_os("CARGO_MUTANTS_JOBS").is_none() {
        // Each job is a build and a test of its own.
        let jobs = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
        cargo.args(["--jobs", &jobs.to_string()]);
    }
    for name in names {
        cargo.args(["--re", &pattern(name)]);
    }
    match by {
        By::First => &mut cargo,
        By::Suites => cargo.args(["--config", SUITES]),
        By::Histories => cargo.args(["--config", HISTORIES]),
        By::Models(checker, models) => cargo
            .args(["--config", ".cargo/mutants-models.toml", "--", "--"])
            .args(models)
            .env("RUSTFLAGS", format!("--cfg {checker}")),
    };
    // 2: some were missed, 3: some hung.
    let code = cargo.status().ok().and_then(|status| status.code());
    if !matches!(code, Some(0 | 2 | 3)) {
        return None;
    }
    let mut of_list = LISTS.iter().zip(known).map(|(list, known)| {
        let new = fs::read_to_string(results.join(list)).unwrap_or_default();
        let all = known.clone() + &new;
        // For the next run.
        fs::write(output.join(list), &all).ok()?;
        Some(parse_names(&all))
    });
    Some(Outcomes {
        caught: of_list.next()??,
        timeout: of_list.next()??,
        unviable: of_list.next()??,
        missed: of_list.next()??,
    })
}

/// A regular expression for the name as the tool has it, with line and column.
fn pattern(name: &str) -> String {
    let (file, change) = name.split_once(':').unwrap_or((name, ""));
    let escape = |text: &str| -> String {
        let escaped = text.chars().map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' => c.to_string(),
            _ => format!("\\x{{{:X}}}", u32::from(c)),
        });
        escaped.collect()
    };
    format!("^{}:[0-9]+:[0-9]+:{}$", escape(file), escape(change))
}

/// The mutants of one of the tool's lists, without line and column, which move.
pub(super) fn parse_names(list: &str) -> Names {
    let mut names = Names::new();
    for line in list.lines() {
        let parts: Vec<_> = line.splitn(4, ':').collect();
        if let [file, _, _, change] = parts[..] {
            *names.entry(format!("{file}:{change}")).or_default() += 1;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_escape_what_they_are_made_of() {
        let pattern = pattern("src/a.rs: replace | with ^ in f");
        assert_eq!(
            pattern,
            r"^src\x{2F}a\x{2E}rs:[0-9]+:[0-9]+: replace \x{7C} with \x{5E} in f$"
        );
    }
}
