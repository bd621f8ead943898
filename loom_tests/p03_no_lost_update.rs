//! P3, no lost update: sections under one job's lock exclude each other.
//!
//! The smallest program that could violate it: two threads read, add one, and write. A violation
//! looks like a sum of one.

use super::harness::{call, check, claim, race, running};
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

/// An update that races the ending either is in the result or was refused.
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
