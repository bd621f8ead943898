//! A job, its worker and its watcher.
//!
//! `cargo run --example ten_lines`

use job_registry::{Error, JobRegistry, Progress, Status};
use std::time::Duration;

async fn ten_lines() -> Result<(), Error> {
    let jobs = JobRegistry::new();
    let id = jobs.spawn("deck", async |job| {
        for page in 1..=5 {
            tokio::time::sleep(Duration::from_millis(10)).await; // renders a page
            job.advance(Progress::ratio(page, 5)?)?;
        }
        Ok(())
    })?;

    let mut watch = jobs.watch(id)?;
    while let Some(seen) = watch.changed().await {
        println!("{id}: {} at {}", seen.status(), seen.progress());
    }
    assert_eq!(jobs.snapshot(id)?.status(), Status::Completed);
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    Ok(runtime.block_on(ten_lines())?)
}
