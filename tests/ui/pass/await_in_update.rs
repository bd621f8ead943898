// The `await` comes before the closure.
use job_registry::JobRegistry;

async fn render(jobs: JobRegistry<u32>) {
    let job = jobs.register(0).unwrap();
    tokio::task::yield_now().await;
    job.update(|pages| {
        *pages += 1;
    })
    .unwrap();
}

fn main() {
    let _ = render(JobRegistry::new());
}
