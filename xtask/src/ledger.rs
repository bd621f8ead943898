//! What the models recorded: a line of JSON for each exploration, and their outcomes.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// One exploration, of a model or of a set of programs.
#[derive(Debug, Deserialize)]
pub struct Line {
    pub checker: String,
    pub kind: String,
    pub model: String,
    pub properties: Vec<String>,
    pub programs: u64,
    /// Bounds on preemptions, the largest first, and for how many programs; `None` is no bound. For the orders of
    /// accesses.
    pub ordered: Vec<(Option<u64>, u64)>,
    /// For stale values.
    pub weak: Vec<(Option<u64>, u64)>,
    pub completed: bool,
    pub executions: u64,
    pub outcomes: u64,
    pub seconds: f64,
}

const CHECKERS: [&str; 2] = ["loom", "shuttle"];
const FILES: [&str; 2] = ["ledger.jsonl", "outcomes.txt"];

/// Lines are appended, and those of the last run are not of this one.
pub fn forget(root: &Path) {
    for checker in CHECKERS {
        for file in FILES {
            let _ = fs::remove_file(root.join("target").join(checker).join(file));
        }
    }
}

/// All lines of all ledgers; a ledger that is not there has none, which shows in the tables.
pub fn read(root: &Path) -> Vec<Line> {
    let parse = |line: &str| serde_json::from_str(line).expect("a ledger has a JSON object a line");
    CHECKERS
        .iter()
        .flat_map(|checker| {
            let text = text(root, checker, FILES[0]);
            text.lines().map(parse).collect::<Vec<Line>>()
        })
        .collect()
}

/// Of which versions the checkers were: `By loom 1.2.3 and shuttle 4.5.6.`
pub fn versions(root: &Path) -> String {
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let version = |checker: &str| {
        let entry = format!("name = \"{checker}\"\nversion = \"");
        let from = lock.find(&entry).map(|at| &lock[at + entry.len()..]);
        let version = from.and_then(|text| text.split('"').next());
        format!("{checker} {}", version.unwrap_or("of an unknown version"))
    };
    format!("By {}.", CHECKERS.map(version).join(" and "))
}

/// By model or program: hashes of what was seen.
pub type Seen = BTreeMap<String, BTreeSet<String>>;

pub fn outcomes(root: &Path, checker: &str) -> Seen {
    let mut seen = Seen::new();
    for line in text(root, checker, FILES[1]).lines() {
        let (name, hashes) = line.split_once('\t').expect("a name, a tab and the hashes");
        let hashes = hashes.split(' ').map(str::to_owned);
        seen.entry(name.to_owned()).or_default().extend(hashes);
    }
    seen
}

fn text(root: &Path, checker: &str, file: &str) -> String {
    fs::read_to_string(root.join("target").join(checker).join(file)).unwrap_or_default()
}
