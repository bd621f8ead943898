//! The table of explorations: what each checker has explored, by property and by set of programs.

use crate::generated;
use crate::ledger::{self, Line};
use crate::properties::grouped;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

const DOCUMENT: &str = "docs/verification.md";
/// Names every set that there is.
const SETS: &str = "loom_tests/explorer/sets.rs";
const HEAD: &str = "| models and programs | checker | programs | executions | outcomes | bound | completed | seconds |\n\
     |---|---|---:|---:|---:|---|---|---:|\n";

/// Rows of one subject under one checker, summed up.
#[derive(Default)]
struct Row {
    programs: u64,
    executions: u64,
    outcomes: u64,
    ordered: Bounds,
    weak: Bounds,
    incomplete: u64,
    /// Of schedules that were drawn: there is no end to come to.
    drawn: u64,
    seconds: f64,
}

/// How many programs within each; `None` is no bound.
type Bounds = BTreeMap<Option<u64>, u64>;

impl Row {
    fn add(&mut self, line: &Line) {
        self.programs += line.programs;
        self.executions += line.executions;
        self.outcomes += line.outcomes;
        for (bounds, more) in [
            (&mut self.ordered, &line.ordered),
            (&mut self.weak, &line.weak),
        ] {
            for (bound, programs) in more {
                *bounds.entry(*bound).or_default() += programs;
            }
        }
        self.incomplete += u64::from(!line.completed);
        self.drawn += u64::from(line.kind == "random");
        self.seconds += line.seconds;
    }

    /// `none`, or `3`; where the two forms of loom's runs differ, both, the orders of accesses first.
    fn bound(&self) -> String {
        let [ordered, weak] = [&self.ordered, &self.weak].map(bounds);
        if ordered == weak {
            ordered
        } else {
            format!("{ordered}; stale values: {weak}")
        }
    }

    fn completed(&self) -> String {
        match self.incomplete {
            _ if self.drawn > 0 => "drawn".to_owned(),
            0 => "yes".to_owned(),
            some => format!("**not {some}**"),
        }
    }
}

/// `none: 830, 3: 10`, and without the counts where there is only one.
fn bounds(all: &Bounds) -> String {
    let name = |bound: &Option<u64>| bound.map_or("none".to_owned(), |bound| bound.to_string());
    match all.len() {
        1 => all.keys().map(name).collect(),
        _ => {
            let texts = all
                .iter()
                .map(|(bound, programs)| format!("{}: {programs}", name(bound)));
            texts.collect::<Vec<_>>().join(", ")
        }
    }
}

/// A model belongs to all of its properties, a set to itself: its lines are called `SET, START`.
fn rows(lines: &[Line]) -> BTreeMap<(u64, String, &str), Row> {
    let mut rows = BTreeMap::<_, Row>::new();
    for line in lines {
        let subjects = match line.kind.as_str() {
            "model" => line
                .properties
                .iter()
                .map(|id| (number(id), id.clone()))
                .collect(),
            _ => {
                let set = line
                    .model
                    .rsplit_once(", ")
                    .map_or(&*line.model, |(set, _)| set);
                vec![(100, set.to_owned())]
            }
        };
        for (place, subject) in subjects {
            rows.entry((place, subject, line.checker.as_str()))
                .or_default()
                .add(line);
        }
    }
    rows
}

/// `P12` is 12.
fn number(property: &str) -> u64 {
    property.trim_start_matches('P').parse().unwrap_or(99)
}

pub fn table(lines: &[Line]) -> String {
    let mut table = HEAD.to_owned();
    for ((_, subject, checker), row) in rows(lines) {
        writeln!(
            table,
            "| {subject} | {checker} | {} | {} | {} | {} | {} | {:.0} |",
            grouped(row.programs),
            grouped(row.executions),
            grouped(row.outcomes),
            row.bound(),
            row.completed(),
            row.seconds,
        )
        .expect("a string takes all");
    }
    table
}

