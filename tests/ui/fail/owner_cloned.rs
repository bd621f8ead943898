// A job has one owner.
use job_registry::{Job, JobRegistry};

fn main() {
    let job = JobRegistry::new().register(0).unwrap();
    let second: Job<u32> = job.clone();
    second.start().unwrap();
}
