// The payload is used under the lock.
use job_registry::JobRegistry;

fn main() {
    let jobs = JobRegistry::new();
    let job = jobs.register(vec![1]).unwrap();
    let pages: &Vec<i32> = &job.lock().unwrap();
    assert_eq!(pages.len(), 1);
}
