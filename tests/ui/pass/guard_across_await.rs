// The lock is released before the `await`.
use job_registry::JobRegistry;

async fn render(jobs: JobRegistry<u32>) {
    let job = jobs.register(0).unwrap();
    {
        let mut pages = job.lock().unwrap();
        *pages += 1;
    }
    tokio::task::yield_now().await;
}

fn main() {
    is_spawnable(render(JobRegistry::new()));
}

/// Has the bounds of `tokio::spawn`.
fn is_spawnable(_: impl Future<Output = ()> + Send + 'static) {}
