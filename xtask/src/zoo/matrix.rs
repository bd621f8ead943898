//! The kill matrix, in Markdown: which bug died of which test, under each checker in which execution. Seconds are in
//! the ledger only, because they are never the same twice.

use super::kill::Kill;
use std::collections::BTreeMap;

pub const LIVES: &str = "**lives**";
const REGISTRIES: &str = "\
| what is wrong | model | loom | shuttle |
|---|---|---:|---:|
";
const SEEDED: &str = "\
| | bug | breaks | model | loom | shuttle | other tests |
|---|---|---|---|---:|---:|---|
";

/// The matrix of these kills, and of the rows of the old one that they are not about.
pub fn matrix(kills: &[Kill], old: &str) -> String {
    let mut registries: Vec<_> = specimens(kills, "zoo").iter().map(registry).collect();
    if registries.is_empty() {
        registries = rows_of(old, REGISTRIES).map(str::to_owned).collect();
    }
    let mut seeded: BTreeMap<_, _> = rows_of(old, SEEDED)
        .map(|row| (number(row).to_owned(), row.to_owned()))
        .collect();
    let new = specimens(kills, "seeded");
    seeded.extend(
        new.iter()
            .map(patch)
            .map(|row| (number(&row).to_owned(), row)),
    );
    let rows = || registries.iter().chain(seeded.values());
    let alive = rows().filter(|row| row.contains(LIVES)).count();
    format!(
        "{} registries and {} seeded bugs: {}.\n\n{REGISTRIES}{}\n\n{SEEDED}{}\n",
        registries.len(),
        seeded.len(),
        match alive {
            0 => "each is detected by every check that is named for it".to_owned(),
            some => format!("**{some} survive a check that is named for them**"),
        },
        registries.join("\n"),
        seeded.into_values().collect::<Vec<_>>().join("\n"),
    )
}

fn registry(row: &Vec<&Kill>) -> String {
    format!(
        "| {} | {} | {} | {} |",
        row[0].bug,
        models(row),
        execution(row, "loom"),
        execution(row, "shuttle")
    )
}

fn patch(row: &Vec<&Kill>) -> String {
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |",
        row[0].specimen.split('-').next().unwrap_or_default(),
        row[0].bug,
        row[0].breaks,
        models(row),
        execution(row, "loom"),
        execution(row, "shuttle"),
        tests(row)
    )
}

/// The rows below the head of a table.
fn rows_of<'a>(matrix: &'a str, head: &str) -> impl Iterator<Item = &'a str> {
    let rows = matrix.split_once(head).map_or("", |(_, rows)| rows);
    rows.lines().take_while(|line| line.starts_with('|'))
}

/// The number of a patch: the first cell of its row.
fn number(row: &str) -> &str {
    row.split('|').nth(1).map_or("", str::trim)
}

/// The lines of one kind, by specimen: the small registries by what they are in the guide, patches by their numbers.
fn specimens<'a>(kills: &'a [Kill], kind: &str) -> Vec<Vec<&'a Kill>> {
    let mut kills: Vec<_> = kills.iter().filter(|kill| kill.kind == kind).collect();
    match kind {
        "zoo" => kills.sort_by_key(|kill| (&kill.bug, &kill.specimen)),
        _ => kills.sort_by_key(|kill| &kill.specimen),
    }
    kills
        .chunk_by(|a, b| a.specimen == b.specimen)
        .map(<[_]>::to_vec)
        .collect()
}

fn is_model(kill: &Kill) -> bool {
    matches!(kill.checker.as_str(), "loom" | "shuttle")
}

/// One where both checkers have found it by the same.
fn models(row: &[&Kill]) -> String {
    names(row.iter().filter(|kill| is_model(kill)))
}

fn tests(row: &[&Kill]) -> String {
    names(row.iter().filter(|kill| !is_model(kill)))
}

fn names<'a>(kills: impl Iterator<Item = &'a &'a Kill>) -> String {
    let mut names: Vec<_> = kills
        .map(|kill| match kill.died {
            true => format!("`{}`", kill.test_name()),
            false => format!("{LIVES} under {}", kill.checker),
        })
        .collect();
    names.dedup();
    match names.len() {
        0 => "–".to_owned(),
        _ => names.join(", "),
    }
}

/// Where the harness could not tell, because the bug took the process with it or shows only in the set of all
/// outcomes, how it was found.
fn execution(row: &[&Kill], checker: &str) -> String {
    match row.iter().find(|kill| kill.checker == checker) {
        None => "–".to_owned(),
        Some(kill) if !kill.died => "**lives**".to_owned(),
        Some(kill) => kill
            .executions
            .map_or_else(|| kill.how.clone(), |number| number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kill(checker: &str, died: bool) -> Kill {
        Kill {
            kind: "seeded".to_owned(),
            specimen: "07-lost".to_owned(),
            bug: "something is lost".to_owned(),
            breaks: "P3".to_owned(),
            checker: checker.to_owned(),
            died,
            how: "failed".to_owned(),
            test: Some("p03::nothing_is_lost".to_owned()),
            executions: died.then_some(4711),
            seconds: 1.0,
        }
    }

    #[test]
    fn bug_has_one_row() {
        let kills = ["loom", "shuttle", "faults"].map(|checker| kill(checker, true));
        let matrix = matrix(&kills, "");
        assert!(matrix.contains("1 seeded bugs: each is detected"));
        assert!(matrix.contains(
            "| 07 | something is lost | P3 | `nothing_is_lost` | 4711 | 4711 | `nothing_is_lost` |"
        ));
    }

    #[test]
    fn bug_that_lives_is_seen() {
        let matrix = matrix(&[kill("loom", true), kill("shuttle", false)], "");
        assert!(matrix.contains("1 seeded bugs: **1 survive"));
        assert!(matrix.contains("| 4711 | **lives** |"));
    }

    #[test]
    fn rows_of_other_bugs_stay() {
        let alive = matrix(&[kill("loom", false)], "");
        let mut other = kill("loom", true);
        other.specimen = "08-other".to_owned();
        let both = matrix(&[other], &alive);
        assert!(both.contains("2 seeded bugs: **1 survive"));
        let dead = matrix(&[kill("loom", true)], &both);
        assert!(dead.contains("2 seeded bugs: each is detected"));
        assert_eq!(dead, matrix(&[], &dead));
    }
}
