// The reference is used before the lock is released.
use job_registry::JobRegistry;

fn main() {
    let jobs = JobRegistry::new();
    let job = jobs.register(vec![1]).unwrap();
    let guard = job.lock().unwrap();
    let first = &guard[0];
    assert_eq!(*first, 1);
    drop(guard);
}
