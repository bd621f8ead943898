//! Steps of which one must win. P2, P8 and P10.

use crate::rounds;
use crate::watchdog::in_time;
use job_registry::{Job, JobRegistry, LockError, ManualClock, RetryError, Status, StepError};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

/// P2, scenarios 10 and 13: whoever ends a job, by id, by handle, or through a guard, one of them wins and the others
/// learn which.
#[test]
fn exactly_one_ending_wins_among_many() {
    in_time(|| {
        for _ in 0..rounds(200) {
            let jobs = JobRegistry::new();
            let job = jobs.register(()).unwrap();
            job.start().unwrap();
            let start = Barrier::new(4);
            let race = |end: &dyn Fn() -> Result<(), StepError>| {
                start.wait();
                end()
            };
            let results = thread::scope(|s| {
                [
                    (Status::Completed, s.spawn(|| race(&|| job.complete()))),
                    (
                        Status::Failed,
                        s.spawn(|| race(&|| jobs.fail(job.id(), "reason"))),
                    ),
                    (
                        Status::Cancelled,
                        s.spawn(|| race(&|| jobs.cancel(job.id()))),
                    ),
                    (Status::Completed, s.spawn(|| race(&|| end_by_guard(&job)))),
                ]
                .map(|(status, thread)| (status, thread.join().unwrap()))
            });
            let end = jobs.get(job.id()).unwrap();
            let status = end.snapshot.status();
            let won: Vec<_> = results
                .iter()
                .filter(|(_, result)| result.is_ok())
                .collect();
            assert_eq!(
                won,
                [&(status, Ok(()))],
                "one wins, and it is the job's end"
            );
            let told = Err(StepError::Ended(status));
            assert!(
                results
                    .iter()
                    .all(|(_, result)| result.is_ok() || *result == told)
            );
            assert_eq!(end.error.is_some(), status == Status::Failed);
        }
    });
}

fn end_by_guard(job: &Job<()>) -> Result<(), StepError> {
    match job.lock() {
        Ok(guard) => guard.complete(),
        Err(LockError::Ended(status)) => Err(StepError::Ended(status)),
        Err(error) => panic!("{error}"),
    }
}

/// P2, scenario 15, and P10, scenario 21: of several starters one starts; of several that retry the same attempt one
/// gets the next; and that again and again.
#[test]
fn exactly_one_starts_and_exactly_one_retries() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let mut job = jobs.register(()).unwrap();
        for _ in 0..rounds(100) {
            let together = Barrier::new(3);
            let results = thread::scope(|s| {
                let racers = [(); 3].map(|()| {
                    s.spawn(|| {
                        together.wait();
                        let started = job.start();
                        together.wait();
                        // The quickest may have retried already.
                        let _ = job.fail("again");
                        (started, job.retry())
                    })
                });
                racers.map(|racer| racer.join().unwrap())
            });
            let (mut started, mut refused, mut next) = (0, Vec::new(), Vec::new());
            for (start, retry) in results {
                match start {
                    Ok(()) => started += 1,
                    Err(error) => assert_eq!(error, StepError::AlreadyStarted),
                }
                match retry {
                    Ok(job) => next.push(job),
                    Err(error) => refused.push(error),
                }
            }
            assert_eq!((started, next.len()), (1, 1));
            assert_eq!(refused, [RetryError::Superseded; 2]);
            job = next.remove(0);
        }
        let attempts = u32::try_from(rounds(100)).unwrap() + 1;
        assert_eq!(job.snapshot().unwrap().attempt(), attempts);
    });
}

/// P8, scenarios 14 and 21: a beat that returned `Ok` prevents the verdict. What is failed has been silent for as
/// long as it takes, by the verdict's own account, and takes no beat any more.
#[test]
fn accepted_beat_is_never_followed_by_an_older_verdict() {
    in_time(|| {
        for _ in 0..rounds(2_000) {
            let clock = ManualClock::new();
            // So short that every tick is a race of a beat and a verdict.
            let jobs = JobRegistry::builder()
                .clock(clock.clone())
                .stall_after(Duration::ZERO)
                .build();
            let job = jobs.register(()).unwrap();
            job.start().unwrap();
            thread::scope(|s| {
                let beater = s.spawn(|| {
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
                // Nobody else moves the clock.
                let now = jobs.now();
                let (accepted, error) = beater.join().unwrap();
                assert_eq!(error, StepError::Ended(Status::Failed));
                let last = verdict.last_heartbeat();
                assert!(last < now, "{verdict:?} is failed for silence at {now:?}");
                assert!(last >= accepted, "{verdict:?} after a beat at {accepted:?}");
                assert_eq!(job.snapshot(), Ok(verdict));
            });
        }
    });
}
