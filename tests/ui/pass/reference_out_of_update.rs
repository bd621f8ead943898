// A value may leave the closure.
use job_registry::JobRegistry;

fn main() {
    let jobs = JobRegistry::new();
    let job = jobs.register(vec![1]).unwrap();
    let first = job.update(|pages| pages[0]).unwrap();
    assert_eq!(first, 1);
}
