//! What the sources say about themselves: which test checks which properties and scenarios.
//!
//! A model says it by `claim!(name, [P4], [7, 19])`; any other test by its doc comment: `P4 and P6, scenarios 7 and 19: …`;
//! a seeded bug by its line `breaks: P4, scenario 7`.

use std::collections::{BTreeMap, BTreeSet};

/// The properties (`P4`) and scenarios (`19`) that something names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ids {
    pub properties: BTreeSet<u32>,
    pub scenarios: BTreeSet<u32>,
}

impl Ids {
    fn extend(&mut self, other: Ids) {
        self.properties.extend(other.properties);
        self.scenarios.extend(other.scenarios);
    }

    fn is_empty(&self) -> bool {
        self.properties.is_empty() && self.scenarios.is_empty()
    }
}

/// Those in a text: `P1`, `scenario 3`, `scenarios 3, 7 and 19`.
pub fn ids(text: &str) -> Ids {
    let mut found = Ids::default();
    let mut in_scenarios = false;
    let words = text.split(|c: char| c.is_whitespace() || ",:;.()".contains(c));
    for word in words.filter(|word| !word.is_empty()) {
        if let Some(number) = property(word) {
            found.properties.insert(number);
            in_scenarios = false;
        } else if matches!(word, "scenario" | "scenarios") {
            in_scenarios = true;
        } else if let (true, Ok(number)) = (in_scenarios, word.parse()) {
            found.scenarios.insert(number);
        } else if word != "and" {
            in_scenarios = false;
        }
    }
    found
}

/// 4, of `P4`.
pub fn property(word: &str) -> Option<u32> {
    word.strip_prefix('P')?.parse().ok()
}

/// The tests of a source file by name, with what they name. Those that name nothing are left out.
///
/// # Errors
///
/// If a claim is in the name of a test that is not in the file.
pub fn tests(text: &str) -> Result<BTreeMap<String, Ids>, String> {
    let mut found = BTreeMap::new();
    documented(text, &mut found);
    for claim in text.split("claim!(").skip(1) {
        let Some((name, ids)) = claimed(claim) else {
            continue; // in a macro, or in a text about it
        };
        if !text.contains(&format!("fn {name}(")) {
            return Err(format!(
                "there is a claim of `{name}`, and no test of this name"
            ));
        }
        let of_test: &mut Ids = found.entry(name).or_default();
        of_test.extend(ids);
    }
    found.retain(|_, ids| !ids.is_empty());
    Ok(found)
}

/// `name, [P4], [7, 19])`, and what comes after it.
fn claimed(text: &str) -> Option<(String, Ids)> {
    let (arguments, _) = text.split_once(')')?;
    let (name, lists) = arguments.split_once(',')?;
    let (properties, scenarios) = lists.split_once(']')?;
    let numbers = |list: &str, parse: fn(&str) -> Option<u32>| {
        let words = list.split(|c: char| !c.is_ascii_alphanumeric());
        words
            .filter(|word| !word.is_empty())
            .map(parse)
            .collect::<Option<BTreeSet<_>>>()
    };
    let name = name.trim();
    let is_name = !name.is_empty() && name.chars().all(|c| c == '_' || c.is_alphanumeric());
    is_name.then_some(())?;
    let ids = Ids {
        properties: numbers(properties, property)?,
        scenarios: numbers(scenarios, |word| word.parse().ok())?,
    };
    Some((name.to_owned(), ids))
}

/// The tests with a doc comment.
fn documented(text: &str, found: &mut BTreeMap<String, Ids>) {
    let mut docs = String::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("///") {
            docs.push_str(doc);
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else {
            if let (true, Some(name)) = (is_test, function(line)) {
                found.entry(name.to_owned()).or_default().extend(ids(&docs));
            }
            docs.clear();
            is_test = false;
        }
    }
}

fn function(line: &str) -> Option<&str> {
    let (_, after) = line.split_once("fn ")?;
    let name = after
        .split(|c: char| c != '_' && !c.is_alphanumeric())
        .next()?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(properties: &[u32], scenarios: &[u32]) -> Ids {
        Ids {
            properties: properties.iter().copied().collect(),
            scenarios: scenarios.iter().copied().collect(),
        }
    }

    #[test]
    fn ids_are_found_in_sentences() {
        for (text, expected) in [
            ("P4, scenario 19: a slot", of(&[4], &[19])),
            (
                "P4 and P6, scenarios 7, 11 and 19: four threads",
                of(&[4, 6], &[7, 11, 19]),
            ),
            (
                "P2, scenario 15, and P10, scenario 21: of 3",
                of(&[2, 10], &[15, 21]),
            ),
            ("P11, scenarios 23 and 33.", of(&[11], &[23, 33])),
            ("P1 and P9: the end (scenario 22).", of(&[1, 9], &[22])),
            (
                "The guide's mistakes 1, 2 and 4; scenarios 2, 3",
                of(&[], &[2, 3]),
            ),
            ("65 scenarios of PX, and P", of(&[], &[])),
        ] {
            assert_eq!(ids(text), expected, "{text}");
        }
    }

    #[test]
    fn tests_are_found_with_what_their_docs_say() {
        let text = "
            /// P4: no test.
            fn made() {}

            /// P4, scenario
            /// 19: in two lines.
            #[tokio::test(flavor = \"multi_thread\")]
            async fn waits() {}

            /// Nothing.
            #[test]
            fn silent() {}";
        let expected = BTreeMap::from([("waits".to_owned(), of(&[4], &[19]))]);
        assert_eq!(tests(text).unwrap(), expected);
    }

    #[test]
    fn claims_and_docs_of_one_test_are_one() {
        let text = "
            /// P6 as well.
            #[test]
            fn taken_once() {
                let claim = claim!(
                    taken_once,
                    [P5, P10],
                    [7, 19]
                );
            }";
        let expected = BTreeMap::from([("taken_once".to_owned(), of(&[5, 6, 10], &[7, 19]))]);
        assert_eq!(tests(text).unwrap(), expected);
    }

    #[test]
    fn a_claim_in_anothers_name_fails() {
        let text = "#[test]\nfn this() { claim!(that, [P1], []) }";
        assert!(tests(text).unwrap_err().contains("`that`"));
    }
}
