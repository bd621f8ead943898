//! Stall verdicts that race with the worker's calls. P2 and P8.

use crate::watchdog::in_time;
use crate::{SECOND, rounds};
use job_registry::{JobRegistry, ManualClock, RetryError, Status, StepError};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

/// P2 and P8, scenarios 12 and 14: a completion races with a stall verdict. The first one ends the
/// job, and the other is refused.
#[test]
fn completion_and_verdict_make_one_ending() {
    in_time(|| {
        for _ in 0..rounds(500) {
            let clock = ManualClock::new();
            let jobs = JobRegistry::builder()
                .clock(clock.clone())
                .stall_after(SECOND)
                .build();
            let job = jobs.register(()).unwrap();
            job.start().unwrap();
            clock.advance(2 * SECOND);
            let together = Barrier::new(2);
            let (completed, verdict) = thread::scope(|s| {
                let worker = s.spawn(|| {
                    together.wait();
                    job.complete()
                });
                let monitor = s.spawn(|| {
                    together.wait();
                    jobs.fail_stalled()
                });
                (worker.join().unwrap(), monitor.join().unwrap())
            });
            let end = job.snapshot().unwrap();
            match completed {
                Ok(()) => {
                    assert_eq!((end.status(), verdict), (Status::Completed, vec![]));
                }
                Err(error) => {
                    assert_eq!(error, StepError::Ended(Status::Failed));
                    assert_eq!(verdict, [end]);
                }
            }
        }
    });
}

/// P2, scenario 12: a monitor with an outdated list can neither fail nor retry a job that has
/// completed since.
#[test]
fn monitor_with_an_outdated_list_does_not_touch_a_completed_job() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .stall_after(SECOND)
        .build();
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    clock.advance(2 * SECOND);
    let list = jobs.stalled();
    assert_eq!(list.len(), 1);
    job.complete().unwrap();
    let end = jobs.get(job.id()).unwrap();

    let id = list[0].id();
    let refusal = StepError::Ended(Status::Completed);
    assert_eq!(jobs.fail(id, "lost"), Err(refusal));
    assert_eq!(jobs.cancel(id), Err(refusal));
    let not_again = RetryError::NotRetryable(Status::Completed);
    assert_eq!(jobs.retry(id).unwrap_err(), not_again);
    assert_eq!(jobs.fail_stalled(), []);
    let now = jobs.get(id).unwrap();
    assert_eq!((now.snapshot, now.times), (end.snapshot, end.times));
    assert_eq!(now.reason, None);
}

/// P8, scenarios 14 and 21: a heartbeat that returned `Ok` prevents an older verdict. A failed job
/// was silent for the limit, by the verdict's own times, and accepts no further heartbeat.
#[test]
fn accepted_heartbeat_is_never_followed_by_an_older_verdict() {
    in_time(|| {
        for _ in 0..rounds(2_000) {
            let clock = ManualClock::new();
            // The limit is so short that a heartbeat and a verdict race at every tick.
            let jobs = JobRegistry::builder()
                .clock(clock.clone())
                .stall_after(Duration::ZERO)
                .build();
            let job = jobs.register(()).unwrap();
            job.start().unwrap();
            thread::scope(|s| {
                let worker = s.spawn(|| {
                    let mut accepted = Duration::ZERO;
                    loop {
                        let now = jobs.now();
                        match job.heartbeat() {
                            Ok(()) => accepted = now,
                            Err(error) => return (accepted, error),
                        }
                    }
                });
                let verdict = loop {
                    clock.advance(Duration::from_millis(1));
                    if let Some(verdict) = jobs.fail_stalled().pop() {
                        break verdict;
                    }
                };
                // No other thread advances the clock.
                let now = jobs.now();
                let (accepted, error) = worker.join().unwrap();
                assert_eq!(error, StepError::Ended(Status::Failed));
                let last = verdict.last_heartbeat();
                assert!(last < now, "{verdict:?} is failed for silence at {now:?}");
                assert!(
                    last >= accepted,
                    "{verdict:?} after a heartbeat at {accepted:?}"
                );
                assert_eq!(job.snapshot(), Ok(verdict));
            });
        }
    });
}
