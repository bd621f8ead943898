//! Many heartbeats at one time, and heartbeats that were missed. P8.

use crate::heartbeat::{registry, running, silence};
use crate::{SECOND, settle};
use job_registry::{Clock, JobRegistry};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::sleep;

/// Counts its readings, of which each batch of heartbeats makes one.
#[derive(Clone, Default)]
struct Asked(Arc<AtomicUsize>);

impl Asked {
    fn times(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clock for Asked {
    fn now(&self) -> Duration {
        self.0.fetch_add(1, Ordering::Relaxed);
        Duration::ZERO
    }
}

/// P8: more heartbeats than one batch holds are due at one time, and some of them have been
/// stopped.
#[tokio::test(start_paused = true)]
async fn thousands_of_heartbeats_are_due_at_one_time() {
    let jobs = registry();
    let all: Vec<_> = (0..3000).map(|_| running(&jobs)).collect();
    let mut beating: Vec<_> = all.iter().map(|job| job.heartbeat_every(SECOND)).collect();
    let stopped = beating.split_off(2500);
    drop(stopped);
    sleep(3 * SECOND).await;
    settle().await;
    let (beaten, silent) = all.split_at(2500);
    assert!(beaten.iter().all(|job| silence(job) < SECOND));
    assert!(silent.iter().all(|job| silence(job) == 3 * SECOND));
}

/// Every other task runs between two batches, however many heartbeats are due.
#[tokio::test(start_paused = true)]
async fn other_tasks_run_between_two_batches() {
    const BATCHES: usize = 20;
    let asked = Asked::default();
    let jobs = JobRegistry::builder().clock(asked.clone()).build();
    let all: Vec<_> = (0..BATCHES * 1024).map(|_| running(&jobs)).collect();
    let _beating: Vec<_> = all.iter().map(|job| job.heartbeat_every(SECOND)).collect();
    settle().await;
    let mut before = asked.times();
    let last = before + BATCHES;
    tokio::time::advance(SECOND).await;
    for _ in 0..2 * BATCHES {
        yield_now().await;
        let now = asked.times();
        assert!(now <= before + 1, "{} batches in one turn", now - before);
        before = now;
    }
    assert_eq!(before, last);
}

/// Missed heartbeats are skipped, and not made up for.
#[tokio::test(start_paused = true)]
async fn missed_heartbeats_are_skipped() {
    let asked = Asked::default();
    let jobs = JobRegistry::builder().clock(asked.clone()).build();
    let job = running(&jobs);
    let _beating = job.heartbeat_every(SECOND);
    settle().await;
    let before = asked.times();
    tokio::time::advance(500 * SECOND).await;
    settle().await;
    assert_eq!(asked.times() - before, 1);
    sleep(10 * SECOND + SECOND / 2).await;
    assert_eq!(asked.times() - before, 11);
}
