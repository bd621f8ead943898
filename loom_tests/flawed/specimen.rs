//! How a specimen is put to the test: in a child process, because a model that deadlocks may take its
//! process with it.
//!
//! The child is this same test binary, told to run the specimen's own test alone, and by a variable of the
//! environment that it is the child. It has to fail, in an execution that the harness names, and to say what it was
//! expected to say; a specimen that fails for another reason proves nothing.

use crate::loom_tests::harness::ledger::{CHECKER, append};
use std::process::Command;
use std::time::Instant;

/// A registry with a bug, and the model that has to find it.
pub(super) struct Specimen {
    /// The name of the test that it belongs to.
    pub(super) name: &'static str,
    /// In a line.
    pub(super) bug: &'static str,
    /// What the failure has to say.
    pub(super) violation: &'static str,
    pub(super) run: fn(),
}

const SPECIMEN: &str = "JOB_REGISTRY_SPECIMEN";

/// Fails unless the checker catches the specimen.
pub(super) fn dies(specimen: &Specimen) {
    let Specimen {
        name,
        bug,
        violation,
        run,
    } = *specimen;
    if std::env::var(SPECIMEN).is_ok_and(|child| child == name) {
        return run();
    }
    let began = Instant::now();
    let (how, output) = run_in_a_child(name);
    let execution = execution(&output);
    let died = how != "lived" && execution.is_some() && output.contains(violation);
    let line = format!(
        "{{\"kind\":\"zoo\",\"specimen\":{name:?},\"bug\":{bug:?},\"checker\":\"{CHECKER}\",\"died\":{died},\
         \"how\":\"{how}\",\"test\":{name:?},\"executions\":{},\"seconds\":{:.3}}}\n",
        execution.unwrap_or("null"),
        began.elapsed().as_secs_f64(),
    );
    print!("{line}");
    append("JOB_REGISTRY_ZOO_LEDGER", &line);
    assert!(
        died,
        "{name} has {how} and did not die of {violation:?}:\n{output}"
    );
}

/// How the specimen's own test ended, when it was run alone, and what it printed.
fn run_in_a_child(name: &'static str) -> (&'static str, String) {
    let test = std::thread::current();
    let test = test.name().expect("tests run on threads of their names");
    let child = Command::new(std::env::current_exe().expect("a test knows where it is"))
        .args([test, "--exact", "--nocapture"])
        .env(SPECIMEN, name)
        .env("RUST_BACKTRACE", "0")
        .env_remove("JOB_REGISTRY_LEDGER")
        .env_remove("JOB_REGISTRY_OUTCOMES")
        .output()
        .expect("a test can be run again");
    let how = match child.status.code() {
        Some(0) => "lived",
        Some(_) => "failed",
        // A signal leaves no code.
        None => "aborted",
    };
    let output = [child.stdout, child.stderr].concat();
    (how, String::from_utf8_lossy(&output).into_owned())
}

/// In which one it failed, as the harness says.
fn execution(output: &str) -> Option<&str> {
    let (_, rest) = output.split_once(": detected in execution ")?;
    rest.split_once(" under ").map(|(number, _)| number)
}
