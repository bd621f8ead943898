//! Records of the models: a line of JSON for each exploration, and the outcomes that were seen.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Returns the lines of a checker's ledger. A missing ledger has none, which shows in the tables.
pub fn lines(checker: &str) -> Vec<Value> {
    let text = fs::read_to_string(format!("target/{checker}/ledger.jsonl"));
    let parse = |line| serde_json::from_str(line).expect("each line is a JSON object");
    text.unwrap_or_default().lines().map(parse).collect()
}

/// Hashes of the outcomes that were seen, by model or program.
type Seen = BTreeMap<String, BTreeSet<String>>;

/// Returns whether loom has seen all outcomes of shuttle. Loom may see more: stale values.
pub fn compare() -> bool {
    let [loom, shuttle] = ["loom", "shuttle"].map(|checker| {
        let text = fs::read_to_string(format!("target/{checker}/outcomes.txt"));
        seen(&text.unwrap_or_default())
    });
    let wrong = differences(&loom, &shuttle);
    wrong.iter().take(20).for_each(|line| eprintln!("{line}"));
    let compared = shuttle.keys().filter(|&name| loom.contains_key(name));
    let compared = compared.count();
    let (fine, alone) = (compared - wrong.len(), shuttle.len() - compared);
    println!("shuttle's outcomes are loom's: {fine} of {compared}; {alone} are not compared");
    wrong.is_empty() && compared > 0
}

/// Reads lines of a name, a tab, and hashes.
fn seen(text: &str) -> Seen {
    let mut seen = Seen::new();
    for (name, hashes) in text.lines().filter_map(|line| line.split_once('\t')) {
        let hashes = hashes.split(' ').map(str::to_owned);
        seen.entry(name.to_owned()).or_default().extend(hashes);
    }
    seen
}

/// Compares the models and programs that both have explored in every order of the calls.
fn differences(loom: &Seen, shuttle: &Seen) -> Vec<String> {
    let compare = |(name, seen): (&String, &BTreeSet<String>)| {
        let alone = seen.difference(loom.get(name)?).count();
        (alone > 0).then(|| format!("{name}: {alone} outcomes under shuttle alone"))
    };
    shuttle.iter().filter_map(compare).collect()
}

#[cfg(test)]
mod tests {
    use super::{differences, seen};

    #[test]
    fn outcome_of_shuttle_alone_is_a_difference() {
        let (less, more) = (seen("a\t1\nb\t3"), seen("a\t1 2"));
        assert_eq!(differences(&less, &more).len(), 1);
        assert!(differences(&more, &less).is_empty());
    }
}
