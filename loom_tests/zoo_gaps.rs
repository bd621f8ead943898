//! Models that the seeded bugs asked for: without them, some lived. `loom_tests/seeded` has the bugs.

use super::harness::{block_on, check, claim, percent, race, registry, running};
use crate::sync::Ordering;
use crate::{Job, JobId, JobRegistry, LookupError, RemoveError, Status, Watch};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// P4 and P6, scenario 31: a slot that is free is empty, and what the next job puts there stays.
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

/// P4, scenario 19: who has learned the unguessable half of the new job's id cannot make it pass for the old one's, not even
/// while the slot's state is seen as it was. (Shuttle has no stale values.)
#[test]
fn a_half_of_the_next_id_opens_no_old_job() {
    let claim = claim!(a_half_of_the_next_id_opens_no_old_job, [P4], [19]);
    check(&claim, &[true, false], &[], || {
        let (jobs, _) = registry(|builder| builder.capacity(1).retention(Duration::MAX));
        let old = jobs.register("old").unwrap().detach();
        jobs.cancel(old).unwrap();
        let (has_learned, ()) = race(
            {
                let jobs = jobs.clone();
                move || {
                    let slot = jobs.inner.slot(old.slot);
                    let nonce = slot.nonce.load(Ordering::Relaxed);
                    let forged = JobId { nonce, ..old };
                    let seen = jobs.snapshot(forged);
                    assert!(
                        forged == old || seen == Err(LookupError::NotFound),
                        "a forged id was taken for a real one"
                    );
                    forged != old
                }
            },
            {
                let jobs = jobs.clone();
                move || {
                    jobs.remove(old).unwrap();
                    let _ = jobs.register("new").unwrap().detach();
                }
            },
        );
        has_learned
    });
}

/// P12: a job is published with everything that belongs to it.
#[test]
fn a_job_that_is_seen_has_its_payload() {
    let claim = claim!(a_job_that_is_seen_has_its_payload, [P12], []);
    check(&claim, &[None, Some("deck")], &[], || {
        let (jobs, _) = registry(|builder| builder.capacity(1));
        let (_, seen) = race(
            {
                let jobs = jobs.clone();
                move || jobs.register("deck").unwrap().detach()
            },
            {
                let jobs = jobs.clone();
                move || {
                    let seen = jobs.iter().next()?;
                    Some(jobs.get(seen.id()).unwrap().payload)
                }
            },
        );
        seen
    });
}

/// P10: the handle of an old attempt does not remove the new one, nor its payload.
#[test]
fn an_old_attempt_never_removes_the_new_one() {
    let claim = claim!(an_old_attempt_never_removes_the_new_one, [P5, P10], [18]);
    let outcomes = [
        Ok("deck"),
        Err(RemoveError::Live),
        Err(RemoveError::Superseded),
    ];
    check(&claim, &outcomes[..], &[], || {
        let (jobs, first) = running("deck");
        let first = Arc::new(first);
        let (removed, retried) = race(
            {
                let first = first.clone();
                move || first.remove()
            },
            {
                let first = first.clone();
                move || {
                    first.fail("disk full").ok()?;
                    let second = first.retry().ok()?;
                    second.cancel().unwrap();
                    Some(second.detach())
                }
            },
        );
        assert_eq!(removed.is_ok(), retried.is_none());
        assert_eq!(jobs.snapshot(first.id()).is_ok(), retried.is_some());
        removed
    });
}

/// P2: a writer that waited for the lock while the job ended finds it closed.
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

/// P9, scenario 29: a watch is opened while the job ends and is removed. Either there is no job any more, or the watch
/// learns the end.
#[test]
fn a_watch_that_is_opened_beside_the_removal_learns_the_end() {
    let claim = claim!(
        a_watch_that_is_opened_beside_the_removal_learns_the_end,
        [P9],
        [28, 29]
    );
    check(&claim, &[true, false], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        jobs.cancel(id).unwrap();
        let (learned, ()) = race(
            {
                let jobs = jobs.clone();
                move || match jobs.watch(id) {
                    Ok(mut watch) => {
                        let seen = block_on(watch.changed()).expect("the registry is there");
                        assert_eq!(seen.status(), Status::Cancelled);
                        true
                    }
                    Err(error) => {
                        assert_eq!(error, LookupError::Gone);
                        false
                    }
                }
            },
            {
                let jobs = jobs.clone();
                move || jobs.remove(id).unwrap()
            },
        );
        learned
    });
}

