// Mistake 4: a reference is taken under the lock and used after its release.
use job_registry::JobRegistry;

fn main() {
    let jobs = JobRegistry::new();
    let job = jobs.register(vec![1]).unwrap();
    let guard = job.lock().unwrap();
    let first = &guard[0];
    drop(guard);
    assert_eq!(*first, 1);
}
