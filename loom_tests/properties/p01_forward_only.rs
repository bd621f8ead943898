//! P1, forward only: no observer ever sees a job's version decrease.
//!
//! The smallest program that could violate it: two threads advance, a third reads twice. A
//! violation looks like a second snapshot below the first, or a final progress below the larger of
//! the two.

use super::harness::{call, check, claim, percent, race, running, spawn};

/// The larger of two advances stands, in either order of arrival.
#[test]
fn the_larger_of_two_advances_stands() {
    let claim = claim!(the_larger_of_two_advances_stands, [P1], [6]);
    check(&claim, &[(40, 40), (40, 30)], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let other = jobs.clone();
        let (high, low) = race(move || call!(other.advance(id, percent(40.0))).unwrap(), {
            let jobs = jobs.clone();
            move || call!(jobs.advance(id, percent(30.0))).unwrap()
        });
        assert_eq!(call!(jobs.snapshot(id)).unwrap().progress(), percent(40.0));
        (high.ppm() / 10_000, low.ppm() / 10_000)
    });
}

/// An observer of two racing writers never sees the version decrease.
#[test]
fn no_observer_sees_the_version_fall() {
    let claim = claim!(no_observer_sees_the_version_fall, [P1, P2], [6, 9, 22]).bounds(&[Some(2)]);
    check(
        &claim,
        &[(false, false), (false, true), (true, true)],
        &[],
        || {
            let (jobs, job) = running(());
            let id = job.detach();
            let observer = {
                let jobs = jobs.clone();
                spawn(move || {
                    let first = call!(jobs.snapshot(id)).unwrap();
                    let second = call!(jobs.snapshot(id)).unwrap();
                    assert!(
                        first.version() <= second.version(),
                        "{first:?} and then {second:?}"
                    );
                    (first.status().is_ended(), second.status().is_ended())
                })
            };
            let (_, completed) = race(
                {
                    let jobs = jobs.clone();
                    move || call!(jobs.advance(id, percent(40.0))).is_ok()
                },
                {
                    let jobs = jobs.clone();
                    move || call!(jobs.complete(id))
                },
            );
            completed.unwrap();
            observer.join().unwrap()
        },
    );
}

/// A retry beside an observer: the revisions of the failed attempt count on, so that the version
/// does not decrease before the retry takes effect.
#[test]
fn a_retry_never_lowers_the_version() {
    let claim = claim!(a_retry_never_lowers_the_version, [P1, P12], []);
    check(&claim, &[(1, 1), (1, 2), (2, 2)], &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        call!(jobs.update(id, |number| *number += 1)).unwrap();
        call!(jobs.fail(id, "disk full")).unwrap();
        let ((first, second), ()) = race(
            {
                let jobs = jobs.clone();
                move || {
                    let first = call!(jobs.snapshot(id)).unwrap();
                    (first, call!(jobs.snapshot(id)).unwrap())
                }
            },
            {
                let jobs = jobs.clone();
                move || {
                    let _ = jobs.retry(id).unwrap().detach();
                }
            },
        );
        assert!(
            first.version() <= second.version(),
            "{first:?} and then {second:?}"
        );
        (first.attempt(), second.attempt())
    });
}
