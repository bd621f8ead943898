//! Racing steps of which exactly one wins. P2 and P10.

use crate::rounds;
use crate::watchdog::in_time;
use job_registry::{Job, JobRegistry, LockError, RetryError, Status, StepError};
use std::sync::Barrier;
use std::thread;

/// P2, scenarios 10 and 13: several threads end a job, by id, by handle and through a guard. One of
/// them wins, and the others learn its ending.
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
            let refusal = Err(StepError::Ended(status));
            assert!(
                results
                    .iter()
                    .all(|(_, result)| result.is_ok() || *result == refusal)
            );
            assert_eq!(end.reason.is_some(), status == Status::Failed);
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

/// P2, scenario 15, and P10, scenario 21: several threads start the job, and one succeeds. Several
/// threads retry an attempt, and one gets the next. This holds in every round.
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
                        // The fastest thread may have retried already.
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
