//! A line of JSON for each exploration, to the file that `JOB_REGISTRY_LEDGER` names.

use std::io::Write;
use std::time::Duration;

pub(in crate::loom_tests) const CHECKER: &str = if cfg!(loom) { "loom" } else { "shuttle" };

pub(in crate::loom_tests) struct Line<'a> {
    pub(in crate::loom_tests) name: &'a str,
    /// `model`, or `programs` for a set of generated ones.
    pub(in crate::loom_tests) kind: &'a str,
    pub(in crate::loom_tests) properties: &'a [&'a str],
    pub(in crate::loom_tests) scenarios: &'a [u32],
    pub(in crate::loom_tests) programs: u64,
    /// On preemptions.
    pub(in crate::loom_tests) bound: Option<usize>,
    pub(in crate::loom_tests) completed: bool,
    pub(in crate::loom_tests) executions: u64,
    pub(in crate::loom_tests) outcomes: usize,
    pub(in crate::loom_tests) took: Duration,
}

pub(in crate::loom_tests) fn write(line: &Line) {
    let Line {
        name,
        kind,
        properties,
        scenarios,
        programs,
        completed,
        executions,
        outcomes,
        ..
    } = line;
    let bound = line.bound.map_or("null".to_owned(), |n| n.to_string());
    let seconds = line.took.as_secs_f64();
    let text = format!(
        "{{\"checker\":\"{CHECKER}\",\"kind\":\"{kind}\",\"model\":\"{name}\",\"properties\":{properties:?},\
         \"scenarios\":{scenarios:?},\"programs\":{programs},\"bound\":{bound},\"completed\":{completed},\
         \"executions\":{executions},\"outcomes\":{outcomes},\"seconds\":{seconds:.3}}}\n"
    );
    print!("{text}");
    append("JOB_REGISTRY_LEDGER", &text);
}

/// Appends to the file that a variable of the environment names, if it is set.
pub(in crate::loom_tests) fn append(variable: &str, text: &str) {
    let Some(path) = std::env::var_os(variable) else {
        return;
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    // One write, so that tests that run beside each other do not mix their lines.
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .expect("the file can be written");
}
