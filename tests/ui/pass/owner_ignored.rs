#![deny(unused_must_use)]
use job_registry::JobRegistry;

fn main() {
    let job = JobRegistry::new().register(0).unwrap();
    job.start().unwrap();
}
