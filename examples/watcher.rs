//! Follows a job to its end without a runtime, because a watch is an ordinary future. Even a
//! watcher that polls after the removal learns the end.
//!
//! `cargo run --example watcher`

use job_registry::{Error, JobRegistry, Progress, Status, Watch};
use std::thread;
use std::time::Duration;

/// Prints each change, and returns the job's ending.
fn follow(name: &str, mut watch: Watch<&str>) -> Option<Status> {
    let mut last = None;
    while let Some(seen) = pollster::block_on(watch.changed()) {
        println!("{name}: {} at {}", seen.status(), seen.progress());
        last = Some(seen.status());
    }
    last
}

fn main() -> Result<(), Error> {
    let jobs = JobRegistry::new();
    let job = jobs.register("deck")?;
    let prompt = job.watch()?;
    let late = job.watch()?;

    let prompt = thread::spawn(|| follow("prompt", prompt));
    job.start()?;
    for page in 1..=5 {
        thread::sleep(Duration::from_millis(10)); // renders it
        job.advance(Progress::ratio(page, 6)?)?;
    }
    job.fail("the printer is on fire")?;
    job.remove()?;

    assert!(jobs.is_empty());
    assert_eq!(prompt.join().unwrap(), Some(Status::Failed));
    assert_eq!(follow("late", late), Some(Status::Failed));
    Ok(())
}
