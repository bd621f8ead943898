//! The service's ordinary tests. They must pass unless the service asks for a registry on a
//! checker's types. `--cfg loom` and `--cfg shuttle` alone, which apply to every crate of a build,
//! do not ask for it.

#![cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]

use downstream::{Decks, RETENTION};
use job_registry::{JobRegistry, LookupError, ManualClock, Progress, Status};
use std::time::Duration;

#[test]
fn a_deck_is_drawn_watched_and_collected() {
    let decks = Decks::new(ManualClock::new());
    let (id, worker) = decks.submit(8);
    let mut watch = decks.watch(id).unwrap();
    let mut last = decks.snapshot(id).unwrap();
    while let Some(seen) = pollster::block_on(watch.changed()) {
        assert!(seen.progress() >= last.progress());
        last = seen;
    }
    worker.join().unwrap().unwrap();
    assert_eq!(
        (last.status(), last.progress()),
        (Status::Completed, Progress::DONE)
    );
    assert_eq!(decks.collect(id).unwrap(), (0..8).collect::<Vec<_>>());
    assert_eq!(decks.snapshot(id).unwrap_err(), LookupError::Gone);
}

#[test]
fn a_deck_is_removed_after_its_minute() {
    let clock = ManualClock::new();
    let decks = Decks::new(clock.clone());
    let (id, worker) = decks.submit(3);
    worker.join().unwrap().unwrap();
    clock.advance(RETENTION.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(decks.tidy().removed, 0);
    assert_eq!(decks.snapshot(id).unwrap().status(), Status::Completed);
    clock.advance(Duration::from_millis(1));
    assert_eq!(decks.tidy().removed, 1);
    assert_eq!(decks.snapshot(id).unwrap_err(), LookupError::Gone);
}

#[test]
fn a_cancelled_deck_is_drawn_no_further() {
    let decks = Decks::new(ManualClock::new());
    let (id, worker) = decks.submit(u64::MAX);
    decks.cancel(id).unwrap();
    assert!(worker.join().unwrap().is_err());
    assert_eq!(decks.snapshot(id).unwrap().status(), Status::Cancelled);
}

/// Uses the task layer: a runtime, a timer and a spawned job.
#[test]
fn a_task_sends_heartbeats_and_completes() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let jobs = JobRegistry::<u32>::new();
        let id = jobs
            .spawn(0, async |job| {
                let _beats = job.heartbeat_every(Duration::from_millis(1));
                tokio::time::sleep(Duration::from_millis(5)).await;
                job.update(|drawn| *drawn += 1)?;
                Ok(())
            })
            .unwrap();
        let mut watch = jobs.watch(id).unwrap();
        while watch.changed().await.is_some() {}
        let record = jobs.get(id).unwrap();
        assert_eq!(
            (record.payload, record.snapshot.status()),
            (1, Status::Completed)
        );
    });
}
