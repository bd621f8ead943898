// Mistake 4: read under the lock, used after it.
use job_registry::JobRegistry;

fn main() {
    let jobs = JobRegistry::new();
    let job = jobs.register(vec![1]).unwrap();
    let guard = job.lock().unwrap();
    let first = &guard[0];
    drop(guard);
    assert_eq!(*first, 1);
}
