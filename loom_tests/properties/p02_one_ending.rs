//! P2, one ending: exactly one of several endings wins, and nothing about the attempt changes after
//! it.
//!
//! The smallest program that could violate it: one thread completes, one cancels. A violation looks
//! like two `Ok`, none, or a final status that is not the winner's.

use super::harness::{call, check, claim, percent, race, registry, running};
use crate::{Status, StepError};
use std::time::Duration;

#[test]
fn second_ending_never_wins() {
    let claim = claim!(second_ending_never_wins, [P2], [10, 13]);
    let (completed, cancelled) = (Status::Completed, Status::Cancelled);
    check(&claim, &[completed, cancelled], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let (complete, cancel) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.complete(id))
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.cancel(id))
            },
        );
        let status = call!(jobs.snapshot(id)).unwrap().status();
        let expected = match status {
            Status::Completed => (Ok(()), Err(StepError::Ended(Status::Completed))),
            _ => (Err(StepError::Ended(Status::Cancelled)), Ok(())),
        };
        assert_eq!((complete, cancel), expected);
        status
    });
}

/// The owner is dropped while another thread completes its job.
#[test]
fn a_dropped_owner_and_a_completion_make_one_ending() {
    let claim = claim!(a_dropped_owner_and_a_completion_make_one_ending, [P2], [36]);
    check(
        &claim,
        &[(true, None), (false, Some("abandoned".to_owned()))],
        &[],
        || {
            let (jobs, job) = running(());
            let id = job.id();
            let (completed, ()) = race(
                {
                    let jobs = jobs.clone();
                    move || call!(jobs.complete(id)).is_ok()
                },
                move || drop(job),
            );
            let record = call!(jobs.get(id)).unwrap();
            assert_eq!(record.snapshot.status() == Status::Completed, completed);
            (completed, record.reason.map(|text| text.to_string()))
        },
    );
}

#[test]
fn exactly_one_starter_wins() {
    let claim = claim!(exactly_one_starter_wins, [P2], [15]);
    check(&claim, &[(true, false), (false, true)], &[], || {
        let (jobs, _) = registry(|builder| builder.retention(Duration::MAX));
        let id = jobs.register(()).unwrap().detach();
        let start = |jobs: crate::JobRegistry<()>| move || call!(jobs.start(id)).is_ok();
        race(start(jobs.clone()), start(jobs.clone()))
    });
}

/// An advance either precedes the ending or is refused. An ended job's progress does not change.
#[test]
fn nothing_moves_after_the_end() {
    let claim = claim!(nothing_moves_after_the_end, [P1, P2], [9, 10]);
    check(&claim, &[(true, true), (false, false)], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let (advanced, ended) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.advance(id, percent(40.0))).is_ok()
            },
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.fail(id, "disk full")).unwrap();
                    call!(jobs.snapshot(id)).unwrap()
                }
            },
        );
        assert_eq!(
            call!(jobs.snapshot(id)).unwrap(),
            ended,
            "an ended job has changed"
        );
        (advanced, ended.progress() == percent(40.0))
    });
}

/// A stall verdict races with the completion of the silent job, and never reverts it.
#[test]
fn a_rescuer_never_reverts_a_completion() {
    let claim = claim!(a_rescuer_never_reverts_a_completion, [P2, P8], [12, 14]);
    check(&claim, &[(true, 0), (false, 1)], &[], || {
        let (jobs, clock) = registry(|builder| {
            builder
                .retention(Duration::MAX)
                .stall_after(Duration::from_millis(5))
        });
        let id = jobs.register(()).unwrap().detach();
        call!(jobs.start(id)).unwrap();
        clock.advance(Duration::from_millis(10));
        let (completed, failed) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.complete(id))
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.fail_stalled()).len()
            },
        );
        let record = call!(jobs.get(id)).unwrap();
        let expected = match completed {
            Ok(()) => Status::Completed,
            Err(refused) => {
                assert_eq!(refused, StepError::Ended(Status::Failed));
                Status::Failed
            }
        };
        assert_eq!(record.snapshot.status(), expected);
        assert_eq!(record.reason.is_some(), completed.is_err());
        (completed.is_ok(), failed)
    });
}
