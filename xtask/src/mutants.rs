//! `cargo verify mutants`: the library with one small change, hundreds of times over, and the suites have to
//! notice each. What they do not notice stands in `mutants.txt`, with the reason, or with the model that does.
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
//! missed stands in the file twice. A line of the first part has to name a mutant that was missed. One of the
//! second has to name one that the checker notices with this model alone: they are run here, too. (The suites may
//! notice it as well, by luck.)

use crate::{generated, tools};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

const VERSION: &str = "26.0.0";
const FILE: &str = "mutants.txt";
const DOCUMENT: &str = "docs/mutants.md";
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

fn times(names: &Names, name: &str) -> usize {
    names.get(name).copied().unwrap_or(0)
}

/// What the mutants of one run came to.
#[derive(Default)]
struct Outcomes {
    caught: Names,
    missed: Names,
    timeout: Names,
    unviable: Names,
}

/// Whether the suites and models notice every mutant but those of `mutants.txt`; docs/mutants.md says how many, with
/// `write` afterwards.
pub fn run(root: &Path, write: bool) -> bool {
    let listed = Listed::parse(&fs::read_to_string(root.join(FILE)).unwrap_or_default());
    if tools::install(root, "cargo-mutants", VERSION).is_none() {
        return false;
    }
    let Some(outcomes) = mutate(root, "suites", &[], None) else {
        return false;
    };
    let mut wrong = judge(&listed, &outcomes);
    let mut by_models = 0;
    for checker in ["loom", "shuttle"] {
        let lines = listed.of_checker(checker);
        if lines.is_empty() {
            continue;
        }
        let names: Vec<_> = lines.iter().map(|(name, _)| *name).collect();
        let models: Vec<_> = lines.iter().map(|(_, model)| *model).collect();
        let Some(outcomes) = mutate(root, checker, &names, Some(&models)) else {
            return false;
        };
        for name in names {
            if times(&outcomes.caught, name) + times(&outcomes.timeout, name) == 0 {
                wrong.push(format!("{FILE}: {checker} does not notice it: {name}"));
            } else {
                by_models += 1;
            }
        }
    }
    let table = table(&outcomes, by_models);
    println!("\n{table}");
    for line in &wrong {
        eprintln!("{line}");
    }
    generated::check(&root.join(DOCUMENT), "mutants", &table, write) && wrong.is_empty()
}

fn table(outcomes: &Outcomes, by_models: usize) -> String {
    let [caught, missed, timeout, unviable] = [
        &outcomes.caught,
        &outcomes.missed,
        &outcomes.timeout,
        &outcomes.unviable,
    ]
    .map(|names| names.values().sum::<usize>());
    format!(
        "| mutants | do not compile | noticed | of these by a time limit | missed | listed for the models, and noticed by them |\n\
         |---|---|---|---|---|---|\n\
         | {} | {unviable} | {} | {timeout} | {missed} | {by_models} |\n",
        caught + missed + timeout + unviable,
        caught + timeout,
    )
}

