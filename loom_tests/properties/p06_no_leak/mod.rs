//! P6, no leak: every payload is dropped exactly once, every ended job with a deadline is removed
//! by sweeping, and slots are reused.
//!
//! The smallest program that could violate it: one thread sweeps a due job, one moves its deadline.
//! A violation looks like a job that no later sweep removes, or a payload that outlives its job. It
//! may also look like a registry that is full with no job in it.

mod close;
mod free_list;
mod free_programs;

use super::harness::{ModelClock, call, check, claim, percent, race, registry};
use crate::sync::facade::record;
use crate::sync::{AtomicUsize, Ordering};
use crate::types::state_word::{RETIRED, StateWord};
use crate::{Job, JobId, JobRegistry, LookupError, RemoveError};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Returns a cancelled job that is due after `delay`, in a registry with room for one. The payload
/// is counted.
fn ended(delay: Duration) -> (JobRegistry<Arc<()>>, ModelClock, JobId, Arc<()>) {
    let payload = Arc::new(());
    let (jobs, clock) = registry(|builder| builder.capacity(1).retention(delay));
    let id = jobs.register(payload.clone()).unwrap().detach();
    call!(jobs.cancel(id)).unwrap();
    (jobs, clock, id, payload)
}

#[test]
fn a_payload_goes_to_one_of_two_removers() {
    let claim = claim!(a_payload_goes_to_one_of_two_removers, [P5, P6], [25]);
    check(&claim, &[(true, 0), (false, 1)], &[], || {
        let (jobs, _, id, payload) = ended(Duration::ZERO);
        let (removed, swept) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.remove(id)).is_ok()
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep()).removed
            },
        );
        assert_eq!(Arc::strong_count(&payload), 1, "a payload has leaked");
        assert_eq!(call!(jobs.sweep()).removed, 0);
        assert!(jobs.is_empty());
        let next = jobs.register(payload).map(Job::detach);
        assert!(next.is_ok(), "a slot has leaked");
        (removed, swept)
    });
}

/// Two clients compete for the last place, and one gets it. After that client's job is removed,
/// there is room again.
#[test]
fn the_last_place_is_for_one() {
    let claim = claim!(the_last_place_is_for_one, [P6], [8]);
    check(&claim, &[(true, false), (false, true)], &[], || {
        let (jobs, _) = registry(|builder| builder.capacity(1).retention(Duration::MAX));
        let register = |jobs: &JobRegistry<_>| jobs.register("deck").map(Job::detach).ok();
        let client = |jobs: JobRegistry<_>| move || register(&jobs);
        let (here, there) = race(client(jobs.clone()), client(jobs.clone()));
        assert_eq!((jobs.len(), register(&jobs)), (1, None));
        if let Some(id) = here.or(there) {
            call!(jobs.cancel(id)).unwrap();
            call!(jobs.remove(id)).unwrap();
        }
        assert!(jobs.is_empty() && register(&jobs).is_some());
        (here.is_some(), there.is_some())
    });
}

/// Clients submit concurrently. Each job is removed after its end with everything that it owns, by
/// the next registration or by a sweep.
#[test]
fn clients_at_once_leave_nothing_behind() {
    let claim = claim!(clients_at_once_leave_nothing_behind, [P2, P6], [8]);
    check(&claim, &[1, 2], &[], || {
        let payload = Arc::new(());
        let (jobs, _) = registry(|builder| builder.capacity(2).retention(Duration::ZERO));
        let client = |jobs: JobRegistry<Arc<()>>, files: Arc<()>| {
            move || {
                let job = jobs.register(files).unwrap();
                call!(job.start()).unwrap();
                call!(job.advance(percent(40.0))).unwrap();
                call!(job.complete()).unwrap();
            }
        };
        race(
            client(jobs.clone(), payload.clone()),
            client(jobs.clone(), payload.clone()),
        );
        let left = call!(jobs.sweep()).removed;
        assert_eq!(Arc::strong_count(&payload), 1, "a payload has leaked");
        assert!(jobs.is_empty());
        let again = [(); 2].map(|()| jobs.register(payload.clone()).map(Job::detach));
        assert!(again.iter().all(Result::is_ok), "a slot has leaked");
        left
    });
}

/// A sweep decides and removes at one time. A concurrent call that postpones the deadline is either
/// too late for the removal or exact to the millisecond.
#[test]
fn a_deadline_postponed_during_a_sweep_is_kept() {
    let claim = claim!(
        a_deadline_postponed_during_a_sweep_is_kept,
        [P5, P6],
        [26, 32]
    );
    let outcomes = [(Ok(()), 0), (Err(RemoveError::Gone), 1)];
    check(&claim, &outcomes, &[], || {
        let (jobs, clock, id, _) = ended(ms(10));
        clock.advance(ms(10));
        let (moved, swept) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.remove_after(id, ms(20)))
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep()).removed
            },
        );
        clock.advance(ms(19));
        assert_eq!(
            call!(jobs.sweep()).removed,
            0,
            "removed before its deadline"
        );
        clock.advance(ms(1));
        let late = call!(jobs.sweep()).removed;
        assert_eq!(late + swept, 1, "an ended job is never removed");
        (moved, swept)
    });
}

