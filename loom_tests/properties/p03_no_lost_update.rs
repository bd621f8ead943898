//! P3, no lost update: sections under one job's lock exclude each other.
//!
//! The smallest program that could violate it: two threads read, add one, and write. A violation
//! looks like a sum of one.

use super::harness::{call, check, claim, percent, race, running};
use crate::LockError;

#[test]
fn no_update_is_lost() {
    let claim = claim!(no_update_is_lost, [P3], [1, 41]);
    check(&claim, &[(1, 2), (2, 1)], &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let add = |jobs: crate::JobRegistry<i32>| {
            move || {
                call!(jobs.update(id, |count| {
                    let seen = *count;
                    *count = seen + 1;
                    *count
                }))
                .unwrap()
            }
        };
        let seen = race(add(jobs.clone()), add(jobs.clone()));
        assert_eq!(call!(jobs.get(id)).unwrap().payload, 2);
        seen
    });
}

/// An update that races with the ending is either in the result or refused.
#[test]
fn an_accepted_update_is_in_the_ended_job() {
    let claim = claim!(an_accepted_update_is_in_the_ended_job, [P2, P3], [9]);
    check(&claim, &[Ok(1), Err(0)], &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let (updated, ()) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.update(id, |count| *count += 1))
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.complete(id)).unwrap()
            },
        );
        let count = call!(jobs.get(id)).unwrap().payload;
        match updated {
            Ok(()) => Ok(count),
            Err(LockError::Ended(_)) => Err(count),
            Err(other) => panic!("{other}"),
        }
    });
}

/// A writer that waited for the lock while the job ended is refused.
#[test]
fn an_update_never_lands_on_an_ended_job() {
    let claim = claim!(an_update_never_lands_on_an_ended_job, [P2, P3], [7]);
    check(&claim, &[true, false], &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let (updated, ended) = race(
            {
                let jobs = jobs.clone();
                move || jobs.update(id, |pages| *pages += 1).is_ok()
            },
            {
                let jobs = jobs.clone();
                move || {
                    jobs.complete(id).unwrap();
                    jobs.get(id).unwrap()
                }
            },
        );
        let record = jobs.get(id).unwrap();
        assert_eq!(record.payload, ended.payload, "an ended job has changed");
        assert_eq!(record.payload == 1, updated);
        updated
    });
}

/// A guard writes in two steps. A `try_lock` meanwhile is refused, and no thread sees only the
/// first step.
#[test]
fn a_section_under_a_guard_is_whole() {
    let claim = claim!(a_section_under_a_guard_is_whole, [P3, P7], [1, 3]);
    let outcomes = [Ok(0), Ok(2), Err(LockError::Busy)];
    check(&claim, &outcomes, &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let ((), seen) = race(
            {
                let jobs = jobs.clone();
                move || {
                    let mut count = jobs.lock(id).unwrap();
                    *count += 1;
                    // Other threads may run at this step between the two writes.
                    call!(count.advance(percent(40.0))).unwrap();
                    *count += 1;
                }
            },
            {
                let jobs = jobs.clone();
                move || jobs.try_lock(id).map(|count| *count)
            },
        );
        assert_eq!(call!(jobs.get(id)).unwrap().payload, 2);
        seen
    });
}