/// Runs the mutants, all or those of these names, with the suites or with models of the checker. `None` if the
/// tool itself failed, or the unchanged library did.
fn mutate(root: &Path, by: &str, names: &[&str], models: Option<&[&str]>) -> Option<Outcomes> {
    let output = root.join("target/mutants").join(by);
    // What is read below has to be of this run.
    let _ = fs::remove_dir_all(&output);
    fs::create_dir_all(&output).ok()?;
    let mut cargo = Command::new(root.join("target/tools/bin/cargo-mutants"));
    cargo
        .current_dir(root)
        .args(["mutants", "--package", "job-registry", "--no-times", "-o"])
        .arg(&output)
        // Builds must not share one target directory.
        .env_remove("CARGO_TARGET_DIR")
        .envs(ENV.iter().copied());
    if std::env::var_os("CARGO_MUTANTS_JOBS").is_none() {
        // Each job is a build and a test of its own.
        let jobs = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
        cargo.args(["--jobs", &jobs.to_string()]);
    }
    for name in names {
        cargo.args(["--re", &pattern(name)]);
    }
    if let Some(models) = models {
        cargo
            .args(["--config", ".cargo/mutants-models.toml", "--", "--"])
            .args(models)
            .env("RUSTFLAGS", format!("--cfg {by}"));
    }
    // 2: some were missed, 3: some hung.
    let code = cargo.status().ok().and_then(|status| status.code());
    if !matches!(code, Some(0 | 2 | 3)) {
        return None;
    }
    let read = |outcome: &str| {
        let path = output.join("mutants.out").join(outcome);
        fs::read_to_string(path).map_or_else(|_| Names::new(), |list| parse_names(&list))
    };
    Some(Outcomes {
        caught: read("caught.txt"),
        missed: read("missed.txt"),
        timeout: read("timeout.txt"),
        unviable: read("unviable.txt"),
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
fn parse_names(list: &str) -> Names {
    let mut names = Names::new();
    for line in list.lines() {
        let parts: Vec<_> = line.splitn(4, ':').collect();
        if let [file, _, _, change] = parts[..] {
            *names.entry(format!("{file}:{change}")).or_default() += 1;
        }
    }
    names
}

/// What `mutants.txt` says.
#[derive(Default)]
struct Listed {
    equivalent: Names,
    models: Vec<(String, String)>,
    malformed: Vec<String>,
}

impl Listed {
    fn parse(text: &str) -> Self {
        let mut listed = Self::default();
        let mut part = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match (line, line.split_once(" — "), part) {
                (EQUIVALENT | MODELS, ..) => part = Some(line),
                (comment, ..) if comment.starts_with("# ") => {}
                (_, Some((name, reason)), Some(EQUIVALENT)) if !reason.is_empty() => {
                    *listed.equivalent.entry(name.to_owned()).or_default() += 1;
                }
                (_, Some((name, model)), Some(MODELS))
                    if model.starts_with("loom: ") || model.starts_with("shuttle: ") =>
                {
                    listed.models.push((name.to_owned(), model.to_owned()));
                }
                _ => listed.malformed.push(line.to_owned()),
            }
        }
        listed
    }

    /// The names, and the models, that are for this checker.
    fn of_checker(&self, checker: &str) -> Vec<(&str, &str)> {
        let lines = self.models.iter().filter_map(|(name, killer)| {
            let (by, model) = killer.split_once(": ")?;
            (by == checker).then_some((name.as_str(), model))
        });
        lines.collect()
    }
}

/// What is wrong between the list and what was missed, a line each.
fn judge(listed: &Listed, outcomes: &Outcomes) -> Vec<String> {
    let mut wrong = Vec::new();
    for line in &listed.malformed {
        wrong.push(format!("{FILE}: not a line of its grammar: {line}"));
    }
    for (name, &n) in &outcomes.missed {
        let by_models = listed.models.iter().filter(|(listed, _)| listed == name);
        if n > times(&listed.equivalent, name) + by_models.count() {
            wrong.push(format!("missed, and not in {FILE}: {name}"));
        }
    }
    for (name, &n) in &listed.equivalent {
        if n > times(&outcomes.missed, name) {
            wrong.push(format!("{FILE}: no longer missed: {name}"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A comment.\n\n## no test can tell\nsrc/a.rs: replace > with >= in f — speed\n\
        ## the models tell\nsrc/b.rs: replace == with != in <impl D for X<'_>>::g — loom: model\n";
    const A: &str = "src/a.rs:1:2: replace > with >= in f\n";
    const B: &str = "src/b.rs:30:4: replace == with != in <impl D for X<'_>>::g\n";

    fn judged(text: &str, missed: &str) -> Vec<String> {
        let outcomes = Outcomes {
            missed: parse_names(missed),
            ..Outcomes::default()
        };
        judge(&Listed::parse(text), &outcomes)
    }

    /// Lines and columns may move; what is listed may be missed, and what is for the models need not be.
    #[test]
    fn listed_mutants_may_be_missed() {
        assert!(judged(TEXT, &format!("{A}{B}")).is_empty());
        assert!(judged(TEXT, A).is_empty());
        let listed = Listed::parse(TEXT);
        assert_eq!(listed.of_checker("loom")[0].1, "model");
        assert!(listed.of_checker("shuttle").is_empty());
    }

    /// A missed mutant that is not listed is named, also where one of the same name is listed.
    #[test]
    fn unlisted_mutants_must_not_be_missed() {
        let twice = format!("{A}src/a.rs:9:9: replace > with >= in f\n{B}");
        assert_eq!(judged(TEXT, &twice).len(), 1);
        assert_eq!(judged("", A).len(), 1);
    }

    /// A line that names no missed mutant is named, and so is one that the grammar does not have.
    #[test]
    fn stale_lines_are_named() {
        assert_eq!(judged(TEXT, "").len(), 1);
        assert_eq!(
            judged("## no test can tell\nsrc/a.rs: no reason\n", "").len(),
            1
        );
        assert_eq!(judged("src/a.rs: no part — of the file\n", "").len(), 1);
        assert_eq!(
            judged("## the models tell\nsrc/a.rs: f — no checker\n", "").len(),
            1
        );
    }

    #[test]
    fn patterns_escape_what_they_are_made_of() {
        let pattern = pattern("src/a.rs: replace | with ^ in f");
        assert_eq!(
            pattern,
            r"^src\x{2F}a\x{2E}rs:[0-9]+:[0-9]+: replace \x{7C} with \x{5E} in f$"
        );
    }
}