/// A deadline brought forward is kept as well. The first deadline's leftover entry removes no other
/// job.
#[test]
fn a_deadline_brought_forward_during_a_sweep_is_kept() {
    let claim = claim!(
        a_deadline_brought_forward_during_a_sweep_is_kept,
        [P5, P6],
        [25, 32]
    );
    check(&claim, &[0, 1], &[], || {
        let (jobs, clock, id, payload) = ended(ms(10));
        let (moved, swept) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.remove_after(id, Duration::ZERO))
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep()).removed
            },
        );
        moved.unwrap();
        let late = call!(jobs.sweep()).removed;
        assert_eq!(late + swept, 1, "an ended job is never removed");
        clock.advance(ms(5));
        let next = jobs.register(payload).unwrap().detach();
        call!(jobs.cancel(next)).unwrap();
        clock.advance(ms(5));
        assert_eq!(
            call!(jobs.sweep()).removed,
            0,
            "the next job was removed at the last one's deadline"
        );
        clock.advance(ms(5));
        assert_eq!(call!(jobs.sweep()).removed, 1);
        swept
    });
}

/// The last generation of a slot ends while another thread needs room. The slot is never reused,
/// and does not count towards the capacity.
#[test]
fn a_retired_slot_costs_no_room() {
    let claim = claim!(a_retired_slot_costs_no_room, [P4, P6], [19]);
    check(&claim, &[true, false], &[], || {
        let (jobs, _, first, payload) = ended(Duration::MAX);
        call!(jobs.remove(first)).unwrap();
        wear_out(&jobs, first.slot);
        let last = jobs.register(payload.clone()).unwrap().detach();
        call!(jobs.cancel(last)).unwrap();
        let (removed, registered) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.remove(last)).is_ok()
            },
            {
                let (jobs, payload) = (jobs.clone(), payload.clone());
                move || jobs.register(payload).map(Job::detach).ok()
            },
        );
        assert!(removed);
        let next =
            registered.unwrap_or_else(|| jobs.register(payload).expect("room for one").detach());
        assert_ne!(next.slot, last.slot, "a retired slot was reused");
        assert!(jobs.snapshot(next).is_ok(), "the next job is lost");
        registered.is_some()
    });
}

/// A job removed before its deadline leaves its entry to the next job in its slot. That job ends
/// during a sweep, and is removed at its own deadline.
#[test]
fn a_leftover_entry_serves_the_next_job() {
    let claim = claim!(a_leftover_entry_serves_the_next_job, [P5, P6], [25, 32]);
    // Whether the sweep has found the job locked, and left the entry for the next one.
    check(&claim, &[false, true], &[], || {
        let (jobs, clock, first, payload) = ended(ms(10));
        drop(jobs.remove(first).unwrap());
        let next = jobs.register(payload.clone()).unwrap().detach();
        assert_eq!(next.slot, first.slot);
        clock.advance(ms(10));
        let (ended, swept) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.cancel(next))
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep()).removed
            },
        );
        assert_eq!((ended, swept), (Ok(()), 0));
        let is_left = jobs.state.due.is_due(10);
        clock.advance(ms(9));
        assert_eq!(
            call!(jobs.sweep()).removed,
            0,
            "removed before its deadline"
        );
        clock.advance(ms(1));
        let removed = call!(jobs.sweep()).removed;
        assert_eq!(removed, 1, "an ended job is never removed");
        assert_eq!(Arc::strong_count(&payload), 1, "a payload has leaked");
        is_left
    });
}

/// A sweep takes the entry of a job that is about to end, finds the job locked, and queues it
/// again. The thread that ends the job and then sweeps must see that entry.
#[test]
fn ending_a_job_and_sweeping_removes_it() {
    let claim = claim!(ending_a_job_and_sweeping_removes_it, [P6, P12], [25]);
    let outcomes = [
        (1, 0, Ok(false)),
        (1, 0, Ok(true)),
        (1, 0, Err(LookupError::Gone)),
        (0, 1, Err(LookupError::Gone)),
        // The other sweep began before the end, and still has the entry in hand when this one
        // sweeps.
        (0, 0, Ok(true)),
    ];
    check(&claim, &outcomes, &[], || {
        let (jobs, _) = registry(|builder| builder.retention(Duration::ZERO));
        let id = jobs.register(()).unwrap().detach();
        call!(jobs.start(id)).unwrap();
        let (removed, (others, seen)) = race(
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.complete(id)).unwrap();
                    call!(jobs.sweep()).removed
                }
            },
            {
                let jobs = jobs.clone();
                move || {
                    let removed = call!(jobs.sweep()).removed;
                    let seen = call!(jobs.snapshot(id));
                    (removed, seen.map(|seen| seen.status().is_ended()))
                }
            },
        );
        (removed, others, seen)
    });
}

/// Prepares a vacant slot as if it had had all its jobs but the last.
pub(super) fn wear_out<T>(jobs: &JobRegistry<T>, slot: u32) {
    let worn = |_| Ok::<_, Infallible>(Some(StateWord::vacant(RETIRED - 1)));
    record::set_up(|| {
        let _ = jobs.state.slot(slot).step(worn);
    });
}

/// The owner and the last handle are dropped concurrently, and one of them drops all payloads.
#[test]
fn a_dropped_registry_drops_its_payloads() {
    let claim = claim!(a_dropped_registry_drops_its_payloads, [P6], [36]);
    check(&claim, &[(0, 1), (1, 0)], &[], || {
        let payload = Arc::new(());
        let (jobs, _) = registry(|builder| builder.retention(Duration::MAX));
        let job = jobs.register(payload.clone()).unwrap();
        let _ = jobs.register(payload.clone()).unwrap().detach();
        // This atomic stands in for the standard library's reference count, which no checker sees.
        let count = Arc::new(AtomicUsize::new(0));
        let order = race(
            {
                let count = count.clone();
                move || {
                    let place = count.fetch_add(1, Ordering::AcqRel);
                    drop(job);
                    place
                }
            },
            move || {
                let place = count.fetch_add(1, Ordering::AcqRel);
                drop(jobs);
                place
            },
        );
        assert_eq!(Arc::strong_count(&payload), 1, "a payload has leaked");
        order
    });
}
