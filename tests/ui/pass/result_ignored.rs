#![deny(unused_must_use)]
use job_registry::{JobRegistry, Progress, StepError};

fn main() {
    let jobs = JobRegistry::new();
    let id = jobs.register(0).unwrap().detach();
    let outcome = jobs.advance(id, Progress::DONE);
    assert_eq!(outcome, Err(StepError::NotStarted));
}
