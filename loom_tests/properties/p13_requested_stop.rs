//! P13, a requested stop ends: after a request, the job's worker ends it, or the first sweep after
//! the grace does. A request never undoes an ending.
//!
//! The smallest program that could violate it: one thread requests a stop, one completes. A
//! violation looks like a completed job that is stopping, or a stopping job that no sweep cancels.

use super::harness::{Bell, call, check, claim, percent, race, registry, running, waiting};
use crate::{JobRegistry, RetryError, Status, StepError};
use std::time::Duration;

const GRACE: Duration = Duration::from_millis(4);

/// Returns a stopping job, and the registry's clock.
fn stopping<T: Send + 'static>(
    payload: T,
) -> (JobRegistry<T>, crate::Job<T>, super::harness::ModelClock) {
    let (jobs, clock) = registry(|builder| builder.retention(Duration::MAX).stop_grace(GRACE));
    let job = jobs.register(payload).unwrap();
    job.start().unwrap();
    job.request_stop("the user left").unwrap();
    (jobs, job, clock)
}

/// A stop beside each ending. The ending wins in every case, and keeps its own reason.
#[test]
fn a_stop_never_undoes_an_ending() {
    let claim = claim!(a_stop_never_undoes_an_ending, [P2, P13], []);
    let stopped = Ok(Status::Stopping);
    let outcomes = [
        (Status::Completed, stopped),
        (Status::Completed, Err(StepError::Ended(Status::Completed))),
    ];
    check(&claim, &outcomes, &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let (stopped, ()) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.request_stop(id, "the user left"))
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.complete(id)).unwrap()
            },
        );
        let details = call!(jobs.details(id)).unwrap();
        assert_eq!(details.reason, None, "a completed job has no reason");
        (details.snapshot.status(), stopped)
    });
}

/// A cancelled job keeps the reason of the stop that came before the cancellation.
#[test]
fn a_cancellation_keeps_the_reason_of_the_stop() {
    let claim = claim!(a_cancellation_keeps_the_reason_of_the_stop, [P2, P13], []);
    let outcomes = [(true, true), (false, false)];
    check(&claim, &outcomes, &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let (stopped, ()) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.request_stop(id, "the user left")).is_ok()
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.cancel(id)).unwrap()
            },
        );
        let details = call!(jobs.details(id)).unwrap();
        assert_eq!(details.snapshot.status(), Status::Cancelled);
        (stopped, details.reason.is_some())
    });
}

/// Details show the reason of a stop exactly when they show the stop.
#[test]
fn a_stop_comes_with_its_reason() {
    let claim = claim!(a_stop_comes_with_its_reason, [P12, P13], []);
    check(&claim, &[Status::Running, Status::Stopping], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let (seen, _) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.details(id)).unwrap()
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.request_stop(id, "the user left")).unwrap()
            },
        );
        let status = seen.snapshot.status();
        assert_eq!(seen.reason.is_some(), status == Status::Stopping);
        status
    });
}

/// Two requests: exactly one is accepted, and its reason stays.
#[test]
fn a_second_stop_is_refused() {
    let claim = claim!(a_second_stop_is_refused, [P13], []);
    check(&claim, &["first", "second"], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let stop = |jobs: JobRegistry<()>, reason: &'static str| {
            move || call!(jobs.request_stop(id, reason))
        };
        let both = race(stop(jobs.clone(), "first"), stop(jobs.clone(), "second"));
        let (accepted, refused) = (Ok(Status::Stopping), Err(StepError::Stopping));
        let reason = call!(jobs.details(id)).unwrap().reason;
        match both {
            (first, second) if first == accepted && second == refused => {
                assert_eq!(reason.as_deref(), Some("first"));
                "first"
            }
            (first, second) if first == refused && second == accepted => {
                assert_eq!(reason.as_deref(), Some("second"));
                "second"
            }
            other => panic!("{other:?}"),
        }
    });
}

/// A stop beside the start. A pending job is cancelled, and the start is refused.
#[test]
fn a_pending_job_is_cancelled_and_a_running_one_stops() {
    let claim = claim!(
        a_pending_job_is_cancelled_and_a_running_one_stops,
        [P2, P13],
        []
    );
    let outcomes = [(Status::Cancelled, false), (Status::Stopping, true)];
    check(&claim, &outcomes, &[], || {
        let (jobs, _) = registry(|builder| builder.retention(Duration::MAX));
        let id = jobs.register(()).unwrap().detach();
        let (stopped, started) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.request_stop(id, "the user left")).unwrap()
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.start(id)).is_ok()
            },
        );
        assert_eq!(call!(jobs.snapshot(id)).unwrap().status(), stopped);
        (stopped, started)
    });
}

/// An advance either precedes the stop or is refused. The progress of a stopping job stays.
#[test]
fn a_stopping_job_does_not_advance() {
    let claim = claim!(a_stopping_job_does_not_advance, [P1, P13], []);
    check(&claim, &[true, false], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let (advanced, seen) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.advance(id, percent(40.0)))
            },
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.request_stop(id, "the user left")).unwrap();
                    call!(jobs.snapshot(id)).unwrap()
                }
            },
        );
        assert_eq!(
            call!(jobs.snapshot(id)),
            Ok(seen),
            "a stopping job advanced"
        );
        assert_eq!(advanced.is_ok(), seen.progress() == percent(40.0));
        assert!(advanced.is_ok() || advanced == Err(StepError::Stopping));
        advanced.is_ok()
    });
}

