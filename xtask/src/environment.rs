//! The table of calls that ran among any number of threads.

use crate::generated;
use crate::properties::grouped;
use serde::Deserialize;
use std::fmt::Write;
use std::path::Path;

const DOCUMENT: &str = "docs/internals/any-number-of-threads.md";
const PART: &str = "environment";
const LEDGER: &str = "target/environment/ledger.jsonl";
const HEAD: &str = "| call | made as | own rules | configurations | executions | answers | seconds |\n\
     |---|---:|---|---:|---:|---:|---:|\n";

/// One call, as each of those that it can be made as.
#[derive(Debug, Deserialize)]
struct Line {
    call: String,
    aims: u64,
    /// The rules of the guarantee that its own writes used.
    own: Vec<String>,
    configurations: u64,
    executions: u64,
    answers: u64,
    seconds: f64,
}

/// Removes the lines of the last run.
pub fn forget(root: &Path) {
    let _ = std::fs::remove_file(root.join(LEDGER));
}

/// Whether the document has the table of this run, apart from the seconds. With `write` it does, afterwards.
pub fn check(root: &Path, write: bool) -> bool {
    let text = std::fs::read_to_string(root.join(LEDGER)).unwrap_or_default();
    let parse = |line: &str| serde_json::from_str(line).expect("a ledger has a JSON object a line");
    let mut lines: Vec<Line> = text.lines().map(parse).collect();
    lines.sort_by(|a, b| a.call.cmp(&b.call));
    let table = table(&lines);
    let path = root.join(DOCUMENT);
    let known = generated::read(&path, PART).unwrap_or_default();
    let is_same = known
        .lines()
        .map(without_seconds)
        .eq(table.lines().map(without_seconds));
    !lines.is_empty() && (is_same || generated::check(&path, PART, &table, write))
}

fn table(lines: &[Line]) -> String {
    let mut table = HEAD.to_owned();
    for line in lines {
        writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} | {:.1} |",
            line.call,
            line.aims,
            line.own.join(", "),
            grouped(line.configurations),
            grouped(line.executions),
            line.answers,
            line.seconds,
        )
        .expect("a string takes all");
    }
    let sum = |of: fn(&Line) -> u64| grouped(lines.iter().map(of).sum());
    let seconds: f64 = lines.iter().map(|line| line.seconds).sum();
    writeln!(
        table,
        "| all | | | {} | {} | | {seconds:.1} |",
        sum(|line| line.configurations),
        sum(|line| line.executions),
    )
    .expect("a string takes all");
    table.trim_end().to_owned()
}

fn without_seconds(row: &str) -> &str {
    let row = row.trim_end_matches([' ', '|']);
    row.rsplit_once('|').map_or(row, |(row, _)| row)
}

#[cfg(test)]
mod tests {
    use super::without_seconds;

    #[test]
    fn rows_differ_by_more_than_their_seconds() {
        assert_eq!(
            without_seconds("| a | 1 | 2.0 |"),
            without_seconds("| a | 1 | 3.0 |")
        );
        assert_ne!(
            without_seconds("| a | 1 | 2.0 |"),
            without_seconds("| a | 2 | 2.0 |")
        );
    }
}
