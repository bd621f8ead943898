//! A child process for each flawed registry, because a model that deadlocks may abort its process.
//!
//! The child is this test binary, restricted to the registry's own test. An environment variable
//! tells the test that it runs in the child. It has to fail, in an execution that the harness
//! names, with the expected message. A failure for another reason proves nothing.

use crate::loom_tests::harness::ledger::CHECKER;
use std::process::Command;
use std::time::Instant;

/// A registry with a bug, and the model that has to detect it.
pub(super) struct Case {
    /// Name of its test.
    pub(super) name: &'static str,
    /// Description of the bug in one line.
    pub(super) bug: &'static str,
    /// Text that the failure has to contain.
    pub(super) violation: &'static str,
    pub(super) run: fn(),
}

const CHILD: &str = "JOB_REGISTRY_FLAWED";

/// Fails unless the checker detects the bug.
pub(super) fn is_detected(case: &Case) {
    let Case {
        name,
        bug,
        violation,
        run,
    } = *case;
    if std::env::var(CHILD).is_ok_and(|child| child == name) {
        return run();
    }
    let began = Instant::now();
    let (how, output) = run_in_a_child(name);
    let execution = execution(&output);
    let is_detected = how != "passed" && execution.is_some() && output.contains(violation);
    println!(
        "{bug}: {how} under {CHECKER} in execution {}, after {:.1} s",
        execution.unwrap_or("–"),
        began.elapsed().as_secs_f64(),
    );
    assert!(
        is_detected,
        "{name}: the child {how}, and {violation:?} was not detected:\n{output}"
    );
}

/// Runs the case's own test alone. Returns how it ended and its output.
fn run_in_a_child(name: &'static str) -> (&'static str, String) {
    let test = std::thread::current();
    let test = test.name().expect("a test runs on a thread of its name");
    let child = Command::new(std::env::current_exe().expect("the path of this test binary"))
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, name)
        .env("RUST_BACKTRACE", "0")
        .env_remove("JOB_REGISTRY_LEDGER")
        .env_remove("JOB_REGISTRY_OUTCOMES")
        .output()
        .expect("this test binary can be started");
    let how = match child.status.code() {
        Some(0) => "passed",
        Some(_) => "failed",
        // A signal leaves no code.
        None => "aborted",
    };
    let output = [child.stdout, child.stderr].concat();
    (how, String::from_utf8_lossy(&output).into_owned())
}

/// Returns the number of the failed execution, as the harness prints it.
fn execution(output: &str) -> Option<&str> {
    let (_, rest) = output.split_once(": detected in execution ")?;
    rest.split_once(" under ").map(|(number, _)| number)
}
