//! Verdicts about a bug, from the output of tests.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ended {
    Passed,
    Failed,
    TimedOut,
}

/// A test that has detected a bug.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The last part of its path.
    pub test: String,
    /// The number of the execution that failed. The output has none if the bug has ended the
    /// process or shows only in the set of all outcomes: then it is how the test ended.
    pub execution: String,
}

/// Judges the output of tests. The error says why the bug survives.
pub fn judge(ended: Ended, output: &str, may_hang: bool) -> Result<Finding, String> {
    let last = *started(output).last().ok_or("no test ran")?;
    let (how, test) = match (ended, failures(output).first()) {
        (Ended::Passed, _) => return Err("every test passed".to_owned()),
        (Ended::TimedOut, _) if !may_hang => return Err(format!("timed out in {last}")),
        (Ended::TimedOut, _) => ("hung", last),
        (Ended::Failed, Some(first)) => ("failed", *first),
        // Without a list of failures, the process has ended in the test that ran.
        (Ended::Failed, None) => ("aborted", last),
    };
    let test = test.rsplit("::").next().unwrap_or(test).to_owned();
    // The harness prints it when a model fails: `NAME: detected in execution N under CHECKER`.
    let detected = output.split_once(&format!("{test}: detected in execution "));
    let number = detected.and_then(|(_, rest)| rest.split(' ').next());
    let execution = number.unwrap_or(how).to_owned();
    Ok(Finding { test, execution })
}

/// Returns the names of the tests that were started: lines `test NAME ... `. After a name,
/// ` - should panic` and the like may follow.
pub fn started(output: &str) -> Vec<&str> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("test "));
    let names = lines.filter_map(|line| line.split_once(" ... "));
    names
        .filter_map(|(name, _)| name.split(" - ").next())
        .collect()
}

/// Returns the names in the list at the end of a run with failures.
pub fn failures(output: &str) -> Vec<&str> {
    let (_, list) = output.rsplit_once("\nfailures:\n").unwrap_or_default();
    let names = list.lines().take_while(|line| line.starts_with("    "));
    names.map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::{Ended, judge};

    const OUTPUT: &str = "\nrunning 2 tests\n\
        test p01::first ... ok\n\
        test p02::second ... \n\
        second: detected in execution 4711 under loom. To see it again:\n\
        FAILED\n\nfailures:\n\nfailures:\n    p02::second\n\ntest result: FAILED. 1 passed; 1 failed\n";

    #[test]
    fn failed_test_is_named_or_the_one_that_was_aborted() {
        let failed = judge(Ended::Failed, OUTPUT, false).unwrap();
        assert_eq!([failed.test, failed.execution], ["second", "4711"]);
        let (output, _) = OUTPUT.split_once("second: ").unwrap();
        let aborted = judge(Ended::Failed, output, false).unwrap();
        assert_eq!([aborted.test, aborted.execution], ["second", "aborted"]);
    }

    #[test]
    fn slow_run_or_one_without_tests_detects_nothing() {
        assert!(judge(Ended::Failed, "error: no such target", false).is_err());
        assert!(judge(Ended::TimedOut, OUTPUT, false).is_err());
        assert!(judge(Ended::TimedOut, OUTPUT, true).is_ok());
        assert!(judge(Ended::Passed, OUTPUT, false).is_err());
    }
}
