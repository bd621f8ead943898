//! What a test run says about a bug.

use super::child::{Child, Ended};

pub struct Verdict {
    pub died: bool,
    pub how: String,
    /// The first test that failed.
    pub test: Option<String>,
    /// In which execution of the model it did, where the output tells.
    pub executions: Option<u64>,
}

impl Verdict {
    pub fn lives(how: String) -> Self {
        Self {
            died: false,
            how,
            test: None,
            executions: None,
        }
    }

    pub fn of(child: &Child, may_hang: bool) -> Self {
        let started = started(&child.output);
        let Some(last) = started.last() else {
            return Self::lives("no test ran".to_owned());
        };
        let failed = failures(&child.output);
        let (how, test) = match (child.ended, failed.first()) {
            (Ended::Passed, _) => return Self::lives("every test passed".to_owned()),
            (Ended::TimedOut, _) if !may_hang => {
                return Self::lives(format!("timed out in {last}"));
            }
            (Ended::TimedOut, _) => ("hung", last),
            (Ended::Failed, Some(first)) => ("failed", first),
            // Without a list of failures, the process has gone down in the test that ran.
            (Ended::Failed, None) => ("aborted", last),
        };
        Self {
            died: true,
            how: how.to_owned(),
            test: Some(test.clone()),
            executions: execution(&child.output),
        }
    }
}

/// The names of the tests that were started: lines `test NAME ... `.
pub fn started(output: &str) -> Vec<String> {
    let name = |line: &str| {
        let (name, _) = line.strip_prefix("test ")?.split_once(" ... ")?;
        // `should panic` and the like.
        Some(name.split(" - ").next().unwrap_or(name).to_owned())
    };
    output.lines().filter_map(name).collect()
}

/// The names in the list that stands at the end of a run with failures.
pub fn failures(output: &str) -> Vec<String> {
    let Some((_, list)) = output.rsplit_once("\nfailures:\n") else {
        return Vec::new();
    };
    list.lines()
        .take_while(|line| line.starts_with("    "))
        .map(|line| line.trim().to_owned())
        .collect()
}

/// What the harness prints when a model fails.
fn execution(output: &str) -> Option<u64> {
    let (_, rest) = output.split_once("detected in execution ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}
