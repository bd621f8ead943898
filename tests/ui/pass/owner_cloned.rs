// An `Arc` shares the owner.
use job_registry::{Job, JobRegistry};
use std::sync::Arc;

fn main() {
    let job = Arc::new(JobRegistry::new().register(0).unwrap());
    let second: Arc<Job<u32>> = job.clone();
    second.start().unwrap();
}