/// The document has a row for each subject and checker, as the last run that explored it recorded it. What this run
/// has explored must be in it with the same numbers, but for the seconds, and no set that is no more; with `write` that is so,
/// afterwards.
pub fn check(root: &Path, lines: &[Line], write: bool) -> bool {
    let path = root.join(DOCUMENT);
    let known = generated::read(&path, "ledger").unwrap_or_default();
    let sets = std::fs::read_to_string(root.join(SETS)).expect("a file of the project");
    let table = table(lines);
    let complete = lines.iter().all(|line| line.completed) && !lines.is_empty();
    let versions = ledger::versions(root);
    if write {
        let all = format!("{}\n{versions}", merged(&known, &table, &sets));
        return generated::check(&path, "ledger", &all, true) && complete;
    }
    let known: Vec<_> = known.lines().map(without_seconds).collect();
    let is_new = |row: &&str| !known.contains(&without_seconds(row));
    let new: Vec<_> = rows_of(&table).chain([&*versions]).filter(is_new).collect();
    for row in &new {
        eprintln!("{DOCUMENT} does not have this line; `--write` writes it: {row}");
    }
    let old: Vec<_> = known.iter().filter(|row| !is_there(row, &sets)).collect();
    for row in &old {
        eprintln!(
            "{DOCUMENT} has a line for a set that is not in {SETS}; `--write` drops it: {row}"
        );
    }
    new.is_empty() && old.is_empty() && complete
}

/// Whether what a row is about is among the sets, if it is a set at all.
fn is_there(row: &str, sets: &str) -> bool {
    let (name, _) = subject(row);
    !name.contains(" calls, ") || sets.contains(&format!("\"{name}\""))
}

/// Those of a table, without its head.
fn rows_of(table: &str) -> impl Iterator<Item = &str> {
    let rows = table.lines().filter(|line| line.starts_with('|'));
    rows.skip(2)
}

fn without_seconds(row: &str) -> &str {
    let row = row.trim_end_matches([' ', '|']);
    row.rsplit_once('|').map_or(row, |(row, _)| row)
}

/// What a row is about, and which checker it is of.
fn subject(row: &str) -> (&str, &str) {
    let mut cells = row.split('|').skip(1).map(str::trim);
    (
        cells.next().unwrap_or_default(),
        cells.next().unwrap_or_default(),
    )
}

/// The rows of the new table, in their places among those of the old one, whose sets are still there.
fn merged(old: &str, new: &str, sets: &str) -> String {
    let rows = |table| rows_of(table).map(str::to_owned).collect::<Vec<_>>();
    let (mut all, new) = (rows(old), rows(new));
    all.retain(|row| is_there(row, sets));
    for row in new {
        match all.iter_mut().find(|old| subject(old) == subject(&row)) {
            Some(old) => *old = row,
            None => all.push(row),
        }
    }
    // Properties by their numbers, and the sets behind them.
    all.sort_by_key(|row| {
        let (subject, checker) = subject(row);
        (number(subject), subject.to_owned(), checker.to_owned())
    });
    format!("{HEAD}{}\n", all.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::{HEAD, merged, without_seconds};

    #[test]
    fn a_new_row_takes_the_place_of_the_old_one() {
        let table = |rows: &str| format!("{HEAD}{rows}\n");
        let old = table("| P1 | loom | 1 | 7 |\n| P2 | loom | 1 | 8 |");
        let new = table("| P10 | loom | 1 | 5 |\n| P2 | loom | 1 | 9 |");
        let all = table("| P1 | loom | 1 | 7 |\n| P2 | loom | 1 | 9 |\n| P10 | loom | 1 | 5 |");
        assert_eq!(merged(&old, &new, ""), all);
        assert_eq!(merged("", &old, ""), old);
    }

    #[test]
    fn a_set_that_is_no_more_has_no_row() {
        let table = |rows: &str| format!("{HEAD}{rows}\n");
        let old = table("| 1 + 1 calls, core | loom | 1 |\n| 1 + 1 calls, life | loom | 1 |");
        let sets = r#"name: "1 + 1 calls, life","#;
        let all = table("| 1 + 1 calls, life | loom | 1 |");
        assert_eq!(merged(&old, &table(""), sets), all);
    }

    #[test]
    fn seconds_are_not_compared() {
        assert_eq!(
            without_seconds("| P1 | loom | 7 | 12 |"),
            without_seconds("| P1 | loom | 7 | 13 |")
        );
        assert_ne!(
            without_seconds("| P1 | loom | 7 | 12 |"),
            without_seconds("| P1 | loom | 8 | 12 |")
        );
    }
}
