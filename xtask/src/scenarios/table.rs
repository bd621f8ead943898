//! The table in `docs/verification.md`.

use super::scan::Ids;
use super::{Check, Kind};
use std::collections::BTreeMap;
use std::fmt::Write;

pub fn of(known: &Ids, checks: &[Check]) -> String {
    let mut table = String::new();
    let head = "models | tests | bugs that were put in, or specimens |\n|---|---|---|---|\n";
    let _ = write!(table, "| scenario | {head}");
    for id in &known.scenarios {
        row(&mut table, &id.to_string(), checks, |ids| {
            ids.scenarios.contains(id)
        });
    }
    let _ = write!(table, "\n| property | {head}");
    for id in &known.properties {
        row(&mut table, &format!("P{id}"), checks, |ids| {
            ids.properties.contains(id)
        });
    }
    table
}

fn row(table: &mut String, id: &str, checks: &[Check], names: impl Fn(&Ids) -> bool) {
    let _ = write!(table, "| {id} |");
    for kind in [Kind::Model, Kind::Test, Kind::Specimen] {
        // By file, so that it is named once.
        let mut by_file = BTreeMap::<&str, Vec<&str>>::new();
        for check in checks
            .iter()
            .filter(|check| check.kind == kind && names(&check.ids))
        {
            let (file, test) = check.name.split_once("::").unwrap_or((&check.name, ""));
            by_file.entry(file).or_default().push(test);
        }
        let cell = by_file.iter().map(|(file, tests)| match tests[..] {
            [""] => format!("`{file}`"),
            _ => format!("`{file}`: {}", tests.join(", ")),
        });
        let cell = cell.collect::<Vec<_>>().join("; ");
        let _ = write!(table, " {} |", if cell.is_empty() { "–" } else { &cell });
    }
    table.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::scan::ids;
    use super::*;

    fn check(kind: Kind, text: &str) -> Check {
        let name = "file::test".to_owned();
        Check {
            kind,
            name,
            ids: ids(text),
        }
    }

    #[test]
    fn the_table_names_every_check_once() {
        let checks = [
            check(Kind::Model, "P1, scenario 1"),
            check(Kind::Test, "scenario 1"),
        ];
        let table = of(&ids("P1, scenarios 1 and 2"), &checks);
        assert!(
            table.contains("| 1 | `file`: test | `file`: test | – |\n"),
            "{table}"
        );
        assert!(table.contains("| 2 | – | – | – |\n"), "{table}");
        assert!(table.contains("| P1 | `file`: test | – | – |\n"), "{table}");
    }
}
