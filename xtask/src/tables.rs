//! The tables that are made of ledgers: properties, explorations and calls.

use crate::config::name;
use crate::documents::{self, cell, grouped, rows, without_seconds};
use crate::{ledger, scenarios};
use itertools::Itertools;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

const EXPLORATIONS: &str = "\
| models and programs | checker | programs | executions | outcomes | bound | completed | seconds |
|---|---|---:|---:|---:|---|---|---:|
";
const CALLS: &str = "\
| call | made as | own rules | configurations | executions | answers | seconds |
|---|---:|---|---:|---:|---:|---:|
";

/// Returns the lines of both checkers.
fn both() -> Vec<Value> {
    [ledger::lines("loom"), ledger::lines("shuttle")].concat()
}

/// Sums up a number of each line.
fn sum(lines: &[&Value], key: &str) -> String {
    grouped(lines.iter().filter_map(|line| line[key].as_u64()).sum())
}

fn seconds(lines: &[&Value]) -> f64 {
    lines.iter().flat_map(|line| line["seconds"].as_f64()).sum()
}

/// Counts the lines of explorations that have been ended too soon.
fn incomplete(lines: &[&Value]) -> usize {
    let is_incomplete = |line: &&&Value| line["completed"] != true;
    lines.iter().filter(is_incomplete).count()
}

fn text<'a>(line: &'a Value, key: &str) -> &'a str {
    line[key].as_str().unwrap_or_default()
}

fn texts<'a>(line: &'a Value, key: &str) -> Vec<&'a str> {
    let list = line[key].as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

/// Names the versions of the checkers: `By loom 1.2.3 and shuttle 4.5.6.`
fn versions() -> String {
    let lock = fs::read_to_string("Cargo.lock").unwrap_or_default();
    let [loom, shuttle] = ["loom", "shuttle"].map(|checker| {
        let entry = format!("name = \"{checker}\"\nversion = \"");
        let rest = lock.split_once(&entry).map_or("", |(_, rest)| rest);
        rest.split('"').next().unwrap_or_default()
    });
    format!("By loom {loom} and shuttle {shuttle}.")
}

/// Checks README's table of properties, or writes it. A property's text stays as it is there.
pub fn properties(write: bool) -> bool {
    let (document, mark) = (name("properties"), "properties");
    let (lines, tests) = (both(), scenarios::tests());
    let row = |row: &str| {
        let (id, text) = (cell(row, 0), cell(row, 1));
        if !id.starts_with('P') {
            return row.to_owned();
        }
        let [loom, shuttle] = ["loom", "shuttle"].map(|checker| explored(&lines, checker, id));
        let is_ordinary = |file: &str| file.starts_with("src/") || file.starts_with("tests/");
        let tests = tests.iter().filter(|test| is_ordinary(&test.file));
        let tests = tests.filter(|test| test.ids.contains(id)).count();
        format!("| {id} | {text} | {loom} | {shuttle} | {tests} |")
    };
    let old = documents::read(document, mark);
    let rows = old.lines().filter(|line| line.starts_with('|'));
    let table = format!("{}\n\n{}", rows.map(row).join("\n"), versions());
    documents::check(document, mark, &table, str::trim, write)
}

/// Sums up the models of a property under a checker: `3 (2 to the end), 1 234`.
fn explored(lines: &[Value], checker: &str, property: &str) -> String {
    let mut models: Vec<_> = lines
        .iter()
        .filter(|line| line["kind"] == "model")
        .collect();
    models
        .retain(|line| line["checker"] == checker && texts(line, "properties").contains(&property));
    let executions = sum(&models, "executions");
    match (models.len(), incomplete(&models)) {
        (0, _) => "–".to_owned(),
        (all, 0) => format!("{all}, {executions}"),
        (all, some) => format!("{all} ({} to the end), {executions}", all - some),
    }
}

/// Sums up the bounds on preemptions, with how many programs have each: `none: 830, 3: 10`. A
/// single one has no count.
fn bounds(lines: &[&Value], key: &str) -> String {
    let mut all = BTreeMap::<_, u64>::new();
    for pair in lines.iter().flat_map(|line| line[key].as_array()).flatten() {
        *all.entry(pair[0].as_u64()).or_default() += pair[1].as_u64().unwrap_or(0);
    }
    let name = |bound: &Option<u64>| bound.map_or("none".to_owned(), |bound| bound.to_string());
    let text = |(bound, programs)| match all.len() {
        1 => name(bound),
        _ => format!("{}: {programs}", name(bound)),
    };
    all.iter().map(text).join(", ")
}

