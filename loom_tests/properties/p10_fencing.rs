//! P10, fencing: a write of a superseded attempt is refused, never applied.
//!
//! The smallest program that could violate it: one thread retries a failed job, one writes through
//! the handle of the first attempt. A violation looks like a change of the second attempt.

use super::harness::{call, check, claim, percent, race, registry, running};
use super::p08_honest_heartbeat::Skewed;
use crate::{Job, RemoveError, RetryError, Status, StepError};
use std::sync::Arc;
use std::time::Duration;

/// Returns a job whose first attempt is running.
fn first_attempt() -> Arc<Job<()>> {
    let (jobs, _) = registry(|builder| builder.clock(Skewed).retention(Duration::MAX));
    let job = jobs.register(()).unwrap();
    call!(job.start()).unwrap();
    Arc::new(job)
}

/// Fails the first attempt and starts the second. Returns the second attempt's snapshot.
fn supersede(first: &Job<()>) -> crate::Snapshot {
    first.registry().fail(first.id(), "lost").unwrap();
    let second = first.registry().retry(first.id()).unwrap();
    call!(second.start()).unwrap();
    let seen = call!(second.snapshot()).unwrap();
    let _ = second.detach();
    seen
}

#[test]
fn an_old_attempt_never_advances_the_new_one() {
    let claim = claim!(an_old_attempt_never_advances_the_new_one, [P10], [16, 21]);
    let (ended, superseded) = (StepError::Ended(Status::Failed), StepError::Superseded);
    check(&claim, &[None, Some(ended), Some(superseded)], &[], || {
        let first = first_attempt();
        let (advanced, second) = race(
            {
                let first = first.clone();
                move || call!(first.advance(percent(40.0)))
            },
            {
                let first = first.clone();
                move || supersede(&first)
            },
        );
        assert_eq!(
            call!(first.snapshot()),
            Ok(second),
            "the second attempt was changed"
        );
        advanced.err()
    });
}

/// A heartbeat of the first attempt has a later time than the retry, and is not recorded for the
/// second.
#[test]
fn an_old_attempt_records_no_heartbeat_for_the_new_one() {
    let claim = claim!(
        an_old_attempt_records_no_heartbeat_for_the_new_one,
        [P8, P10],
        [16, 17]
    );
    let outcomes = [
        Ok(()),
        Err(StepError::Ended(Status::Failed)),
        Err(StepError::Superseded),
    ];
    check(&claim, &outcomes, &[], || {
        let first = first_attempt();
        let (heartbeat, second) = race(
            {
                let first = first.clone();
                move || call!(first.heartbeat())
            },
            {
                let first = first.clone();
                move || supersede(&first)
            },
        );
        assert_eq!(
            call!(first.snapshot()),
            Ok(second),
            "the second attempt was changed"
        );
        heartbeat
    });
}

#[test]
fn an_old_attempt_never_ends_the_new_one() {
    let claim = claim!(an_old_attempt_never_ends_the_new_one, [P2, P10], [16]);
    let outcomes = [
        Err(StepError::Ended(Status::Failed)),
        Err(StepError::Superseded),
    ];
    check(&claim, &outcomes, &[], || {
        let first = first_attempt();
        call!(first.fail("lost")).unwrap();
        let (ended, second) = race(
            {
                let first = first.clone();
                move || call!(first.complete())
            },
            {
                let first = first.clone();
                move || {
                    let second = call!(first.retry()).unwrap();
                    let seen = call!(second.snapshot()).unwrap();
                    let _ = second.detach();
                    seen
                }
            },
        );
        assert_eq!(
            call!(first.snapshot()),
            Ok(second),
            "the second attempt was changed"
        );
        ended
    });
}

#[test]
fn an_attempt_is_retried_once() {
    let claim = claim!(an_attempt_is_retried_once, [P10, P2], [21]);
    check(&claim, &[true, false], &[], || {
        let first = first_attempt();
        call!(first.fail("lost")).unwrap();
        let retry = |first: Arc<Job<()>>| move || call!(first.retry()).map(Job::detach);
        let (one, two) = race(retry(first.clone()), retry(first.clone()));
        let refused = if one.is_ok() { two } else { one };
        assert_eq!(refused, Err(RetryError::Superseded));
        assert_eq!(call!(first.snapshot()).unwrap().attempt(), 2);
        one.is_ok()
    });
}

/// The handle of a superseded attempt removes neither the new attempt nor its payload.
#[test]
fn an_old_attempt_never_removes_the_new_one() {
    let claim = claim!(an_old_attempt_never_removes_the_new_one, [P5, P10], [18]);
    let outcomes = [
        Ok("deck"),
        Err(RemoveError::Live),
        Err(RemoveError::Superseded),
    ];
    check(&claim, &outcomes[..], &[], || {
        let (jobs, first) = running("deck");
        let first = Arc::new(first);
        let (removed, retried) = race(
            {
                let first = first.clone();
                move || first.remove()
            },
            {
                let first = first.clone();
                move || {
                    first.fail("disk full").ok()?;
                    let second = first.retry().ok()?;
                    second.cancel().unwrap();
                    Some(second.detach())
                }
            },
        );
        assert_eq!(removed.is_ok(), retried.is_none());
        assert_eq!(jobs.snapshot(first.id()).is_ok(), retried.is_some());
        removed
    });
}

/// A retry takes a silent job over while its worker resumes. The worker's heartbeat either comes
/// first and prevents the retry, or is refused.
#[test]
fn a_job_that_is_taken_over_has_one_worker() {
    let claim = claim!(
        a_job_that_is_taken_over_has_one_worker,
        [P8, P10],
        [17, 20, 21]
    );
    let (ended, superseded) = (StepError::Ended(Status::Failed), StepError::Superseded);
    let outcomes = [None, Some(ended), Some(superseded)];
    check(&claim, &outcomes, &[], || {
        let (jobs, clock) = registry(|builder| {
            builder
                .retention(Duration::MAX)
                .stall_after(Duration::from_millis(5))
        });
        let first = Arc::new(jobs.register(()).unwrap());
        let id = first.id();
        call!(first.start()).unwrap();
        clock.advance(Duration::from_millis(10));
        let (heartbeat, taken_over) = race(
            {
                let first = first.clone();
                move || call!(first.heartbeat())
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.retry(id)).map(Job::detach)
            },
        );
        if heartbeat.is_ok() {
            let refused = Err(RetryError::NotRetryable(Status::Running));
            assert_eq!(taken_over, refused, "the job has two workers");
        } else {
            let seen = call!(jobs.snapshot(id)).unwrap();
            assert_eq!((seen.attempt(), seen.status()), (2, Status::Pending));
        }
        heartbeat.err()
    });
}

/// The worker of an attempt that was asked to stop asks again, while the attempt is superseded. The
/// new attempt, which runs, is not its own.
#[test]
fn an_old_attempt_never_works_again() {
    let claim = claim!(an_old_attempt_never_works_again, [P10, P13], []);
    check(&claim, &[true], &[], || {
        let first = first_attempt();
        call!(first.request_stop("the user left")).unwrap();
        let (should_stop, _) = race(
            {
                let first = first.clone();
                move || call!(first.is_stop_requested())
            },
            {
                let first = first.clone();
                move || supersede(&first)
            },
        );
        should_stop
    });
}
