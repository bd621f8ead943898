//! The table of bugs: the tests that detect each, and in which execution of a model.

use super::finding::Finding;
use super::patch::Patch;
use crate::documents::{cell, rows};
use itertools::Itertools;
use std::collections::BTreeMap;

/// Findings of each checker that a patch names, or why the bug survives it.
pub type Findings = Vec<(&'static str, Result<Finding, String>)>;

pub const SURVIVES: &str = "**survives**";
const HEAD: &str = "\
| | bug | breaks | model | loom | shuttle | other tests |
|---|---|---|---|---:|---:|---|
";
const MODELS: [&str; 2] = ["loom", "shuttle"];

/// Returns the old table with the rows of these patches replaced.
pub fn updated<'a>(old: &'a str, new: impl Iterator<Item = (&'a Patch, &'a Findings)>) -> String {
    let mut all: BTreeMap<_, _> = new.map(|it| (it.0.number(), row(it.0, it.1))).collect();
    for old in rows(old) {
        all.entry(cell(old, 0)).or_insert_with(|| old.to_owned());
    }
    let conclusion = match all.values().filter(|row| row.contains(SURVIVES)).count() {
        0 => "each is detected by every check that is named for it".to_owned(),
        some => format!("**{some} survive a check that is named for them**"),
    };
    let (count, rows) = (all.len(), all.values().join("\n"));
    format!("{count} seeded bugs: {conclusion}.\n\n{HEAD}{rows}\n")
}

fn row(patch: &Patch, findings: &Findings) -> String {
    let test = |(checker, finding): &(&str, Result<Finding, _>)| match finding {
        Ok(finding) => format!("`{}`", finding.test),
        Err(_) => format!("{SURVIVES} under {checker}"),
    };
    let (models, others): (Vec<_>, _) = findings.iter().partition(|it| MODELS.contains(&it.0));
    let [models, others] =
        [models, others].map(|of| match of.into_iter().map(test).dedup().join(", ") {
            none if none.is_empty() => "–".to_owned(),
            some => some,
        });
    let [loom, shuttle] = MODELS.map(|model| match findings.iter().find(|it| it.0 == model) {
        None => "–".to_owned(),
        Some((_, Ok(finding))) => finding.execution.clone(),
        Some((_, Err(_))) => SURVIVES.to_owned(),
    });
    let (number, bug, breaks) = (patch.number(), patch.bug(), patch.breaks());
    format!("| {number} | {bug} | {breaks} | {models} | {loom} | {shuttle} | {others} |")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(old: &str, name: &str, checkers: &[(&'static str, bool)]) -> String {
        let patch = Patch::new(name, "bug: a bug\nbreaks: P3\n");
        let [test, execution] = ["nothing_is_lost", "7"].map(str::to_owned);
        let finding = Finding { test, execution };
        let findings = checkers.iter().map(|&(checker, is_detected)| {
            let finding = is_detected.then(|| finding.clone());
            (checker, finding.ok_or_else(String::new))
        });
        updated(old, [(&patch, &findings.collect())].into_iter())
    }

    #[test]
    fn bug_has_one_row_and_others_stay() {
        let alive = table("", "07-lost", &[("loom", true), ("shuttle", false)]);
        assert!(alive.contains("| 7 | **survives** | – |\n"));
        let both = table(&alive, "08-other", &[("loom", true)]);
        assert!(both.contains("2 seeded bugs: **1 survive"));
        let checkers = ["loom", "shuttle", "lib"].map(|checker| (checker, true));
        let detected = table(&both, "07-lost", &checkers);
        assert!(detected.contains("2 seeded bugs: each is detected"));
        let row = "| 07 | a bug | P3 | `nothing_is_lost` | 7 | 7 | `nothing_is_lost` |\n";
        assert!(detected.contains(row));
    }
}
