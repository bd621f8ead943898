//! Lines of the zoo's ledger, and the matrix that is made of them.

use super::seeded::{Checker, Seeded};
use super::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// One bug under one checker.
#[derive(Debug, Deserialize, Serialize)]
pub struct Kill {
    /// `seeded` for a patch, `zoo` for a small registry of its own.
    pub kind: String,
    pub specimen: String,
    pub bug: String,
    pub checker: String,
    pub died: bool,
    pub how: String,
    /// The first test that failed.
    pub test: Option<String>,
    /// Until the first detection.
    pub executions: Option<u64>,
    pub seconds: f64,
}

impl Kill {
    pub fn new(bug: &Seeded, checker: &Checker, verdict: Verdict, took: Duration) -> Self {
        Self {
            kind: "seeded".to_owned(),
            specimen: bug.name.clone(),
            bug: bug.bug.clone(),
            checker: checker.to_string(),
            died: verdict.died,
            how: verdict.how,
            test: verdict.test,
            executions: verdict.executions,
            seconds: took.as_secs_f64(),
        }
    }

    pub fn append(&self, ledger: &Path) {
        let line = serde_json::to_string(self).expect("a line can be written as JSON");
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(ledger);
        file.and_then(|mut file| writeln!(file, "{line}"))
            .expect("the ledger can be written");
    }

    /// The last part of the killing test's path.
    fn test_name(&self) -> &str {
        let test = self.test.as_deref().unwrap_or("–");
        test.rsplit("::").next().unwrap_or(test)
    }

    fn cell(&self) -> String {
        match (self.died, self.executions) {
            (false, _) => format!("**lives**: {}", self.how.lines().next().unwrap_or_default()),
            (true, Some(executions)) => format!("`{}`, {executions}", self.test_name()),
            (true, None) => format!("`{}`", self.test_name()),
        }
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.died { "killed" } else { "LIVES" };
        let executions = self.executions.map_or("–".to_owned(), |n| n.to_string());
        write!(
            f,
            "{:<36} {:<8} {verdict:<7} {:>6.1} s  {executions:>7}  {}: {}",
            self.specimen,
            self.checker,
            self.seconds,
            self.how,
            self.test_name()
        )
    }
}

/// All lines; a ledger that is not there has none.
pub fn read(ledger: &Path) -> Vec<Kill> {
    let text = std::fs::read_to_string(ledger).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a ledger has a JSON object a line"))
        .collect()
}

/// Bug × checker: the test that killed it, and in which execution where that is known. Seconds are in the
/// ledger only, because they are never the same twice.
pub fn table(kills: &[Kill]) -> String {
    let mut table = String::from("| bug | loom | shuttle | tests |\n|---|---|---|---|\n");
    let mut specimens: Vec<_> = kills
        .iter()
        .map(|kill| (&kill.kind, &kill.specimen, &kill.bug))
        .collect();
    // The small registries first, by what they are in the guide, and then the patches by their numbers.
    specimens.sort_by_key(|(kind, specimen, bug)| match kind.as_str() {
        "zoo" => (false, *bug),
        _ => (true, *specimen),
    });
    specimens.dedup();
    for (kind, specimen, bug) in specimens {
        let cell = |is_there: &dyn Fn(&str) -> bool| {
            let cells: Vec<_> = kills
                .iter()
                .filter(|kill| kill.kind == *kind && kill.specimen == *specimen)
                .filter(|kill| is_there(&kill.checker))
                .map(Kill::cell)
                .collect();
            match cells.len() {
                0 => "–".to_owned(),
                _ => cells.join("; "),
            }
        };
        let loom = cell(&|checker| checker == "loom");
        let shuttle = cell(&|checker| checker == "shuttle");
        let tests = cell(&|checker| checker != "loom" && checker != "shuttle");
        writeln!(table, "| {bug} | {loom} | {shuttle} | {tests} |").expect("a string takes all");
    }
    table
}
