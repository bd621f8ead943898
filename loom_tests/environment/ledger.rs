//! A line of JSON for each call, to the file that `JOB_REGISTRY_ENVIRONMENT` names.

use super::checker::Report;
use std::collections::BTreeSet;
use std::io::Write;

/// Writes what came of a call and returns it, summed up.
pub(super) fn write(name: &str, reports: &[Report]) {
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
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
        "{{\"call\":\"{name}\",\"aims\":{},\"rules\":{},\"own\":{own:?},\"configurations\":{configurations},\
         \"executions\":{executions},\"answers\":{},\"seconds\":{seconds:.3}}}\n",
        reports.len(),
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
    // One write, so that tests that run beside each other do not mix their lines.
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("the file can be written");
}
