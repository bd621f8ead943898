//! The map of properties and scenarios to the tests that check them. `docs/scenarios.md` says which there are, the sources
//! say what checks them, and the table in `docs/verification.md` is made of both.

mod scan;
mod table;

use crate::generated;
use scan::{Ids, ids, property, tests};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const KNOWN: &str = "docs/scenarios.md";
const DOCUMENT: &str = "docs/verification.md";

/// Where tests are, and the name of the place in the table.
const PLACES: &[(&str, &str)] = &[
    ("src", ""),
    ("tests", ""),
    ("tests/compile_fail", "compile_fail/"),
    ("loom_tests", ""),
    ("examples/presentation-service/src", "presentation-service/"),
    (
        "examples/presentation-service/tests",
        "presentation-service/",
    ),
];

/// What kind of a check it is. A specimen shows that a check can fail; it is none itself.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Model,
    Test,
    Specimen,
}

#[derive(Debug)]
struct Check {
    kind: Kind,
    name: String,
    ids: Ids,
}

/// Every property and scenario has a check, and the documentation's table says which. With `write` it is written.
pub fn check(root: &Path, write: bool) -> bool {
    match map(root) {
        Ok(table) => generated::check(&root.join(DOCUMENT), "scenarios", &table, write),
        Err(wrong) => {
            eprintln!("{wrong}");
            false
        }
    }
}

fn map(root: &Path) -> Result<String, String> {
    let known = known(&read(&root.join(KNOWN))?);
    let checks = checks(root)?;
    judge(&known, &checks)?;
    Ok(table::of(&known, &checks))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The ids in the first column of the list's tables.
fn known(list: &str) -> Ids {
    let mut known = Ids::default();
    for row in list.lines().filter_map(|line| line.strip_prefix("| ")) {
        let id = row.split(' ').next().unwrap_or_default();
        if let Some(number) = property(id) {
            known.properties.insert(number);
        } else if let Ok(number) = id.parse() {
            known.scenarios.insert(number);
        }
    }
    known
}

fn checks(root: &Path) -> Result<Vec<Check>, String> {
    let mut found = Vec::new();
    for (folder, prefix) in PLACES {
        let base = root.join(folder);
        let mut files = Vec::new();
        list(&base, &mut files).map_err(|error| format!("{folder}: {error}"))?;
        files.sort();
        for file in files {
            let inside = file.strip_prefix(&base).expect("it is in there");
            let place = format!("{prefix}{}", inside.with_extension("").display());
            let kind = match *folder {
                "loom_tests" if place.starts_with("zoo/") || place.starts_with("seeded/") => {
                    Kind::Specimen
                }
                "loom_tests" => Kind::Model,
                _ => Kind::Test,
            };
            let text = read(&file)?;
            if file
                .extension()
                .is_some_and(|extension| extension == "patch")
            {
                let line = text.lines().find_map(|line| line.strip_prefix("breaks:"));
                let ids = ids(line.ok_or_else(|| format!("{place}: breaks nothing"))?);
                found.push(Check {
                    kind,
                    name: place,
                    ids,
                });
                continue;
            }
            let tests = tests(&text).map_err(|error| format!("{}: {error}", file.display()))?;
            found.extend(tests.into_iter().map(|(name, ids)| {
                let name = format!("{place}::{name}");
                Check { kind, name, ids }
            }));
        }
    }
    Ok(found)
}

/// The sources in a folder, without those of a package in it.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.join("Cargo.toml").exists() {
            list(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|it| it == "rs" || it == "patch")
        {
            files.push(path);
        }
    }
    Ok(())
}

/// What is named has to be known, and what is known has to be checked.
fn judge(known: &Ids, checks: &[Check]) -> Result<(), String> {
    let mut wrong = String::new();
    for check in checks {
        for id in check.ids.properties.difference(&known.properties) {
            let _ = writeln!(wrong, "{}: there is no P{id}", check.name);
        }
        for id in check.ids.scenarios.difference(&known.scenarios) {
            let _ = writeln!(wrong, "{}: there is no scenario {id}", check.name);
        }
    }
    let is_checked = |all: fn(&Ids) -> &BTreeSet<u32>, id: &u32| {
        let mut checks = checks.iter().filter(|check| check.kind != Kind::Specimen);
        checks.any(|check| all(&check.ids).contains(id))
    };
    for id in &known.properties {
        if !is_checked(|ids| &ids.properties, id) {
            let _ = writeln!(wrong, "nothing checks P{id}");
        }
    }
    for id in &known.scenarios {
        if !is_checked(|ids| &ids.scenarios, id) {
            let _ = writeln!(wrong, "nothing checks scenario {id}");
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::{Check, Ids, Kind, ids, judge, known};

    const LIST: &str =
        "| | what |\n|---|---|\n| P1 | forward |\n\n| 1 | lost |\n| 2 | 3 threads |\n";

    fn of(kind: Kind, text: &str) -> Check {
        let name = "file::test".to_owned();
        Check {
            kind,
            name,
            ids: ids(text),
        }
    }

    fn wrong(checks: &[Check]) -> String {
        judge(&known(LIST), checks).err().unwrap_or_default()
    }

    #[test]
    fn what_there_is_comes_from_the_first_column() {
        let Ids {
            properties,
            scenarios,
        } = known(LIST);
        assert!(properties.into_iter().eq([1]) && scenarios.into_iter().eq([1, 2]));
    }

    #[test]
    fn everything_checked_is_well() {
        let checks = [
            of(Kind::Test, "P1, scenario 1"),
            of(Kind::Model, "scenario 2"),
        ];
        assert_eq!(wrong(&checks), "");
    }

    #[test]
    fn an_unknown_id_fails() {
        let checks = [of(Kind::Test, "P1, P3, scenarios 1, 2 and 9")];
        assert_eq!(
            wrong(&checks),
            "file::test: there is no P3\nfile::test: there is no scenario 9\n"
        );
    }

    #[test]
    fn what_nothing_checks_fails() {
        assert_eq!(
            wrong(&[of(Kind::Test, "P1, scenario 2")]),
            "nothing checks scenario 1\n"
        );
        assert_eq!(
            wrong(&[of(Kind::Test, "scenarios 1 and 2")]),
            "nothing checks P1\n"
        );
    }

    #[test]
    fn a_specimen_checks_nothing() {
        let checks = [
            of(Kind::Specimen, "P1, scenario 1"),
            of(Kind::Model, "P1, scenario 2"),
        ];
        assert_eq!(wrong(&checks), "nothing checks scenario 1\n");
    }
}
