//! `cargo verify seeded`: bugs that were seeded on purpose, and whether the checks detect them.
//!
//! Each patch puts one bug into a copy of the sources, and names the tests that have to fail then.
//! Without the bug, each of them has to pass, so the copy is checked unpatched first.

mod finding;
mod patch;
mod table;

use crate::config::{checkers, name};
use crate::documents;
use finding::{Ended, Finding};
use itertools::Itertools;
use patch::Patch;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::time::Instant;
use table::{Findings, SURVIVES};

/// In seconds, far more than a build of everything takes.
const BUILD: u32 = 600;
/// Several times as long as the slowest of the named tests takes.
const RUN: u32 = 180;
/// For all of them, one after the other, without a bug.
const ALL: u32 = 1200;

const COPY: &str = "target/seeded/copy";
const MARK: &str = "zoo";

/// Returns whether every checker that a patch names has detected its bug, and the document says so.
/// `write` renews the document. `only` picks patches by texts in their names, with commas between
/// the texts; without `write`, the document is not compared then.
pub fn run(only: Option<&str>, write: bool) -> bool {
    let began = Instant::now();
    let texts = only.unwrap_or_default().split(',');
    let mut patches = patch::read();
    patches.retain(|patch| texts.clone().any(|text| patch.name.contains(text)));
    fs::create_dir_all(COPY).expect("a folder for the copy can be made");
    let mut is_sound = shell(name("copy"), RUN).0 == Ended::Passed;
    let mut findings = BTreeMap::<_, Findings>::new();
    // The runs of one checker follow each other, because they share what is built.
    for (checker, line) in checkers() {
        let filters = |patch| Patch::filters(patch, checker);
        let all: BTreeSet<_> = patches
            .iter()
            .filter_map(filters)
            .flat_map(|it| it.split(' '))
            .collect();
        if let Err(why) = passes(checker, &line, &all) {
            println!("  NOT SOUND: {why}");
            is_sound = false;
            continue;
        }
        for patch in patches.iter().filter(|patch| filters(patch).is_some()) {
            let began = Instant::now();
            let finding = detect(patch, checker, &line);
            let seconds = began.elapsed().as_secs();
            let verdict = match &finding {
                Ok(finding) => format!("detected ({}): {}", finding.execution, finding.test),
                Err(why) => format!("SURVIVES: {why}"),
            };
            println!("{:<40} {checker:<12} {seconds:>3} s  {verdict}", patch.name);
            let of_patch = findings.entry(&patch.name).or_default();
            of_patch.push((checker, finding));
        }
    }
    let all = || findings.values().flatten();
    let detected = all().filter(|(_, finding)| finding.is_ok()).count();
    let (count, seconds) = (all().count(), began.elapsed().as_secs());
    println!("\n{detected} of {count} detected, in {seconds} seconds");
    let document = name("seeded_bugs");
    let old = only.map_or_else(String::new, |_| documents::read(document, MARK));
    let new = patches.iter();
    let new = new.filter_map(|patch| Some((patch, findings.get(&patch.name)?)));
    let text = table::updated(&old, new);
    let is_compared = only.is_none() || write;
    let is_documented = !is_compared || documents::check(document, MARK, &text, str::trim, write);
    is_sound && is_documented && detected == count && count > 0
}

/// Returns whether the document has a row for every patch, and no bug that survives.
pub fn check() -> bool {
    let table = documents::read(name("seeded_bugs"), MARK);
    let mut missing = patch::read();
    missing.retain(|patch| !table.contains(&format!("| {} | {} |", patch.number(), patch.bug())));
    for patch in &missing {
        eprintln!("{} has no row: `cargo verify seeded --write`", patch.name);
    }
    missing.is_empty() && !table.contains(SURVIVES)
}

/// Without a bug, each filter has tests, and all of them pass.
fn passes(checker: &str, line: &str, filters: &BTreeSet<&str>) -> Result<(), String> {
    if filters.is_empty() {
        return Ok(());
    }
    println!("\nwithout a bug, {checker}: {} filters", filters.len());
    build(line)?;
    let (ended, output) = test(line, &filters.iter().join(" "), ALL);
    if ended != Ended::Passed {
        return Err(format!("{ended:?}: {:?}", finding::failures(&output)));
    }
    let started = finding::started(&output);
    let has_tests = |filter: &&&str| started.iter().any(|test| test.contains(**filter));
    let missing = filters.iter().filter(|filter| !has_tests(filter));
    match missing.collect_vec() {
        none if none.is_empty() => Ok(()),
        some => Err(format!("no tests are called {some:?}")),
    }
}

fn detect(patch: &Patch, checker: &str, line: &str) -> Result<Finding, String> {
    // Without the ceiling, git patches the repository that `target` lies in.
    let git = "GIT_CEILING_DIRECTORIES=\"$PWD/..\" git apply --whitespace=nowarn";
    let file = format!("../../../{}/{}.patch", name("seeded"), patch.name);
    let (ended, output) = shell(&format!("{git} {file}"), RUN);
    if ended != Ended::Passed {
        return Err(format!("the patch does not apply: {output}"));
    }
    let finding = build(line).and_then(|()| {
        let filters = patch.filters(checker).unwrap_or_default();
        let (ended, output) = test(line, filters, RUN);
        finding::judge(ended, &output, patch.may_hang(checker))
    });
    let (ended, _) = shell(&format!("{git} --reverse {file}"), RUN);
    assert_eq!(
        ended,
        Ended::Passed,
        "a patch that was applied can be reverted"
    );
    finding
}

fn build(line: &str) -> Result<(), String> {
    match shell(&format!("{line} --profile seeded --no-run"), BUILD) {
        (Ended::Passed, _) => Ok(()),
        (_, output) => Err(format!("does not build:\n{output}")),
    }
}

/// Runs one test after the other, so that an abort belongs to a known test. The histories are the
/// same every time, so that no detection depends on luck.
fn test(line: &str, filters: &str, within: u32) -> (Ended, String) {
    let seed = "export PROPTEST_RNG_SEED=1 RUST_BACKTRACE=0";
    let options = "--profile seeded -- --test-threads=1 --nocapture";
    shell(&format!("{seed}; {line} {options} {filters}"), within)
}

/// Runs a line in the copy, within a time limit in seconds that ends all that it has started.
fn shell(line: &str, within: u32) -> (Ended, String) {
    let line = format!("exec 2>&1; {line}");
    let output = Command::new("timeout")
        .args(["--kill-after=5", &within.to_string(), "sh", "-c", &line])
        .current_dir(COPY)
        .env_remove("CARGO")
        .output()
        .expect("a shell can be started");
    let ended = match output.status.code() {
        Some(0) => Ended::Passed,
        Some(124 | 137) => Ended::TimedOut,
        _ => Ended::Failed,
    };
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    (ended, output)
}
