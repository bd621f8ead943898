// Mistake 1, scenario 2: the result of a step is ignored.
#![deny(unused_must_use)]
use job_registry::{JobRegistry, Progress};

fn main() {
    let jobs = JobRegistry::new();
    let id = jobs.register(0).unwrap().detach();
    jobs.advance(id, Progress::DONE);
}
