//! P4, no use after cleanup: a call with the id of a removed job reads and changes nothing, even if
//! its slot is reused.
//!
//! The smallest program that could violate it: one thread removes a job and registers another in
//! its slot, one writes to the first by id. A violation looks like a second job that differs from
//! its registration, or like the second job's payload, read through the first one's id.

use super::harness::{call, check, claim, percent, race, registry};
use super::p06_no_leak::wear_out;
use super::p08_honest_heartbeat::Skewed;
use crate::sync::{Arc, AtomicUsize, Ordering};
use crate::{Job, JobId, JobRegistry, LookupError, Snapshot, Status, StepError};
use std::time::Duration;

/// Returns a running job in a registry with room for one.
fn lone() -> (JobRegistry<&'static str>, JobId) {
    let (jobs, _) = registry(|builder| builder.capacity(1).retention(Duration::MAX));
    let id = jobs.register("old").unwrap().detach();
    call!(jobs.start(id)).unwrap();
    (jobs, id)
}

/// Ends and removes the old job, and registers a new one in its slot.
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
        "the new job was changed"
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

/// The heartbeat has a later time than anything of the next job.
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
        let (is_recorded, new) = race(
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
        is_recorded
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
fn a_late_read_never_shows_the_next_job() {
    let claim = claim!(a_late_read_never_shows_the_next_job, [P4], [7, 19]);
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

/// A free slot is empty, and the next job's payload stays in it.
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

/// An id with one job's nonce and another's generation resolves to no job, even while the one
/// replaces the other.
#[test]
fn an_id_with_another_jobs_nonce_opens_no_job() {
    let claim = claim!(an_id_with_another_jobs_nonce_opens_no_job, [P4], [19]);
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

/// Such an id cannot read the progress through an advance that changes nothing. Without a
/// compare-exchange, nothing else proves that the job existed.
#[test]
fn an_id_with_another_jobs_nonce_reads_no_progress() {
    let claim = claim!(an_id_with_another_jobs_nonce_reads_no_progress, [P4], [19]);
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
                // By handle: if this thread loaded the nonce, loom would hide the other thread's
                // load.
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

/// A late call on the last job of a slot never revives the slot. No generation follows in which it
/// could be reused.
#[test]
fn a_late_call_never_revives_a_retired_slot() {
    let claim = claim!(a_late_call_never_revives_a_retired_slot, [P4], [7, 19]);
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
        assert_ne!(new.id().slot, last.slot, "a retired slot was reused");
        assert_eq!(call!(jobs.snapshot(last)), Err(LookupError::Gone));
        untouched(&jobs, new);
        advanced
    });
}

/// Scenario 31: the hook of the earlier job has returned before the next job exists.
#[test]
fn the_hook_runs_before_the_slot_is_reused() {
    let claim = claim!(the_hook_runs_before_the_slot_is_reused, [P4, P6], [31]);
    check(&claim, &[true, false], &[], || {
        let hooks_run = Arc::new(AtomicUsize::new(0));
        let count = hooks_run.clone();
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
                    // Adding zero is a read-modify-write, and therefore reads the present value.
                    let hooks = hooks_run.fetch_add(0, Ordering::AcqRel);
                    assert!(new.is_err() || hooks == 1, "the hook had not run");
                    new.is_ok()
                }
            },
        );
        assert_eq!(removed, Ok("old"));
        registered
    });
}

/// A guessed id is used while its job is registered. All calls agree on whether the job exists: the
/// effect of an accepted heartbeat is visible.
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
                    let heartbeat = call!(jobs.heartbeat(guessed));
                    (heartbeat.is_ok(), call!(jobs.snapshot(guessed)).is_ok())
                }
            },
            move || call!(jobs.register(())).unwrap().detach(),
        );
        assert_eq!(issued, guessed);
        seen
    });
}
