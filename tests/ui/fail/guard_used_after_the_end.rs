// The payload of an ended job does not change, because the ending consumes the guard.
use job_registry::JobRegistry;

fn main() {
    let job = JobRegistry::new().register(0).unwrap();
    let mut guard = job.lock().unwrap();
    guard.start().unwrap();
    guard.complete().unwrap();
    *guard = 1;
}
