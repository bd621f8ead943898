// Without its id nobody reaches a job that has no owner.
#![deny(unused_must_use)]
use job_registry::JobRegistry;

fn main() {
    JobRegistry::new().register(0).unwrap().detach();
}