/// P8: a beat beside an ending leaves two words that agree. Where they do not, looking at them never ends; so the looks are
/// in the threads, where the checker counts.
#[test]
fn a_look_comes_to_its_end_beside_a_beat_and_a_seal() {
    let claim = claim!(
        a_look_comes_to_its_end_beside_a_beat_and_a_seal,
        [P8, P7],
        [17]
    );
    let (running, cancelled) = (Status::Running, Status::Cancelled);
    check(
        &claim,
        &[(true, running), (true, cancelled), (false, cancelled)],
        &[],
        || {
            let (jobs, clock) = registry(|builder| builder.retention(Duration::MAX));
            let id = jobs.register(()).unwrap().detach();
            jobs.start(id).unwrap();
            clock.advance(Duration::from_millis(10));
            let look = move |jobs: &JobRegistry<()>| jobs.snapshot(id).unwrap().status();
            let (seen, _) = race(
                {
                    let jobs = jobs.clone();
                    move || (jobs.heartbeat(id).is_ok(), look(&jobs))
                },
                {
                    let jobs = jobs.clone();
                    move || {
                        jobs.cancel(id).unwrap();
                        look(&jobs)
                    }
                },
            );
            seen
        },
    );
}

/// P7, scenario 37: a waker takes the job's lock, whichever step it is woken by.
#[test]
fn a_waker_may_take_the_lock() {
    struct Look(JobRegistry<u32>, JobId);

    impl Wake for Look {
        fn wake(self: Arc<Self>) {
            self.0.read(self.1, |_| ()).expect("no lock is held");
        }
    }

    let claim = claim!(a_waker_may_take_the_lock, [P7], [37]);
    check(&claim, &[true, false], &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let mut watch = jobs.watch(id).unwrap();
        wait(&mut watch, &Waker::from(Arc::new(Look(jobs.clone(), id))));
        let (advanced, ()) = race(
            {
                let jobs = jobs.clone();
                move || jobs.advance(id, percent(40.0)).is_ok()
            },
            {
                let jobs = jobs.clone();
                move || jobs.complete(id).unwrap()
            },
        );
        // A watch that is waiting holds the waker, which holds the registry.
        drop(watch);
        advanced
    });
}

/// Polls until it waits with `waker`.
fn wait<T>(watch: &mut Watch<T>, waker: &Waker) {
    let mut cx = Context::from_waker(waker);
    while std::pin::pin!(watch.changed()).poll(&mut cx).is_ready() {}
}

/// P7: a payload's drop takes another job's lock.
#[test]
fn a_payloads_drop_may_take_a_lock() {
    struct Last(Option<(JobRegistry<Last>, JobId)>);

    impl Drop for Last {
        fn drop(&mut self) {
            if let Some((jobs, other)) = self.0.take() {
                jobs.read(other, |_| ()).expect("no lock is held");
            }
        }
    }

    let claim = claim!(a_payloads_drop_may_take_a_lock, [P7], [37, 43]);
    check(&claim, &[1], &[], || {
        let (jobs, clock) = registry(|builder| builder.retention(Duration::from_millis(10)));
        let other = jobs.register(Last(None)).unwrap().detach();
        let last = Last(Some((jobs.clone(), other)));
        let id = jobs.register(last).unwrap().detach();
        jobs.cancel(id).unwrap();
        clock.advance(Duration::from_millis(10));
        let (swept, ()) = race(
            {
                let jobs = jobs.clone();
                move || jobs.sweep()
            },
            {
                let jobs = jobs.clone();
                move || jobs.update(other, |_| ()).unwrap()
            },
        );
        assert_eq!(swept.panics, [], "a payload found a lock held");
        swept.removed
    });
}

/// P11, scenarios 23 and 33: a thread that caught its own panic may lock again, and so may others.
#[test]
fn a_caught_panic_leaves_no_lock_behind() {
    let claim = claim!(a_caught_panic_leaves_no_lock_behind, [P11], [23, 33]);
    check(&claim, &[Status::Failed], &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let other = jobs.register(0).unwrap().detach();
        let ((), ()) = race(
            {
                let jobs = jobs.clone();
                move || {
                    let caught = catch_unwind(AssertUnwindSafe(|| {
                        let _guard = jobs.lock(id).unwrap();
                        std::panic::resume_unwind(Box::new("no hook, no text"));
                    }));
                    assert!(caught.is_err());
                    jobs.update(other, |count| *count += 1).unwrap();
                }
            },
            {
                let jobs = jobs.clone();
                move || jobs.update(other, |count| *count += 1).unwrap()
            },
        );
        assert_eq!(jobs.get(other).unwrap().payload, 2);
        jobs.snapshot(id).unwrap().status()
    });
}
