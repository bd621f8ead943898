//! `cargo verify mutants`: the library with one small change, hundreds of times over, and the suites have to
//! notice each. What they do not notice stands in `mutants.txt`, with the reason.
//!
//! ```text
//! # A comment.
//! ## no test can tell
//! src/file.rs: replace > with >= in Type::function — why nothing depends on it
//! ## the models tell
//! src/file.rs: replace == with != in Type::function — loom: name_of_the_model
//! ```
//!
//! The names are those of cargo-mutants without line and column. A name that stands for two mutants that are
//! missed stands in the file twice. What only a race can show, the suites may catch by luck: a line of the second
//! part has to name a mutant, and one of the first has to name one that was missed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

const VERSION: &str = "26.0.0";
const FILE: &str = "mutants.txt";
const EQUIVALENT: &str = "## no test can tell";
const MODELS: &str = "## the models tell";
/// Failures are not shrunk and not kept, and the histories are the same for every mutant.
const ENV: &[(&str, &str)] = &[
    ("PROPTEST_MAX_SHRINK_ITERS", "0"),
    ("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1"),
    ("PROPTEST_RNG_SEED", "1"),
];

/// How often each name occurs.
type Names = BTreeMap<String, usize>;

pub fn run(root: &Path) -> bool {
    let output = root.join("target/mutants");
    let results = output.join("mutants.out");
    // What is read below has to be of this run.
    let _ = fs::remove_dir_all(&results);
    if !install(root) || fs::create_dir_all(&output).is_err() || !mutate(root) {
        return false;
    }
    let [caught, missed, unviable, timeout] = ["caught", "missed", "unviable", "timeout"]
        .map(|outcome| names(&read(&results.join(outcome).with_extension("txt"))));
    let listed = Listed::parse(&read(&root.join(FILE)));
    let wrong = judge(&listed, &[&caught, &timeout], &missed);
    for line in &wrong {
        eprintln!("{line}");
    }
    let count = |names: &Names| names.values().sum::<usize>();
    println!(
        "\n| mutants | noticed | of these by a time limit | do not compile | not noticed | of these by the models |\n\
         |---|---|---|---|---|---|\n| {} | {} | {} | {} | {} | {} |",
        [&caught, &missed, &unviable, &timeout]
            .map(count)
            .iter()
            .sum::<usize>(),
        count(&caught) + count(&timeout),
        count(&timeout),
        count(&unviable),
        count(&missed),
        missed
            .iter()
            .map(|(name, n)| *n.min(listed.models.get(name).unwrap_or(&0)))
            .sum::<usize>(),
    );
    wrong.is_empty()
}

/// Installs cargo-mutants below `target`, unless it is there.
fn install(root: &Path) -> bool {
    let tool = root.join("target/tools/bin/cargo-mutants");
    let found = Command::new(tool).args(["mutants", "--version"]).output();
    if found.is_ok_and(|found| String::from_utf8_lossy(&found.stdout).contains(VERSION)) {
        return true;
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root).args([
        "install",
        "--locked",
        "--version",
        VERSION,
        "--root",
        "target/tools",
        "cargo-mutants",
    ]);
    cargo.status().is_ok_and(|status| status.success())
}

