// A copy of the record may leave the lock.
use job_registry::JobRegistry;

fn main() {
    let jobs = JobRegistry::new();
    let id = jobs.register(vec![1]).unwrap().detach();
    let record = jobs.get(id).unwrap();
    assert_eq!(record.payload.len(), 1);
}
