//! The kill matrix, in Markdown: which bug died of which test, under each checker in which execution. Seconds are in
//! the ledger only, because they are never the same twice.

use super::kill::Kill;
use std::fmt::Write;

const REGISTRIES: &str = "\
| what is wrong | model | loom | shuttle |
|---|---|---:|---:|
";
const SEEDED: &str = "\
| | bug | breaks | model | loom | shuttle | other tests |
|---|---|---|---|---:|---:|---|
";

pub fn matrix(kills: &[Kill]) -> String {
    let killed = kills.iter().filter(|kill| kill.died).count();
    let mut text = format!(
        "{} registries and {} seeded bugs: {killed} of {} detected.\n",
        specimens(kills, "zoo").len(),
        specimens(kills, "seeded").len(),
        kills.len()
    );
    write!(text, "\n{REGISTRIES}").expect("a string takes all");
    for row in specimens(kills, "zoo") {
        writeln!(
            text,
            "| {} | {} | {} | {} |",
            row[0].bug,
            models(&row),
            execution(&row, "loom"),
            execution(&row, "shuttle")
        )
        .expect("a string takes all");
    }
    write!(text, "\n{SEEDED}").expect("a string takes all");
    for row in specimens(kills, "seeded") {
        let number = row[0].specimen.split('-').next().unwrap_or_default();
        writeln!(
            text,
            "| {number} | {} | {} | {} | {} | {} | {} |",
            row[0].bug,
            row[0].breaks,
            models(&row),
            execution(&row, "loom"),
            execution(&row, "shuttle"),
            tests(&row)
        )
        .expect("a string takes all");
    }
    text
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
            false => format!("**lives** under {}", kill.checker),
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
        let matrix = matrix(&[
            kill("loom", true),
            kill("shuttle", true),
            kill("faults", true),
        ]);
        assert!(matrix.contains("1 seeded bugs: 3 of 3 detected"));
        assert!(matrix.contains(
            "| 07 | something is lost | P3 | `nothing_is_lost` | 4711 | 4711 | `nothing_is_lost` |"
        ));
    }

    #[test]
    fn bug_that_lives_is_seen() {
        let matrix = matrix(&[kill("loom", true), kill("shuttle", false)]);
        assert!(matrix.contains("1 of 2 detected"));
        assert!(matrix.contains("| 4711 | **lives** |"));
    }
}
