//! Records of explorations. `JOB_REGISTRY_LEDGER` names the file for a line of JSON each, and
//! `JOB_REGISTRY_OUTCOMES` the file for the outcomes.

use super::Bounds;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

pub(in crate::loom_tests) const CHECKER: &str = if cfg!(loom) { "loom" } else { "shuttle" };

pub(in crate::loom_tests) struct Line<'a> {
    pub(in crate::loom_tests) name: &'a str,
    /// `model`, `programs` for a set of generated programs, or `random` for sampled ones.
    pub(in crate::loom_tests) kind: &'a str,
    pub(in crate::loom_tests) properties: &'a [&'a str],
    pub(in crate::loom_tests) scenarios: &'a [u32],
    pub(in crate::loom_tests) programs: usize,
    /// Bounds of each program whose exploration finished.
    pub(in crate::loom_tests) within: &'a [Bounds],
    pub(in crate::loom_tests) executions: u64,
    pub(in crate::loom_tests) outcomes: usize,
    pub(in crate::loom_tests) took: Duration,
}

pub(in crate::loom_tests) fn write(line: &Line) {
    let Line {
        name,
        kind,
        properties,
        scenarios,
        programs,
        executions,
        outcomes,
        ..
    } = line;
    let ordered = bounds(line.within.iter().map(|bounds| bounds.ordered));
    let weak = bounds(line.within.iter().map(|bounds| bounds.weak));
    let completed = line.within.len() == *programs;
    let seconds = line.took.as_secs_f64();
    let text = format!(
        "{{\"checker\":\"{CHECKER}\",\"kind\":\"{kind}\",\"model\":\"{name}\",\"properties\":{properties:?},\
         \"scenarios\":{scenarios:?},\"programs\":{programs},\"ordered\":[{ordered}],\"weak\":[{weak}],\"completed\":{completed},\
         \"executions\":{executions},\"outcomes\":{outcomes},\"seconds\":{seconds:.3}}}\n"
    );
    print!("{text}");
    append("JOB_REGISTRY_LEDGER", &text);
}

/// Returns each bound with the number of its programs: `[null,830],[3,10]`. Shuttle has no bounds.
fn bounds(all: impl Iterator<Item = Option<usize>>) -> String {
    let mut counts = BTreeMap::<Reverse<usize>, usize>::new();
    for bound in all {
        *counts
            .entry(Reverse(bound.unwrap_or(usize::MAX)))
            .or_default() += 1;
    }
    let texts = counts.iter().map(|(Reverse(bound), count)| match bound {
        &usize::MAX => format!("[null,{count}]"),
        bound => format!("[{bound},{count}]"),
    });
    texts.collect::<Vec<_>>().join(",")
}

/// Records the outcomes of a model or a program, which are compared between the checkers.
pub(in crate::loom_tests) fn outcomes(name: &str, outcomes: impl Iterator<Item = u64>) {
    let mut hashes: Vec<_> = outcomes.map(|hash| format!("{hash:016x}")).collect();
    hashes.sort_unstable();
    let line = format!("{name}\t{}\n", hashes.join(" "));
    append("JOB_REGISTRY_OUTCOMES", &line);
}

/// Appends to the file that an environment variable names, if it is set.
fn append(variable: &str, text: &str) {
    let Some(path) = std::env::var_os(variable) else {
        return;
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    // A single write keeps the lines of concurrent tests apart.
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .expect("the file can be written");
}
