// Mistake 2, scenario 3: an `await` in the closure that runs under the lock.
use job_registry::JobRegistry;

async fn render(jobs: JobRegistry<u32>) {
    let job = jobs.register(0).unwrap();
    job.update(|pages| {
        tokio::task::yield_now().await;
        *pages += 1;
    })
    .unwrap();
}

fn main() {
    let _ = render(JobRegistry::new());
}
