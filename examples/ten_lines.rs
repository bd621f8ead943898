//! A job, its worker and its watcher.
//!
//! `cargo run --example ten_lines`

use job_registry::{JobRegistry, Progress, Status, StepError};
use std::time::Duration;

async fn ten_lines() {
    let jobs = JobRegistry::new();
    let id = jobs
        .spawn("deck", async |job| {
            for page in 1..=5 {
                tokio::time::sleep(Duration::from_millis(10)).await; // renders a page
                job.advance(Progress::ratio(page, 5).unwrap())?;
            }
            Ok::<(), StepError>(())
        })
        .unwrap();

    let mut watch = jobs.watch(id).unwrap();
    while let Some(seen) = watch.changed().await {
        println!("{id}: {} at {}", seen.status(), seen.progress());
    }
    assert_eq!(jobs.snapshot(id).unwrap().status(), Status::Completed);
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.unwrap().block_on(ten_lines());
}
