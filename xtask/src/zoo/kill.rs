//! Lines of the zoo's ledger.

use super::seeded::{Checker, Seeded};
use super::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// One bug under one checker.
#[derive(Debug, Deserialize, Serialize)]
pub struct Kill {
    /// `seeded` for a patch, `zoo` for a small registry of its own.
    pub kind: String,
    pub specimen: String,
    pub bug: String,
    /// Properties; of a patch.
    #[serde(default)]
    pub breaks: String,
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
            breaks: bug.breaks.clone(),
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
    pub fn test_name(&self) -> &str {
        let test = self.test.as_deref().unwrap_or("–");
        test.rsplit("::").next().unwrap_or(test)
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.died { "killed" } else { "LIVES" };
        let executions = self.executions.map_or("–".to_owned(), |n| n.to_string());
        write!(
            f,
            "{verdict:<7} {:<12} {:>5.1} s {executions:>7}  {} ({}: {})",
            self.checker,
            self.seconds,
            self.specimen,
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
