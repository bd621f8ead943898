#![deny(unused_must_use)]
use job_registry::JobRegistry;

fn main() {
    let jobs = JobRegistry::new();
    let id = jobs.register(0).unwrap().detach();
    jobs.start(id).unwrap();
}
