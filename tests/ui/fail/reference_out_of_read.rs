// Mistake 4 and scenario 42: the live record does not leave the lock.
use job_registry::JobRegistry;

fn main() {
    let jobs = JobRegistry::new();
    let id = jobs.register(vec![1]).unwrap().detach();
    let record = jobs.read(id, |record| record).unwrap();
    assert_eq!(record.payload.len(), 1);
}
