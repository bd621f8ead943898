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

mod tool;

use crate::{generated, tools};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tool::{By, Known, known, mutate};

const VERSION: &str = "26.0.0";
const FILE: &str = "mutants.txt";
const DOCUMENT: &str = "docs/mutants.md";
const EQUIVALENT: &str = "## no test can tell";
const MODELS: &str = "## the models tell";
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
/// `write` afterwards. `again` leaves out what the last run has noticed.
pub fn run(root: &Path, write: bool, again: bool) -> bool {
    let listed = Listed::parse(&fs::read_to_string(root.join(FILE)).unwrap_or_default());
    if tools::install(root, "cargo-mutants", VERSION).is_none() {
        return false;
    }
    let Some(outcomes) = of_suites(root, &listed, again) else {
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
        let by = By::Models(checker, &models);
        let Some(outcomes) = mutate(root, by, &names, &Known::default()) else {
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

/// First with what is built and run soonest, then, those that are left, with the other suites, and at last, if one of these
/// is not in the list, with more of the first.
fn of_suites(root: &Path, listed: &Listed, again: bool) -> Option<Outcomes> {
    let last = if again {
        By::Suites
    } else {
        mutate(root, By::First, &[], &Known::default())?;
        By::First
    };
    let outcomes = mutate(root, By::Suites, &[], &known(root, last)?)?;
    if unlisted(listed, &outcomes.missed).next().is_none() {
        return Some(outcomes);
    }
    mutate(root, By::Histories, &[], &known(root, By::Suites)?)
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

/// Those that were missed, and are not in the list, or not as often.
fn unlisted<'a>(listed: &Listed, missed: &'a Names) -> impl Iterator<Item = &'a str> {
    let is_unlisted = |&(name, &n): &(&'a String, &usize)| {
        let by_models = listed.models.iter().filter(|(listed, _)| listed == name);
        n > times(&listed.equivalent, name) + by_models.count()
    };
    missed
        .iter()
        .filter(is_unlisted)
        .map(|(name, _)| name.as_str())
}

/// What is wrong between the list and what was missed, a line each.
fn judge(listed: &Listed, outcomes: &Outcomes) -> Vec<String> {
    let mut wrong = Vec::new();
    for line in &listed.malformed {
        wrong.push(format!("{FILE}: not a line of its grammar: {line}"));
    }
    for name in unlisted(listed, &outcomes.missed) {
        wrong.push(format!("missed, and not in {FILE}: {name}"));
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
    use tool::parse_names;

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
}
