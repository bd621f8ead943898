// Mistake 1, scenario 2: a step whose outcome nobody looks at.
#![deny(unused_must_use)]
use job_registry::{JobRegistry, Progress};

fn main() {
    let jobs = JobRegistry::new();
    let id = jobs.register(0).unwrap().detach();
    jobs.advance(id, Progress::DONE);
}
