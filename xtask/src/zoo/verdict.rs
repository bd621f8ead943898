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
            executions: execution(&child.output, test),
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

/// What the harness prints when a model fails, `NAME: detected in execution N under CHECKER`.
fn execution(output: &str, test: &str) -> Option<u64> {
    let name = test.rsplit("::").next()?;
    let (_, rest) = output.split_once(&format!("{name}: detected in execution "))?;
    rest.split_once(" under ")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\nrunning 2 tests\n\
        test p01::first ... ok\n\
        test p02::second ... \n\
        second: detected in execution 4711 under loom. To see it again:\n\
        FAILED\n\nfailures:\n\nfailures:\n    p02::second\n\ntest result: FAILED. 1 passed; 1 failed\n";

    fn child(ended: Ended, output: &str) -> Child {
        Child {
            ended,
            output: output.to_owned(),
        }
    }

    #[test]
    fn failed_test_is_named_with_its_execution() {
        let verdict = Verdict::of(&child(Ended::Failed, OUTPUT), false);
        assert!(verdict.died);
        assert_eq!(verdict.test.as_deref(), Some("p02::second"));
        assert_eq!(verdict.executions, Some(4711));
    }

    #[test]
    fn abort_belongs_to_the_last_test() {
        let (output, _) = OUTPUT.split_once("FAILED").unwrap();
        let verdict = Verdict::of(&child(Ended::Failed, output), false);
        assert_eq!((verdict.died, &*verdict.how), (true, "aborted"));
        assert_eq!(verdict.test.as_deref(), Some("p02::second"));
    }

    #[test]
    fn nothing_dies_of_no_test_or_of_being_slow() {
        assert!(!Verdict::of(&child(Ended::Failed, "error: no such target"), false).died);
        assert!(!Verdict::of(&child(Ended::TimedOut, OUTPUT), false).died);
        assert!(Verdict::of(&child(Ended::TimedOut, OUTPUT), true).died);
        assert!(!Verdict::of(&child(Ended::Passed, OUTPUT), false).died);
    }
}
