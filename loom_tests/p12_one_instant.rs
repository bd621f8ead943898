//! P12, linearizable, where it is hardest: a snapshot reads two words and must be of one instant.
//!
//! The smallest program that could violate it: one thread looks, one beats and ends, or fails and retries.
//! A violation looks like the progress of one moment beside the beat of another.

use super::harness::{call, check, claim, percent, race, registry};
use crate::Status;
use std::time::Duration;

#[test]
fn a_snapshot_is_of_one_instant() {
    let claim = claim!(a_snapshot_is_of_one_instant, [P12], [5, 42]);
    let seen = |percent, beat| (percent, beat, Status::Running);
    let outcomes = [
        seen(0, 0),
        seen(10, 0),
        seen(10, 5),
        seen(20, 5),
        (20, 5, Status::Failed),
    ];
    check(&claim, &outcomes, &[], || {
        let (jobs, clock) = registry(|builder| builder.retention(Duration::MAX));
        let id = jobs.register(()).unwrap().detach();
        call!(jobs.start(id)).unwrap();
        let (seen, ()) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.snapshot(id)).unwrap()
            },
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.advance(id, percent(10.0))).unwrap();
                    clock.advance(Duration::from_millis(5));
                    call!(jobs.heartbeat(id)).unwrap();
                    call!(jobs.advance(id, percent(20.0))).unwrap();
                    call!(jobs.fail(id, "disk full")).unwrap();
                }
            },
        );
        (
            seen.progress().ppm() / 10_000,
            seen.last_heartbeat().as_millis(),
            seen.status(),
        )
    });
}

/// A retry moves both words, and is one step for whoever looks.
#[test]
fn a_retry_is_one_step() {
    let claim = claim!(a_retry_is_one_step, [P2, P12], [5]);
    let outcomes = [
        (1, 0, Status::Failed),
        (2, 5, Status::Pending),
        (2, 9, Status::Running),
    ];
    check(&claim, &outcomes, &[], || {
        let (jobs, clock) = registry(|builder| builder.retention(Duration::MAX));
        let first = jobs.register(()).unwrap();
        let id = first.id();
        call!(first.fail("disk full")).unwrap();
        let (seen, ()) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.snapshot(id)).unwrap()
            },
            {
                let jobs = jobs.clone();
                move || {
                    clock.advance(Duration::from_millis(5));
                    let id = call!(jobs.retry(id)).unwrap().detach();
                    clock.advance(Duration::from_millis(4));
                    call!(jobs.start(id)).unwrap();
                }
            },
        );
        (
            seen.attempt(),
            seen.last_heartbeat().as_millis(),
            seen.status(),
        )
    });
}

/// The text of a failure is there as soon as the failure is.
#[test]
fn a_failure_comes_with_its_text() {
    let claim = claim!(a_failure_comes_with_its_text, [P12, P2], [5]);
    check(&claim, &[None, Some("disk full".to_owned())], &[], || {
        let (jobs, _) = registry(|builder| builder.retention(Duration::MAX));
        let id = jobs.register(()).unwrap().detach();
        let (seen, ()) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.get(id)).unwrap()
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.fail(id, "disk full")).unwrap()
            },
        );
        assert_eq!(
            seen.error.is_some(),
            seen.snapshot.status() == Status::Failed
        );
        assert_eq!(seen.times.ended.is_some(), seen.error.is_some());
        seen.error.map(|text| text.to_string())
    });
}
