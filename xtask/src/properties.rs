//! README's property table: what is promised, and what was seen to check it.

use crate::generated;
use crate::ledger::{self, Line};
use std::fmt::Write;
use std::path::Path;

const PROPERTIES: [(&str, &str); 12] = [
    (
        "P1",
        "forward only: no observer ever sees a job's version decrease",
    ),
    (
        "P2",
        "one ending: exactly one of complete, fail, cancel, stall wins; nothing changes after it",
    ),
    (
        "P3",
        "no lost update: sections under one job's lock exclude each other",
    ),
    (
        "P4",
        "no use after cleanup: an id of a removed job reads and changes nothing, for ever",
    ),
    (
        "P5",
        "no early cleanup: removal never takes a live, locked or retried job, or one before its time",
    ),
    (
        "P6",
        "no leak: every payload is dropped once, every due job is removed, slots come back",
    ),
    (
        "P7",
        "no deadlock: no sequence of calls blocks for ever, unless a guard is leaked",
    ),
    (
        "P8",
        "honest heartbeat: an accepted beat is never followed by a stall verdict from before it",
    ),
    (
        "P9",
        "no lost wakeup: a watcher sees every change or is woken, and always learns the end",
    ),
    ("P10", "fencing: a write of an old attempt is refused"),
    (
        "P11",
        "contained panics: a panic fails its job, frees its lock, and touches nothing else",
    ),
    ("P12", "linearizable: every call happens at one instant"),
];

/// README has the table of what was recorded; with `write` it has, afterwards.
pub fn check(root: &Path, lines: &[Line], write: bool) -> bool {
    let path = root.join("README.md");
    generated::check(&path, "properties", &table(root, lines), write)
}

fn table(root: &Path, lines: &[Line]) -> String {
    let tests = tested_properties(root);
    let mut table = String::from(
        "| | property | loom: models, executions | shuttle: models, executions | tests |\n|---|---|---|---|---|\n",
    );
    for (id, text) in PROPERTIES {
        let [loom, shuttle] = ["loom", "shuttle"].map(|checker| cell(lines, checker, id));
        let tests = tests.iter().filter(|property| *property == id).count();
        writeln!(table, "| {id} | {text} | {loom} | {shuttle} | {tests} |")
            .expect("a string takes all");
    }
    format!("{table}\n{}\n", ledger::versions(root))
}

/// `3 (2 to the end), 1 234`, of the models of a property under a checker.
fn cell(lines: &[Line], checker: &str, property: &str) -> String {
    let of_property = |line: &&Line| {
        line.kind == "model"
            && line.checker == checker
            && line.properties.iter().any(|claimed| claimed == property)
    };
    let models: Vec<_> = lines.iter().filter(of_property).collect();
    if models.is_empty() {
        return "–".to_owned();
    }
    let completed = models.iter().filter(|line| line.completed).count();
    let executions: u64 = models.iter().map(|line| line.executions).sum();
    match models.len() {
        all if all == completed => format!("{all}, {}", grouped(executions)),
        all => format!("{all} ({completed} to the end), {}", grouped(executions)),
    }
}

/// Digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
    let groups = groups
        .iter()
        .map(|group| std::str::from_utf8(group).expect("digits are ASCII"));
    groups.collect::<Vec<_>>().join(" ")
}

/// The property ids in the doc comments of all test functions in `src` and `tests`, once for each test.
fn tested_properties(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["src", "tests"] {
        visit(&root.join(folder), &mut |text| {
            found.extend(properties_of_tests(text))
        });
    }
    found
}

fn visit(folder: &Path, read: &mut dyn FnMut(&str)) {
    let entries = std::fs::read_dir(folder).expect("the sources can be listed");
    for path in entries.map(|entry| entry.expect("the sources can be listed").path()) {
        if path.is_dir() {
            visit(&path, read);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            read(&std::fs::read_to_string(&path).expect("the sources can be read"));
        }
    }
}

fn properties_of_tests(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut docs = String::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("///") {
            docs.push_str(doc);
            docs.push(' ');
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else {
            if is_test {
                let words = docs.split(|c: char| !c.is_ascii_alphanumeric());
                let mut ids: Vec<_> = words
                    .filter(|word| is_property(word))
                    .map(str::to_owned)
                    .collect();
                ids.sort_unstable();
                ids.dedup();
                found.append(&mut ids);
            }
            docs.clear();
            is_test = false;
        }
    }
    found
}

fn is_property(word: &str) -> bool {
    PROPERTIES.iter().any(|(id, _)| *id == word)
}
