//! Whether loom has seen every outcome that shuttle has seen, model by model and program by program. Loom may see
//! more: stale values.

use crate::ledger::{self, Seen};
use std::path::Path;

pub fn run(root: &Path) -> bool {
    let [loom, shuttle] = ["loom", "shuttle"].map(|checker| ledger::outcomes(root, checker));
    let wrong = differences(&loom, &shuttle);
    for line in wrong.iter().take(20) {
        eprintln!("{line}");
    }
    let compared = shuttle.keys().filter(|name| loom.contains_key(*name));
    let compared = compared.count();
    println!(
        "\nshuttle's outcomes are loom's: {} of {compared} models and programs; {} are shuttle's alone",
        compared - wrong.len(),
        shuttle.len() - compared
    );
    wrong.is_empty() && compared > 0
}

/// Some models are for shuttle alone, and of some programs loom has not explored every order of the calls; these are
/// not compared.
fn differences(loom: &Seen, shuttle: &Seen) -> Vec<String> {
    let compare = |(name, seen): (&String, &_)| {
        let also = loom.get(name)?;
        let alone = std::collections::BTreeSet::difference(seen, also).count();
        let all = also.len();
        (alone > 0)
            .then(|| format!("{name}: {alone} outcomes under shuttle alone, {all} under loom"))
    };
    shuttle.iter().filter_map(compare).collect()
}

#[cfg(test)]
mod tests {
    use super::differences;
    use crate::ledger::Seen;

    fn seen(name: &str, outcomes: &[&str]) -> Seen {
        let outcomes = outcomes.iter().map(|text| (*text).to_owned()).collect();
        Seen::from([(name.to_owned(), outcomes)])
    }

    #[test]
    fn an_outcome_of_shuttle_alone_is_told() {
        assert_eq!(
            differences(&seen("a", &["1"]), &seen("a", &["1", "2"])).len(),
            1
        );
    }

    #[test]
    fn loom_may_see_more() {
        assert!(differences(&seen("a", &["1", "2"]), &seen("a", &["1"])).is_empty());
    }
}
