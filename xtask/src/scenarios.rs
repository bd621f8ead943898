//! The tests of each property (`P4`) and scenario (`19`), as the sources name them.
//!
//! A model names them by `claim!(name, [P4], [7, 19])`, any other test by its doc comment,
//! `P4, scenarios 7 and 19: …`, and a seeded bug by its line `breaks: P4, scenario 7`.

use crate::config::name;
use crate::documents::{cell, rows};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::sync::LazyLock;

/// A test, or a seeded bug, that names something.
pub struct Test {
    pub file: String,
    name: String,
    pub ids: BTreeSet<String>,
}

impl Test {
    /// Whether it shows that a check can fail, and checks nothing itself.
    fn is_flawed(&self) -> bool {
        self.file.starts_with(name("flawed")) || self.file.starts_with(name("seeded"))
    }
}

/// Returns whether every known property and scenario has a test, and every named one is known.
/// `print` prints the tests of each.
pub fn check(print: bool) -> bool {
    let list = fs::read_to_string(name("scenarios")).unwrap_or_default();
    let known = rows(&list).into_iter().map(|row| cell(row, 0));
    let known: Vec<_> = known.filter_map(|id| id.split(' ').next()).collect();
    let tests = tests();
    let mut wrong = Vec::new();
    for Test { file, name, ids } in &tests {
        let unknown = ids.iter().filter(|id| !known.contains(&id.as_str()));
        wrong.extend(unknown.map(|id| format!("{file}: {name} names {id}, which is not known")));
    }
    for id in known {
        let named: Vec<_> = tests.iter().filter(|test| test.ids.contains(id)).collect();
        if named.iter().all(|test| test.is_flawed()) {
            wrong.push(format!("no test names {id}"));
        }
        if print {
            println!("{id}");
            named
                .iter()
                .for_each(|test| println!("    {}: {}", test.file, test.name));
        }
    }
    wrong.iter().for_each(|line| eprintln!("{line}"));
    wrong.is_empty() && !tests.is_empty()
}

/// Returns the tests, and the seeded bugs, that name something.
pub fn tests() -> Vec<Test> {
    let list = "ls-files --cached --others --exclude-standard *.rs *.patch :!xtask";
    let list = Command::new("git").args(list.split(' ')).output();
    let list = list.expect("git can list the sources").stdout;
    let mut tests = Vec::new();
    for file in String::from_utf8_lossy(&list).lines() {
        // A file may have been removed.
        let text = fs::read_to_string(file).unwrap_or_default();
        for (name, ids) in named(&text) {
            let (file, name) = (file.to_owned(), name.to_owned());
            tests.push(Test { file, name, ids });
        }
    }
    tests
}

/// The doc comment and name of a test.
const DOCUMENTED: &str =
    r"(?m)((?:^ *///.*\n)+)(?: *#\[.*\n)*? *#\[(?:tokio::)?test\b.*\n(?: *#\[.*\n)*.*\bfn (\w+)";
/// The same of a test that also runs with wrong scripts.
const CHECKED: &str = r"(?m)((?:^ *///.*\n)+) *async fn (\w+)\(server, parts\)";
const CLAIMED: &str = r"claim!\(\s*(\w+),\s*\[([^\]]*)\],\s*\[([^\]]*)\]";
const SEEDED: &str = r"(?m)^breaks: (.*)$";
const PROPERTY: &str = r"\bP\d+\b";
const SCENARIOS: &str = r"\b[Ss]cenarios?\s+(?:\d+(?:,\s*|\s+and\s+)?)+";

/// Returns the tests in a text that name something, each with its ids.
fn named(text: &str) -> BTreeMap<&str, BTreeSet<String>> {
    static REGEXES: LazyLock<[Regex; 7]> = LazyLock::new(|| {
        [
            DOCUMENTED, CHECKED, CLAIMED, SEEDED, PROPERTY, SCENARIOS, r"\d+",
        ]
        .map(|text| Regex::new(text).expect("it is a constant"))
    });
    let [
        documented,
        checked,
        claimed,
        seeded,
        property,
        scenarios,
        number,
    ] = &*REGEXES;
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    let mut add = |name, text: &str| {
        let numbers = scenarios.find_iter(text).map(|it| it.as_str());
        let numbers = numbers.flat_map(|text| number.find_iter(text));
        let ids = property.find_iter(text).chain(numbers);
        let of_test = found.entry(name).or_default();
        of_test.extend(ids.map(|id| id.as_str().to_owned()));
    };
    for it in documented
        .captures_iter(text)
        .chain(checked.captures_iter(text))
    {
        let (_, [docs, name]) = it.extract();
        add(name, &docs.replace("///", ""));
    }
    for it in claimed.captures_iter(text) {
        let (_, [name, properties, scenarios]) = it.extract();
        add(name, &format!("{properties}, scenarios {scenarios}"));
    }
    for it in seeded.captures_iter(text) {
        let (_, [ids]) = it.extract();
        add("(seeded bug)", ids);
    }
    found.retain(|_, ids| !ids.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn tests_are_found_with_docs_and_claims() {
        let text = "/// P4: no test.\nfn made() {}\n\n\
            /// P4 and P6, scenarios 7, 11\n/// and 19: in 2 lines (scenario 22).\n\
            #[tokio::test(flavor = \"multi_thread\")]\n#[ignore]\nasync fn waits() {}\n\n\
            /// 65 scenarios of PX.\n#[test]\nfn silent() {}\n\n\
            /// P6 as well.\n#[test]\nfn once() {\n    claim!(\n once,\n [P5, P10],\n [7, 19]\n) }";
        let found = named(text);
        assert_eq!(found.len(), 2);
        let waits = &found["waits"];
        assert!(waits.iter().eq(["11", "19", "22", "7", "P4", "P6"]));
        assert!(found["once"].iter().eq(["19", "7", "P10", "P5", "P6"]));
        assert!(named("breaks: P4, scenario 7\n")["(seeded bug)"].contains("7"));
    }
}