/// Runs every mutant. What each came to is in files; the exit code only says whether there are any.
fn mutate(root: &Path) -> bool {
    // Each job is a build and a test of its own.
    let jobs = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    let mut cargo = Command::new(root.join("target/tools/bin/cargo-mutants"));
    cargo
        .current_dir(root)
        .args(["mutants", "--package", "job-registry", "--no-times"])
        .args(["--jobs", &jobs.to_string()])
        // Jobs must not share one target directory.
        .env_remove("CARGO_TARGET_DIR")
        .envs(ENV.iter().copied());
    // 2: some were missed, 3: some hung.
    let code = cargo.status().ok().and_then(|status| status.code());
    matches!(code, Some(0 | 2 | 3))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The mutants of one of the tool's lists, without line and column, which move.
fn names(list: &str) -> Names {
    let mut names = Names::new();
    for line in list.lines() {
        let mut parts = line.splitn(4, ':');
        if let (Some(file), Some(_), Some(_), Some(change)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        {
            *names.entry(format!("{file}:{change}")).or_default() += 1;
        }
    }
    names
}

/// What `mutants.txt` says.
#[derive(Default)]
struct Listed {
    equivalent: Names,
    models: Names,
    malformed: Vec<String>,
}

impl Listed {
    fn parse(text: &str) -> Self {
        let mut listed = Self::default();
        let mut part = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match (line, line.split_once(" — ")) {
                (EQUIVALENT | MODELS, _) => part = Some(line),
                (comment, _) if comment.starts_with("# ") => {}
                (_, Some((name, reason))) if !reason.is_empty() && part.is_some() => {
                    let names = if part == Some(MODELS) {
                        &mut listed.models
                    } else {
                        &mut listed.equivalent
                    };
                    *names.entry(name.to_owned()).or_default() += 1;
                }
                _ => listed.malformed.push(line.to_owned()),
            }
        }
        listed
    }
}

/// What is wrong, a line each.
fn judge(listed: &Listed, noticed: &[&Names], missed: &Names) -> Vec<String> {
    let times = |names: &Names, name: &String| names.get(name).copied().unwrap_or(0);
    let mut wrong = Vec::new();
    for line in &listed.malformed {
        wrong.push(format!("{FILE}: not a line of its grammar: {line}"));
    }
    for (name, &n) in missed {
        if n > times(&listed.equivalent, name) + times(&listed.models, name) {
            wrong.push(format!("missed, and not in {FILE}: {name}"));
        }
    }
    for (name, &n) in &listed.equivalent {
        if n > times(missed, name) {
            wrong.push(format!("{FILE}: no longer missed: {name}"));
        }
    }
    for (name, &n) in &listed.models {
        let all = times(missed, name)
            + noticed
                .iter()
                .map(|names| times(names, name))
                .sum::<usize>();
        if n > all {
            wrong.push(format!("{FILE}: no such mutant any more: {name}"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A comment.\n\n## no test can tell\nsrc/a.rs: replace > with >= in f — speed\n\
        ## the models tell\nsrc/b.rs: replace == with != in <impl D for X<'_>>::g — loom: model\n";

    fn judged(text: &str, caught: &str, missed: &str) -> Vec<String> {
        judge(&Listed::parse(text), &[&names(caught)], &names(missed))
    }

    const A: &str = "src/a.rs:1:2: replace > with >= in f\n";
    const B: &str = "src/b.rs:30:4: replace == with != in <impl D for X<'_>>::g\n";

    /// Lines and columns may move; what is listed and missed is as it should be.
    #[test]
    fn listed_mutants_may_be_missed() {
        assert!(judged(TEXT, "", &format!("{A}{B}")).is_empty());
        assert!(judged(TEXT, B, A).is_empty());
    }

    /// A missed mutant that is not listed is named, also where one of the same name is listed.
    #[test]
    fn unlisted_mutants_must_not_be_missed() {
        let twice = format!("{A}src/a.rs:9:9: replace > with >= in f\n{B}");
        assert_eq!(judged(TEXT, "", &twice).len(), 1);
        assert_eq!(judged("", "", A).len(), 1);
    }

    /// A line that names no missed mutant (or none at all, among those for the models) is named.
    #[test]
    fn stale_lines_are_named() {
        assert_eq!(judged(TEXT, B, "").len(), 1);
        assert_eq!(judged(TEXT, "", A).len(), 1);
        assert_eq!(
            judged("## no test can tell\nsrc/a.rs: no reason\n", "", "").len(),
            1
        );
        assert_eq!(judged("src/a.rs: no part — of the file\n", "", "").len(), 1);
    }
}
