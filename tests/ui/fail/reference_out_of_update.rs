// Mistake 4: no reference to the payload leaves the closure.
use job_registry::JobRegistry;

fn main() {
    let jobs = JobRegistry::new();
    let job = jobs.register(vec![1]).unwrap();
    let first = job.update(|pages| &mut pages[0]).unwrap();
    *first = 2;
}
