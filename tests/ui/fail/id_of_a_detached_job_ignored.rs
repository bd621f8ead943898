// A job without an owner can be reached by its id alone.
#![deny(unused_must_use)]
use job_registry::JobRegistry;

fn main() {
    JobRegistry::new().register(0).unwrap().detach();
}