/// Sums up the explorations of one subject under one checker.
fn row(subject: &str, checker: &str, lines: &[&Value]) -> String {
    let sums = ["programs", "executions", "outcomes"].map(|key| sum(lines, key));
    // For the interleavings, and, where that differs, for stale values.
    let (mut bound, weak) = (bounds(lines, "ordered"), bounds(lines, "weak"));
    if bound != weak {
        bound += &format!("; stale values: {weak}");
    }
    let completed = match incomplete(lines) {
        // Sampled schedules have no end.
        _ if lines[0]["kind"] == "random" => "drawn".to_owned(),
        0 => "yes".to_owned(),
        some => format!("**not {some}**"),
    };
    let (sums, seconds) = (sums.join(" | "), seconds(lines));
    format!("| {subject} | {checker} | {sums} | {bound} | {completed} | {seconds:.0} |")
}

/// A model belongs to each of its properties, a set to itself: its lines are called `SET, START`.
fn new_rows(lines: &[Value]) -> Vec<String> {
    let mut by_subject = BTreeMap::<_, Vec<_>>::new();
    for line in lines {
        let model = text(line, "model");
        let subjects = match text(line, "kind") {
            "model" => texts(line, "properties"),
            _ => vec![model.rsplit_once(", ").map_or(model, |(set, _)| set)],
        };
        for subject in subjects {
            let lines = by_subject.entry((subject, text(line, "checker")));
            lines.or_default().push(line);
        }
    }
    let rows = by_subject.iter();
    rows.map(|(key, lines)| row(key.0, key.1, lines)).collect()
}

/// Orders rows by property or set, and checker. Properties come first, by their numbers.
fn key(row: &str) -> (u64, &str, &str) {
    let number = cell(row, 0).strip_prefix('P').map(str::parse);
    let number = number.and_then(Result::ok).unwrap_or(u64::MAX);
    (number, cell(row, 0), cell(row, 1))
}

/// The new rows replace those of the known table. A row of a set that no longer exists is dropped.
fn merged(known: &str, new: &[String], sets: &str) -> Vec<String> {
    let is_gone =
        |subject: &str| subject.contains(" calls, ") && !sets.contains(&format!("\"{subject}\""));
    let mut all: Vec<_> = rows(known).into_iter().map(str::to_owned).collect();
    all.retain(|row| !is_gone(cell(row, 0)) && !new.iter().any(|new| key(new) == key(row)));
    all.extend_from_slice(new);
    all.sort_by(|a, b| key(a).cmp(&key(b)));
    all
}

/// Checks the document's table of explorations, or writes it: a row for each subject and checker,
/// from the last run that explored it. The seconds may differ.
pub fn explorations(write: bool) -> bool {
    let (document, mark, lines) = (name("explorations"), "ledger", both());
    let sets = fs::read_to_string(name("sets")).unwrap_or_default();
    let new = new_rows(&lines);
    println!("\n{}", new.join("\n"));
    let rows = merged(&documents::read(document, mark), &new, &sets).join("\n");
    let table = format!("{EXPLORATIONS}{rows}\n\n{}", versions());
    let is_complete = incomplete(&lines.iter().collect_vec()) == 0 && !lines.is_empty();
    documents::check(document, mark, &table, without_seconds, write) && is_complete
}

/// Checks the document's table of calls alone among any number of threads, or writes it.
pub fn calls(write: bool) -> bool {
    let lines = ledger::lines("environment");
    let row = |first: &str, answers: &str, lines: &[&Value]| {
        let sums = ["configurations", "executions"].map(|key| sum(lines, key));
        let (sums, seconds) = (sums.join(" | "), seconds(lines));
        format!("| {first} | {sums} |{answers} | {seconds:.1} |")
    };
    let of_call = |line: &Value| {
        let own = texts(line, "own").join(", ");
        let first = format!("{} | {} | {own}", text(line, "call"), line["aims"]);
        row(&first, &format!(" {}", line["answers"]), &[line])
    };
    let rows = lines.iter().map(of_call).sorted().join("\n");
    let all = row("all | |", "", &lines.iter().collect_vec());
    let table = format!("{CALLS}{rows}\n{all}");
    let is_same = documents::check(name("calls"), "environment", &table, without_seconds, write);
    is_same && !lines.is_empty()
}

#[cfg(test)]
mod tests {
    use super::merged;

    #[test]
    fn rows_are_replaced_and_ordered() {
        let new = ["| P10 | x | 5 |", "| P2 | x | 9 |"].map(str::to_owned);
        let all = merged("| P1 | x | 7 |\n| P2 | x | 8 |", &new, "");
        assert_eq!(all, ["| P1 | x | 7 |", "| P2 | x | 9 |", "| P10 | x | 5 |"]);
    }

    #[test]
    fn set_that_is_gone_has_no_row() {
        let known = "| 1 + 1 calls, core | loom | 1 |\n| 1 + 1 calls, life | loom | 1 |";
        let all = merged(known, &[], "name: \"1 + 1 calls, life\",");
        assert_eq!(all, ["| 1 + 1 calls, life | loom | 1 |"]);
    }
}