/// The sweep after the grace beside the worker's ending: one of the two ends the job.
#[test]
fn the_grace_and_the_worker_make_one_ending() {
    let claim = claim!(the_grace_and_the_worker_make_one_ending, [P2, P13], []);
    let outcomes = [(1, Status::Cancelled), (0, Status::Completed)];
    check(&claim, &outcomes, &[], || {
        let (jobs, job, clock) = stopping(());
        let id = job.detach();
        clock.advance(GRACE);
        let (cancelled, completed) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep()).cancelled
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.complete(id)).is_ok()
            },
        );
        // A sweep leaves a locked job for the next one.
        let cancelled = cancelled + call!(jobs.sweep()).cancelled;
        let status = call!(jobs.snapshot(id)).unwrap().status();
        assert_eq!(completed, status == Status::Completed);
        (cancelled, status)
    });
}

/// A worker's last write beside the end of the grace lands as a whole, or is refused.
#[test]
fn a_cleaning_update_lands_or_is_refused() {
    let claim = claim!(a_cleaning_update_lands_or_is_refused, [P3, P13], []);
    check(&claim, &[(true, 0), (false, 2)], &[], || {
        let (jobs, job, clock) = stopping(vec!["intro.png", "summary.png"]);
        let id = job.detach();
        clock.advance(GRACE);
        let (_, cleaned) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep()).cancelled
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.update(id, Vec::clear)).is_ok()
            },
        );
        call!(jobs.sweep());
        let record = call!(jobs.get(id)).unwrap();
        assert_eq!(record.snapshot.status(), Status::Cancelled);
        (cleaned, record.payload.len())
    });
}

/// A stop beside a retry hits one attempt: the ended one refuses it, and the pending one is
/// cancelled by it.
#[test]
fn a_stop_hits_one_attempt() {
    let claim = claim!(a_stop_hits_one_attempt, [P10, P13], []);
    let refused = Err(StepError::Ended(Status::Failed));
    let outcomes = [
        (refused, Status::Pending),
        (Ok(Status::Cancelled), Status::Cancelled),
    ];
    check(&claim, &outcomes, &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        call!(jobs.fail(id, "disk full")).unwrap();
        let (stopped, attempt) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.request_stop(id, "the user left"))
            },
            {
                let jobs = jobs.clone();
                move || jobs.retry(id).map(crate::Job::detach)
            },
        );
        assert_eq!(attempt, Ok::<_, RetryError>(id));
        let details = call!(jobs.details(id)).unwrap();
        assert_eq!(details.snapshot.attempt(), 2);
        assert_eq!(details.reason.is_some(), stopped.is_ok());
        (stopped, details.snapshot.status())
    });
}

/// A retry beside the sweep after the grace of the earlier attempt. The grace belongs to that
/// attempt and does not end the next one.
#[test]
fn the_grace_ends_with_its_attempt() {
    let claim = claim!(the_grace_ends_with_its_attempt, [P10, P13], []);
    check(&claim, &[Status::Running], &[], || {
        let (jobs, job, clock) = stopping(());
        let id = job.detach();
        call!(jobs.fail(id, "disk full")).unwrap();
        clock.advance(GRACE);
        race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep())
            },
            {
                let jobs = jobs.clone();
                move || {
                    let id = jobs.retry(id).unwrap().detach();
                    call!(jobs.start(id)).unwrap();
                }
            },
        );
        call!(jobs.sweep());
        call!(jobs.snapshot(id)).unwrap().status()
    });
}

/// A worker that waits for a stop is woken by it.
#[test]
fn a_waiting_worker_learns_of_the_stop() {
    let claim = claim!(a_waiting_worker_learns_of_the_stop, [P9, P13], []);
    check(&claim, &[()], &[], || {
        let (jobs, job) = running(());
        let id = job.id();
        race(
            move || {
                super::harness::block_on(job.stop_requested());
                assert!(job.is_stop_requested());
                let _ = job.detach();
            },
            move || {
                call!(jobs.request_stop(id, "the user left")).unwrap();
                // The registry outlives the wait.
                jobs
            },
        );
    });
}

/// A watcher that has seen the running job is woken by the stop, beside an advance that may clear
/// the watched bit first.
#[test]
fn a_stop_wakes_the_watchers() {
    let claim = claim!(a_stop_wakes_the_watchers, [P9, P13], []);
    check(&claim, &[()], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let (mut watch, bell) = waiting(jobs.watch(id).unwrap());
        race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.advance(id, percent(40.0))).is_ok()
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.request_stop(id, "the user left")).unwrap()
            },
        );
        assert!(bell.has_rung(), "a wake was lost");
        let seen = Bell::default().poll(&mut watch);
        assert!(
            matches!(seen, std::task::Poll::Ready(Some(seen)) if seen.status() == Status::Stopping)
        );
    });
}
