//! P5, no early cleanup: removal never takes a live job, a locked one, or an attempt that was
//! retried.
//!
//! The smallest program that could violate it: one thread retries a failed job whose removal is
//! due, one sweeps. A violation looks like a retry that succeeded on a job that is gone.

use super::harness::{ModelClock, call, check, claim, percent, race, registry, spawn};
use crate::{JobId, JobRegistry, Options, RetryError, Status};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Returns a failed job whose removal is due.
fn due() -> (JobRegistry<&'static str>, JobId) {
    let (jobs, clock) = registry(|builder| builder.retention(Duration::from_millis(10)));
    let id = jobs.register("deck").unwrap().detach();
    call!(jobs.fail(id, "disk full")).unwrap();
    clock.advance(Duration::from_millis(10));
    (jobs, id)
}

#[test]
fn a_sweep_never_takes_a_retried_attempt() {
    let claim = claim!(a_sweep_never_takes_a_retried_attempt, [P5], [18, 27]);
    check(&claim, &[true, false], &[], || {
        let (jobs, id) = due();
        let (retried, swept) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.retry(id)).map(crate::Job::detach)
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep())
            },
        );
        match retried {
            Ok(id) => {
                assert_eq!(swept.removed, 0);
                let seen = call!(jobs.get(id)).unwrap();
                assert_eq!(
                    (seen.snapshot.status(), seen.payload),
                    (Status::Pending, "deck")
                );
                assert_eq!((seen.reason, seen.times.removal), (None, None));
                // The sweep's leftover entry in the queue does not remove the new attempt either.
                assert_eq!(call!(jobs.sweep()).removed, 0);
            }
            Err(error) => {
                assert_eq!((error, swept.removed), (RetryError::Gone, 1));
            }
        }
        retried.is_ok()
    });
}

/// P6 as well: two sweeps and a reader that holds the lock remove the job once, and do not forget
/// it.
#[test]
fn a_due_job_is_removed_once_and_not_forgotten() {
    let claim = claim!(
        a_due_job_is_removed_once_and_not_forgotten,
        [P5, P6],
        [25, 30]
    );
    check(&claim, &[(1, true), (1, false), (0, true)], &[], || {
        let (jobs, id) = due();
        let (swept, read) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep())
            },
            {
                let jobs = jobs.clone();
                move || jobs.read(id, |record| *record.payload).ok()
            },
        );
        assert_eq!(swept.removed + swept.busy, 1);
        assert_eq!(
            call!(jobs.sweep()).removed,
            swept.busy,
            "a locked job was never removed"
        );
        assert!(jobs.is_empty());
        assert!(jobs.register("next").is_ok());
        (swept.removed, read.is_some())
    });
}

#[test]
fn two_sweeps_remove_a_job_once() {
    let claim = claim!(two_sweeps_remove_a_job_once, [P5, P6], [25]);
    check(&claim, &[(1, 0), (0, 1)], &[], || {
        let (jobs, _) = due();
        let sweep = |jobs: JobRegistry<&'static str>| move || call!(jobs.sweep()).removed;
        race(sweep(jobs.clone()), sweep(jobs.clone()))
    });
}

/// The job is due as soon as it ends, and the guard that writes to it ends it.
#[test]
fn a_removal_waits_for_the_guard_that_ends_the_job() {
    let claim = claim!(
        a_removal_waits_for_the_guard_that_ends_the_job,
        [P3, P5],
        [30]
    );
    check(&claim, &[1, 0], &[], || {
        let removed = Arc::new(Mutex::new(None));
        let seen = removed.clone();
        let (jobs, _) = registry(|builder| {
            builder
                .retention(Duration::ZERO)
                .on_remove(move |record| *seen.lock().unwrap() = Some(record.payload))
        });
        let id = jobs.register(0).unwrap().detach();
        call!(jobs.start(id)).unwrap();
        let ((), swept) = race(
            {
                let jobs = jobs.clone();
                move || {
                    let mut pages = jobs.lock(id).unwrap();
                    *pages = 1;
                    call!(pages.advance(percent(40.0))).unwrap();
                    *pages = 2;
                    pages.complete().unwrap();
                }
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep()).removed
            },
        );
        assert_eq!(call!(jobs.sweep()).removed + swept, 1);
        assert_eq!(
            *removed.lock().unwrap(),
            Some(2),
            "removed between the two writes"
        );
        swept
    });
}

/// The removal of the first attempt is due while the second one is locked and updated.
#[test]
fn a_sweep_passes_a_guard_on_a_retried_job() {
    let claim = claim!(a_sweep_passes_a_guard_on_a_retried_job, [P5], [18, 27]);
    check(&claim, &[(true, 0), (false, 1)], &[], || {
        let (jobs, id) = due();
        let (written, swept) = race(
            {
                let jobs = jobs.clone();
                move || {
                    let second = call!(jobs.retry(id)).ok()?;
                    let mut payload = second.lock().unwrap();
                    *payload = "second deck";
                    drop(payload);
                    Some(second.detach())
                }
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep())
            },
        );
        assert_eq!(swept.busy * swept.removed, 0);
        assert_eq!(
            call!(jobs.sweep()).removed,
            0,
            "the first attempt's deadline removed the second"
        );
        if let Some(id) = written {
            assert_eq!(call!(jobs.get(id)).unwrap().payload, "second deck");
        }
        (written.is_some(), swept.removed)
    });
}

