//! A worker falls silent, and its job is detected as stalled and given to another worker. When the
//! first worker resumes, its calls are refused: its attempt is superseded.
//!
//! `cargo run --example stall_and_retry`

use job_registry::{Error, JobRegistry, ManualClock, Progress, Status, StepError};
use std::time::Duration;

fn main() -> Result<(), Error> {
    // A service uses the default clock, and a reaper (`spawn_reaper`) calls `fail_stalled`.
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .stall_after(Duration::from_secs(30))
        .build();

    let first = jobs.register("deck")?;
    first.start()?;
    first.advance(Progress::percent(80.0)?)?;

    // Its heartbeats prevent a verdict for a while.
    for _ in 0..3 {
        clock.advance(Duration::from_secs(20));
        first.heartbeat()?;
        assert!(jobs.fail_stalled().is_empty());
    }
    // Then it hangs.
    clock.advance(Duration::from_secs(31));
    let failed = jobs.fail_stalled();
    let error = jobs.get(first.id())?.reason.unwrap();
    println!(
        "attempt {}: {} ({error})",
        failed[0].attempt(),
        failed[0].status()
    );
    assert_eq!(failed[0].id(), first.id());

    // The next attempt has the same id and payload, and begins at 0 %.
    let second = jobs.retry(first.id())?;
    second.start()?;
    second.advance(Progress::percent(10.0)?)?;

    // The first worker resumes, unaware of the retry.
    let refused = first.advance(Progress::percent(90.0)?);
    println!("the first worker is told: {}", refused.unwrap_err());
    assert_eq!(refused, Err(StepError::Superseded));
    assert_eq!(first.complete(), Err(StepError::Superseded));
    drop(first);

    let seen = second.snapshot()?;
    println!(
        "attempt {}: {} at {}",
        seen.attempt(),
        seen.status(),
        seen.progress()
    );
    assert_eq!((seen.attempt(), seen.status()), (2, Status::Running));
    assert_eq!(seen.progress(), Progress::percent(10.0)?);
    Ok(second.complete()?)
}
