//! The ledger: a line of JSON for each call, in the file that `JOB_REGISTRY_ENVIRONMENT` names.

use super::checker::Report;
use std::collections::BTreeSet;
use std::io::Write;

/// Prints the totals of a call's reports as one line, and appends the line to the ledger.
pub(super) fn write(name: &str, aims: usize, reports: &[Report]) {
    let sum = |count: fn(&Report) -> u64| reports.iter().map(count).sum::<u64>();
    let executions = sum(|report| report.executions);
    let configurations = sum(|report| report.configurations);
    let seconds: f64 = reports.iter().map(|report| report.seconds).sum();
    let answers: BTreeSet<_> = reports
        .iter()
        .flat_map(|report| report.answers.keys())
        .collect();
    let environment: BTreeSet<_> = reports
        .iter()
        .flat_map(|report| &report.environment)
        .collect();
    let own: BTreeSet<_> = reports.iter().flat_map(|report| &report.own).collect();
    let own: Vec<_> = own.iter().map(|rule| format!("{rule:?}")).collect();
    let line = format!(
        "{{\"call\":\"{name}\",\"aims\":{},\"rules\":{},\"own\":{own:?},\
         \"configurations\":{configurations},\
         \"executions\":{executions},\"answers\":{},\"seconds\":{seconds:.3}}}\n",
        aims,
        environment.len(),
        answers.len(),
    );
    print!("{line}");
    let Some(path) = std::env::var_os("JOB_REGISTRY_ENVIRONMENT") else {
        return;
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    // Concurrent tests append to the same file. A single write keeps each line whole.
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("the ledger should be writable");
}
