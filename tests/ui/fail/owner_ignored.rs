// A job is abandoned as soon as its owner is dropped.
#![deny(unused_must_use)]
use job_registry::JobRegistry;

fn main() {
    JobRegistry::new().register(0).unwrap();
}
