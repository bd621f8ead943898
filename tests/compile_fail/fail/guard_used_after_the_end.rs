// An ended job's payload does not change: the ending uses the guard up.
use job_registry::JobRegistry;

fn main() {
    let job = JobRegistry::new().register(0).unwrap();
    let mut guard = job.lock().unwrap();
    guard.start().unwrap();
    guard.complete().unwrap();
    *guard = 1;
}
