//! P4, no use after cleanup: a call with the id of a removed job reads and changes nothing, also when its
//! slot lives again.
//!
//! The smallest program that could violate it: one thread removes a job and registers another into its
//! slot, one writes to the first by id. A violation looks like a second job that is not as it
//! was registered, or a payload of the second job read through the first one's id.

use super::harness::{call, check, claim, percent, race, registry};
use super::p06_no_leak::wear_out;
use super::p08_honest_heartbeat::Skewed;
use crate::sync::{Arc, AtomicUsize, Ordering};
use crate::{Job, JobId, JobRegistry, LookupError, Snapshot, Status, StepError};
use std::time::Duration;

/// A running job, in a registry with room for one.
fn lone() -> (JobRegistry<&'static str>, JobId) {
    let (jobs, _) = registry(|builder| builder.capacity(1).retention(Duration::MAX));
    let id = jobs.register("old").unwrap().detach();
    call!(jobs.start(id)).unwrap();
    (jobs, id)
}

/// Ends and removes the old job and registers a new one in its place.
fn replace(jobs: &JobRegistry<&'static str>, old: JobId) -> Snapshot {
    call!(jobs.cancel(old)).unwrap();
    assert_eq!(call!(jobs.remove(old)).unwrap(), "old");
    let new = jobs.register("new").unwrap().detach();
    call!(jobs.start(new)).unwrap();
    call!(jobs.snapshot(new)).unwrap()
}

fn untouched(jobs: &JobRegistry<&'static str>, new: Snapshot) {
    let record = call!(jobs.get(new.id())).unwrap();
    assert_eq!(
        (record.payload, record.snapshot),
        ("new", new),
        "the new job was touched"
    );
    assert_eq!(new.status(), Status::Running);
}

#[test]
fn a_late_advance_never_touches_the_next_job() {
    let claim = claim!(a_late_advance_never_touches_the_next_job, [P4], [7, 11, 19]);
    check(&claim, &[true, false], &[], || {
        let (jobs, old) = lone();
        let (advanced, new) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.advance(old, percent(40.0))).is_ok()
            },
            {
                let jobs = jobs.clone();
                move || replace(&jobs, old)
            },
        );
        untouched(&jobs, new);
        advanced
    });
}

/// The beat has a later time than anything of the next job.
#[test]
fn a_late_heartbeat_never_touches_the_next_job() {
    let claim = claim!(
        a_late_heartbeat_never_touches_the_next_job,
        [P4, P8],
        [7, 17]
    );
    check(&claim, &[true, false], &[], || {
        let (jobs, _) =
            registry(|builder| builder.capacity(1).retention(Duration::MAX).clock(Skewed));
        let old = jobs.register("old").unwrap().detach();
        call!(jobs.start(old)).unwrap();
        let (beat, new) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.heartbeat(old)).is_ok()
            },
            {
                let jobs = jobs.clone();
                move || replace(&jobs, old)
            },
        );
        untouched(&jobs, new);
        beat
    });
}

#[test]
fn a_late_lock_never_opens_the_next_job() {
    let claim = claim!(a_late_lock_never_opens_the_next_job, [P4], [7, 19]);
    check(&claim, &[Some("old"), None], &[], || {
        let (jobs, old) = lone();
        let (seen, new) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.update(old, |payload| *payload)).ok()
            },
            {
                let jobs = jobs.clone();
                move || replace(&jobs, old)
            },
        );
        untouched(&jobs, new);
        seen
    });
}

#[test]
fn a_late_look_never_shows_the_next_job() {
    let claim = claim!(a_late_look_never_shows_the_next_job, [P4], [7, 19]);
    let (running, cancelled) = (Status::Running, Status::Cancelled);
    check(&claim, &[Some(running), Some(cancelled), None], &[], || {
        let (jobs, old) = lone();
        let (seen, new) = race(
            {
                let jobs = jobs.clone();
                move || {
                    let seen = jobs.read(old, |record| (*record.payload, record.snapshot));
                    if let Ok((payload, snapshot)) = seen {
                        assert_eq!((payload, snapshot.id()), ("old", old));
                    }
                    seen.ok().map(|(_, snapshot)| snapshot.status())
                }
            },
            {
                let jobs = jobs.clone();
                move || replace(&jobs, old)
            },
        );
        untouched(&jobs, new);
        seen
    });
}

/// A slot that is free is empty, and what the next job puts there stays.
#[test]
fn a_free_slot_is_empty() {
    let claim = claim!(a_free_slot_is_empty, [P4, P6], [31]);
    check(&claim, &[true, false], &[], || {
        let (jobs, _) = registry(|builder| builder.capacity(1).retention(Duration::MAX));
        let old = jobs.register("old").unwrap().detach();
        jobs.cancel(old).unwrap();
        let (removed, registered) = race(
            {
                let jobs = jobs.clone();
                move || jobs.remove(old).unwrap()
            },
            {
                let jobs = jobs.clone();
                move || jobs.register("new").map(Job::detach).ok()
            },
        );
        assert_eq!(removed, "old", "the payload of the next job was removed");
        if let Some(new) = registered {
            let payload = jobs.get(new).map(|record| record.payload);
            assert_eq!(payload, Ok("new"), "the next job has lost its payload");
        }
        registered.is_some()
    });
}

