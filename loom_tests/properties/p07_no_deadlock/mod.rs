//! P7, no deadlock: no sequence of calls blocks forever.
//!
//! The smallest program that could violate it: two threads lock two jobs crosswise. A violation
//! looks like the checker's own report of a deadlock.

mod callbacks;

use super::harness::{call, check, claim, percent, race, registry, running};
use crate::{JobId, JobRegistry, LockError, StepError};
use std::time::Duration;

fn two_jobs() -> (JobRegistry<i32>, JobId, JobId) {
    let (jobs, _) = registry(|builder| builder.retention(Duration::MAX));
    let first = jobs.register(1).unwrap().detach();
    let second = jobs.register(2).unwrap().detach();
    (jobs, first, second)
}

/// The second lock of each thread is refused at once, even if no thread holds it.
#[test]
fn crosswise_locks_are_refused_not_hung() {
    let claim = claim!(crosswise_locks_are_refused_not_hung, [P7], [4, 34]);
    let refused = LockError::WouldDeadlock;
    check(&claim, &[(refused, refused)], &[], || {
        let (jobs, first, second) = two_jobs();
        let nest = |jobs: JobRegistry<i32>, outer, inner| {
            move || {
                let held = jobs.lock(outer).unwrap();
                let refused = jobs.lock(inner).unwrap_err();
                drop(held);
                refused
            }
        };
        race(
            nest(jobs.clone(), first, second),
            nest(jobs.clone(), second, first),
        )
    });
}

/// Calls without a lock succeed under the thread's own guard, and while another thread holds one.
#[test]
fn calls_without_a_lock_pass_a_held_one() {
    let claim = claim!(calls_without_a_lock_pass_a_held_one, [P7], [3, 43]);
    check(&claim, &[40, 50], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let (mine, theirs) = race(
            {
                let jobs = jobs.clone();
                move || {
                    let guard = jobs.lock(id).unwrap();
                    let stands = call!(jobs.advance(id, percent(40.0))).unwrap();
                    call!(jobs.heartbeat(id)).unwrap();
                    drop(guard);
                    stands
                }
            },
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.advance(id, percent(50.0))).unwrap();
                    call!(jobs.heartbeat(id)).unwrap();
                    call!(jobs.snapshot(id)).unwrap().progress()
                }
            },
        );
        assert_eq!(call!(jobs.snapshot(id)).unwrap().progress(), percent(50.0));
        assert_eq!(theirs, percent(50.0));
        mine.ppm() / 10_000
    });
}

/// An owner that is dropped under another job's guard fails its job once the guard is dropped.
#[test]
fn an_owner_dropped_under_a_guard_ends_its_job_afterwards() {
    let claim = claim!(
        an_owner_dropped_under_a_guard_ends_its_job_afterwards,
        [P7, P2],
        [36, 37]
    );
    check(&claim, &[true, false], &[], || {
        let (jobs, _) = registry(|builder| builder.retention(Duration::MAX));
        let owned = jobs.register(1).unwrap();
        let id = owned.id();
        let other = jobs.register(2).unwrap().detach();
        let (completed, ()) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.cancel(id)) != Err(StepError::Ended(crate::Status::Failed))
            },
            {
                let jobs = jobs.clone();
                move || {
                    let guard = jobs.lock(other).unwrap();
                    drop(owned);
                    drop(guard);
                }
            },
        );
        assert!(call!(jobs.snapshot(id)).unwrap().status().is_ended());
        completed
    });
}
