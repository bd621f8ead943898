//! A registry that is closed beside a call that adds a live job: the call is refused, or whoever
//! has closed the registry sees the job.

use crate::loom_tests::harness::{call, check, claim, race, registry};
use crate::{Builder, Job, JobRegistry, Key, KeyLife, Keys, Once};
use std::time::Duration;

/// Makes a call beside a close. Returns whether it was accepted, and how many live jobs the thread
/// that has closed the registry saw.
fn beside_a_close(
    jobs: &JobRegistry<u8>,
    call: impl FnOnce(&JobRegistry<u8>) -> bool + Send + 'static,
) -> (bool, usize) {
    race(
        {
            let jobs = jobs.clone();
            move || call(&jobs)
        },
        {
            let jobs = jobs.clone();
            move || {
                call!(jobs.close());
                jobs.state.live().len()
            }
        },
    )
}

fn kept(builder: Builder<u8>) -> Builder<u8> {
    builder.retention(Duration::MAX)
}

const OUTCOMES: [(bool, usize); 2] = [(true, 1), (false, 0)];

/// The registration builds the first chunk of slots.
#[test]
fn a_registration_beside_a_close_is_refused_or_seen() {
    let claim = claim!(a_registration_beside_a_close_is_refused_or_seen, [P6], []);
    check(&claim, &OUTCOMES, &[], || {
        let (jobs, _) = registry(kept);
        beside_a_close(&jobs, |jobs| {
            call!(jobs.register(1)).map(Job::detach).is_ok()
        })
    });
}

/// The registration takes a slot that another job has left.
#[test]
fn a_registration_of_a_used_slot_beside_a_close_is_refused_or_seen() {
    let claim = claim!(
        a_registration_of_a_used_slot_beside_a_close_is_refused_or_seen,
        [P6],
        []
    );
    check(&claim, &OUTCOMES, &[], || {
        let (jobs, _) = registry(kept);
        let old = jobs.register(0).unwrap();
        old.cancel().unwrap();
        old.remove().unwrap();
        beside_a_close(&jobs, |jobs| {
            call!(jobs.register(1)).map(Job::detach).is_ok()
        })
    });
}

#[test]
fn a_new_key_beside_a_close_is_refused_or_seen() {
    let claim = claim!(a_new_key_beside_a_close_is_refused_or_seen, [P4, P6], []);
    check(&claim, &OUTCOMES, &[], || {
        let (jobs, _) = registry(kept);
        let keys = Keys::new(jobs.clone(), KeyLife::UntilRemoved);
        let outcome = beside_a_close(&jobs, {
            let keys = keys.clone();
            move |_| match call!(keys.register(Key::new("a"), 1)) {
                Ok(Once::New(job)) => {
                    let _ = job.detach();
                    true
                }
                _ => false,
            }
        });
        assert_eq!(keys.len(), usize::from(outcome.0), "a key without a job");
        outcome
    });
}

#[test]
fn a_retry_beside_a_close_is_refused_or_seen() {
    let claim = claim!(a_retry_beside_a_close_is_refused_or_seen, [P6, P10], []);
    check(&claim, &OUTCOMES, &[], || {
        let (jobs, _) = registry(kept);
        let id = jobs.register(1).unwrap().detach();
        jobs.cancel(id).unwrap();
        beside_a_close(&jobs, move |jobs| {
            call!(jobs.retry(id)).map(Job::detach).is_ok()
        })
    });
}

/// The job is live whether its retry comes or not. A refused retry has not failed it.
#[test]
fn a_retry_of_a_stalled_job_beside_a_close_changes_all_or_nothing() {
    let claim = claim!(
        a_retry_of_a_stalled_job_beside_a_close_changes_all_or_nothing,
        [P6, P10],
        []
    );
    let outcomes = [((true, 1), 2), ((false, 1), 1)];
    check(&claim, &outcomes, &[], || {
        let (jobs, clock) = registry(|builder| kept(builder).stall_after(Duration::ZERO));
        let id = jobs.register(1).unwrap().detach();
        jobs.start(id).unwrap();
        clock.advance(Duration::from_millis(5));
        let outcome = beside_a_close(&jobs, move |jobs| {
            call!(jobs.retry(id)).map(Job::detach).is_ok()
        });
        (outcome, jobs.snapshot(id).unwrap().attempt())
    });
}
