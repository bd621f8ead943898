use job_registry::JobRegistry;

fn main() {
    let job = JobRegistry::new().register(0).unwrap();
    let mut guard = job.lock().unwrap();
    guard.start().unwrap();
    *guard = 1;
    guard.complete().unwrap();
}
