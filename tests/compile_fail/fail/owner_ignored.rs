// A job whose owner is dropped at once is abandoned at once.
#![deny(unused_must_use)]
use job_registry::JobRegistry;

fn main() {
    JobRegistry::new().register(0).unwrap();
}
