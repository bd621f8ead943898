// Mistake 4: the owner of a job cannot bypass its lock.
use job_registry::JobRegistry;

fn main() {
    let jobs = JobRegistry::new();
    let job = jobs.register(vec![1]).unwrap();
    let pages: &Vec<i32> = &job;
    assert_eq!(pages.len(), 1);
}