/// An id of one job's half and another's generation is nobody's, not even while the one job makes way for the other.
#[test]
fn halves_of_two_ids_open_neither_job() {
    let claim = claim!(halves_of_two_ids_open_neither_job, [P4], [19]);
    check(&claim, &[true, false], &[], || {
        let (jobs, _) = registry(|builder| builder.capacity(1).retention(Duration::MAX));
        let old = jobs.register("old").unwrap().detach();
        call!(jobs.cancel(old)).unwrap();
        let new = jobs.state.id_key.id(old.slot, old.generation + 1);
        let (is_there, ()) = race(
            {
                let jobs = jobs.clone();
                move || {
                    let nonce = new.nonce;
                    let forged = call!(jobs.snapshot(JobId { nonce, ..old }));
                    assert_eq!(forged, Err(LookupError::NotFound));
                    let nonce = old.nonce;
                    let forged = call!(jobs.snapshot(JobId { nonce, ..new }));
                    assert_eq!(forged, Err(LookupError::NotFound));
                    call!(jobs.snapshot(new)).is_ok()
                }
            },
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.remove(old)).unwrap();
                    assert_eq!(jobs.register("new").unwrap().detach(), new);
                }
            },
        );
        is_there
    });
}

/// The same of a step, where it has nothing to do: no exchange then proves that the job has been there.
#[test]
fn halves_of_two_ids_learn_of_neither_jobs_progress() {
    let claim = claim!(halves_of_two_ids_learn_of_neither_jobs_progress, [P4], [19]);
    check(&claim, &[true, false], &[], || {
        let (jobs, _) = registry(|builder| builder.capacity(1).retention(Duration::MAX));
        let job = jobs.register("old").unwrap();
        let old = job.id();
        call!(job.start()).unwrap();
        call!(job.advance(percent(40.0))).unwrap();
        let new = jobs.state.id_key.id(old.slot, old.generation + 1);
        let (stands, ()) = race(
            {
                let jobs = jobs.clone();
                move || {
                    let nonce = new.nonce;
                    let forged = call!(jobs.advance(JobId { nonce, ..old }, percent(10.0)));
                    assert_eq!(forged, Err(StepError::NotFound));
                    call!(jobs.advance(old, percent(10.0))).is_ok()
                }
            },
            {
                let jobs = jobs.clone();
                // By handle: a look at the half by this thread would hide the other's from loom.
                move || {
                    call!(job.cancel()).unwrap();
                    call!(job.remove()).unwrap();
                    assert_eq!(jobs.register("new").unwrap().detach(), new);
                }
            },
        );
        stands
    });
}

/// A late call on the last job that a slot can have. There is no generation after it to begin again at.
#[test]
fn a_late_call_never_wakes_a_used_up_slot() {
    let claim = claim!(a_late_call_never_wakes_a_used_up_slot, [P4], [7, 19]);
    check(&claim, &[true, false], &[], || {
        let (jobs, first) = lone();
        call!(jobs.cancel(first)).unwrap();
        call!(jobs.remove(first)).unwrap();
        wear_out(&jobs, first.slot);
        let last = jobs.register("old").unwrap().detach();
        call!(jobs.start(last)).unwrap();
        let (advanced, new) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.advance(last, percent(40.0))).is_ok()
            },
            {
                let jobs = jobs.clone();
                move || replace(&jobs, last)
            },
        );
        assert_ne!(new.id().slot, last.slot, "a slot began again");
        assert_eq!(call!(jobs.snapshot(last)), Err(LookupError::Gone));
        untouched(&jobs, new);
        advanced
    });
}

/// Scenario 31: by the time that the next job is there, the hook has seen the last one off.
#[test]
fn the_hook_has_run_before_the_slot_lives_again() {
    let claim = claim!(the_hook_has_run_before_the_slot_lives_again, [P4, P6], [31]);
    check(&claim, &[true, false], &[], || {
        let seen_off = Arc::new(AtomicUsize::new(0));
        let count = seen_off.clone();
        let (jobs, _) = registry(|builder| {
            builder
                .capacity(1)
                .retention(Duration::MAX)
                .on_remove(move |_| {
                    count.fetch_add(1, Ordering::AcqRel);
                })
        });
        let old = jobs.register("old").unwrap().detach();
        call!(jobs.cancel(old)).unwrap();
        let (removed, registered) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.remove(old))
            },
            {
                let jobs = jobs.clone();
                move || {
                    let new = jobs.register("new").map(Job::detach);
                    // An addition of nothing reads what is there now.
                    let hooks = seen_off.fetch_add(0, Ordering::AcqRel);
                    assert!(new.is_err() || hooks == 1, "the hook came late");
                    new.is_ok()
                }
            },
        );
        assert_eq!(removed, Ok("old"));
        registered
    });
}

/// An id that somebody has guessed is used while its job is registered. Every call agrees on whether
/// the job is there: what a heartbeat was accepted for can be seen.
#[test]
fn a_guessed_id_is_accepted_only_once_its_job_is_there() {
    let claim = claim!(
        a_guessed_id_is_accepted_only_once_its_job_is_there,
        [P4, P12],
        [19]
    );
    let seen = [(false, false), (false, true), (true, true)];
    check(&claim, &seen, &[], || {
        let (jobs, _) = registry(|builder| builder.capacity(1));
        let guessed = jobs.state.id_key.id(0, 1);
        let (seen, issued) = race(
            {
                let jobs = jobs.clone();
                move || {
                    let beat = call!(jobs.heartbeat(guessed));
                    (beat.is_ok(), call!(jobs.snapshot(guessed)).is_ok())
                }
            },
            move || call!(jobs.register(())).unwrap().detach(),
        );
        assert_eq!(issued, guessed);
        seen
    });
}