/// Returns a stalled job, which is to be kept for 100 ms after its end.
fn stalled() -> (JobRegistry<()>, ModelClock, JobId) {
    let (jobs, clock) = registry(|builder| {
        let stall_after = Duration::from_millis(5);
        builder.retention(Duration::ZERO).stall_after(stall_after)
    });
    let id = jobs.register(()).unwrap().detach();
    jobs.start(id).unwrap();
    jobs.remove_after(id, Duration::from_millis(100)).unwrap();
    clock.advance(Duration::from_millis(10));
    (jobs, clock, id)
}

/// Asserts that the removal of an ended job is due 100 ms after its end.
fn is_kept(jobs: &JobRegistry<()>, id: JobId) {
    let times = jobs.get(id).unwrap().times;
    let ended = times.ended.expect("it has ended");
    assert_eq!(times.removal, Some(ended + Duration::from_millis(100)));
}

/// A heartbeat averts a concurrent stall verdict. The requested delay still counts from the job's
/// end.
#[test]
fn an_averted_verdict_leaves_the_delay() {
    let claim = claim!(an_averted_verdict_leaves_the_delay, [P5, P8], [14, 26]);
    check(&claim, &[true, false], &[], || {
        let (jobs, clock, id) = stalled();
        let (heartbeat, failed) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.heartbeat(id))
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.fail_stalled()).len()
            },
        );
        assert_eq!(failed == 1, heartbeat.is_err());
        if failed == 0 {
            clock.advance(Duration::from_millis(50));
            jobs.complete(id).unwrap();
        }
        is_kept(&jobs, id);
        failed == 1
    });
}

/// A late heartbeat arrives between a stall verdict and its decision, and is itself overdue. The
/// verdict stands, and the requested delay counts from it.
#[test]
fn a_verdict_on_a_late_heartbeat_leaves_the_delay() {
    let claim = claim!(
        a_verdict_on_a_late_heartbeat_leaves_the_delay,
        [P5, P8],
        [14, 26]
    )
    .bounds(&[Some(2)]);
    let seen = [(true, true), (true, false), (false, true)];
    check(&claim, &seen, &[], || {
        let (jobs, clock, id) = stalled();
        let time = {
            let clock = clock.clone();
            spawn(move || clock.advance(Duration::from_millis(20)))
        };
        let (heartbeat, failed) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.heartbeat(id)).is_ok()
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.fail_stalled()).len() == 1
            },
        );
        time.join().unwrap();
        if !failed {
            jobs.complete(id).unwrap();
        }
        is_kept(&jobs, id);
        (heartbeat, failed)
    });
}

/// A deadline beside the completion: exactly one ends the job, and a completion that was accepted
/// stands.
#[test]
fn a_deadline_never_reverts_a_completion() {
    let claim = claim!(a_deadline_never_reverts_a_completion, [P2, P5], []);
    check(&claim, &[(true, 0), (false, 1)], &[], || {
        let (jobs, clock) = registry(|builder| builder.retention(Duration::MAX));
        let options = Options::new().deadline(Duration::from_millis(3));
        let id = jobs.register_with((), options).unwrap().detach();
        call!(jobs.start(id)).unwrap();
        clock.advance(Duration::from_millis(3));
        let (expired, completed) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep()).expired
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.complete(id)).is_ok()
            },
        );
        // A sweep leaves a locked job for the next one.
        let expired = expired + call!(jobs.sweep()).expired;
        let status = call!(jobs.snapshot(id)).unwrap().status();
        assert_eq!(completed, status == Status::Completed);
        (completed, expired)
    });
}

/// A job is registered with a deadline in the slot that a sweep visits for its last job. The
/// deadline is not lost.
#[test]
fn a_deadline_is_queued_in_a_reused_slot() {
    let claim = claim!(a_deadline_is_queued_in_a_reused_slot, [P5, P6], []);
    check(&claim, &[1], &[], || {
        let (jobs, clock) = registry(|builder| builder.capacity(1).retention(Duration::ZERO));
        let first = jobs.register(()).unwrap().detach();
        call!(jobs.cancel(first)).unwrap();
        let options = Options::new().deadline(Duration::ZERO);
        let (swept, registered) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep()).expired
            },
            {
                let jobs = jobs.clone();
                // Refused while the sweep has not removed the first job.
                move || {
                    jobs.register_with((), options)
                        .map(crate::Job::detach)
                        .is_ok()
                }
            },
        );
        if !registered {
            let _ = jobs.register_with((), options).unwrap().detach();
        }
        clock.advance(Duration::from_millis(1));
        let swept = swept + call!(jobs.sweep()).expired;
        assert!(
            jobs.iter().all(|seen| seen.status().is_ended()),
            "it lives on"
        );
        swept
    });
}

/// A deadline counts from the retry: a sweep for the first attempt does not end the second.
#[test]
fn a_deadline_belongs_to_its_attempt() {
    let claim = claim!(a_deadline_belongs_to_its_attempt, [P5, P10], []);
    check(&claim, &[(0, Status::Pending)], &[], || {
        let (jobs, clock) = registry(|builder| builder.retention(Duration::MAX));
        let options = Options::new().deadline(Duration::from_millis(3));
        let id = jobs.register_with((), options).unwrap().detach();
        call!(jobs.fail(id, "disk full")).unwrap();
        clock.advance(Duration::from_millis(3));
        let (expired, ()) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.sweep()).expired
            },
            {
                let jobs = jobs.clone();
                move || {
                    let _ = jobs.retry(id).unwrap().detach();
                }
            },
        );
        (expired, call!(jobs.snapshot(id)).unwrap().status())
    });
}
