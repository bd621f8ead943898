//! P9, no lost wakeup: a watcher that waits after a change has seen it or is woken, and always
//! learns the end.
//!
//! The smallest program that could violate it: one thread watches until the end, one ends the job.
//! A violation looks like a deadlock report: a watcher that is never woken.

use super::harness::{
    Bell, Claim, block_on, call, check, claim, percent, race, registry, running, spawn, waiting,
};
use crate::sync::{Arc, AtomicUsize, Ordering};
use crate::{JobGuard, LookupError, Status, StepError, Watch};
use std::task::Poll;
use std::time::Duration;

/// Watches until the end. Returns the number of items and the last one's status.
fn follow<T: Send + 'static>(mut watch: Watch<T>) -> (usize, Option<Status>) {
    let mut items = 0;
    let mut last = None;
    while let Some(seen) = block_on(watch.changed()) {
        if let Some(before) = last {
            assert!(before < seen.version(), "an item that is not newer");
        }
        items += 1;
        last = Some(seen.version());
        if seen.status().is_ended() {
            assert_eq!(block_on(watch.changed()), None);
            return (items, Some(seen.status()));
        }
    }
    (items, None)
}

#[test]
fn the_end_is_never_missed() {
    let claim = claim!(the_end_is_never_missed, [P9], [29, 39]);
    let completed = Some(Status::Completed);
    check(&claim, &[(1, completed), (2, completed)], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let watching = jobs.clone();
        let (seen, ()) = race(move || follow(watching.watch(id).unwrap()), {
            let jobs = jobs.clone();
            move || call!(jobs.complete(id)).unwrap()
        });
        seen
    });
}

/// The last progress is not lost if the end follows at once.
#[test]
fn changes_in_a_row_lead_to_the_end() {
    let claim = claim!(changes_in_a_row_lead_to_the_end, [P1, P9], [22]);
    let failed = Some(Status::Failed);
    check(
        &claim,
        &[(1, failed), (2, failed), (3, failed)],
        &[],
        || {
            let (jobs, job) = running(());
            let id = job.detach();
            let watching = jobs.clone();
            let (seen, ()) = race(move || follow(watching.watch(id).unwrap()), {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.advance(id, percent(40.0))).unwrap();
                    call!(jobs.fail(id, "disk full")).unwrap();
                }
            });
            seen
        },
    );
}

/// A watcher that polls after the removal still learns how the job ended.
#[test]
fn the_end_is_learned_after_the_removal() {
    let claim = claim!(the_end_is_learned_after_the_removal, [P9], [28]);
    let completed = Some(Status::Completed);
    check(&claim, &[(1, completed), (2, completed)], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let watch = jobs.watch(id).unwrap();
        let (seen, ()) = race(move || follow(watch), {
            let jobs = jobs.clone();
            move || {
                call!(jobs.complete(id)).unwrap();
                call!(jobs.remove(id)).unwrap();
            }
        });
        seen
    });
}

/// The registry's last handle is dropped while a detached job is watched.
#[test]
fn a_watch_finishes_with_the_registry() {
    let claim = claim!(a_watch_finishes_with_the_registry, [P9], [38]);
    check(&claim, &[(0, None), (1, None)], &[], || {
        let (jobs, job) = running(());
        let watch = jobs.watch(job.detach()).unwrap();
        // This atomic stands in for the standard library's reference count, which no checker sees.
        let count = Arc::new(AtomicUsize::new(0));
        let (seen, ()) = race(
            {
                let count = count.clone();
                move || {
                    count.fetch_add(1, Ordering::AcqRel);
                    follow(watch)
                }
            },
            move || {
                count.fetch_add(1, Ordering::AcqRel);
                drop(jobs);
            },
        );
        seen
    });
}

/// Two watchers of one job share the watched bit, and neither consumes the other's wake.
#[test]
fn every_watcher_learns_the_end() {
    let claim = claim!(every_watcher_learns_the_end, [P9], [39]).bounds(&[Some(1)]);
    let completed = Some(Status::Completed);
    let seen = |a, b| ((a, completed), (b, completed));
    check(
        &claim,
        &[seen(1, 1), seen(1, 2), seen(2, 1), seen(2, 2)],
        &[],
        || {
            let (jobs, job) = running(());
            let id = job.detach();
            let (first, second) = (jobs.watch(id).unwrap(), jobs.watch(id).unwrap());
            let ender = {
                let jobs = jobs.clone();
                spawn(move || call!(jobs.complete(id)).unwrap())
            };
            let seen = race(move || follow(first), move || follow(second));
            ender.join().unwrap();
            seen
        },
    );
}

/// A watch begins while the ended job is removed. Either the job is gone, or the watch learns the
/// end.
#[test]
fn a_watch_that_begins_during_the_removal_learns_the_end() {
    let claim = claim!(
        a_watch_that_begins_during_the_removal_learns_the_end,
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

/// Asserts that a watcher that waited, and has an unseen change, was woken. Returns the new status.
fn status_after_wake<T>(mut watch: Watch<T>, bell: &Bell) -> Option<Status> {
    match Bell::default().poll(&mut watch) {
        Poll::Pending => None,
        Poll::Ready(seen) => {
            assert!(bell.has_rung(), "a wake was lost");
            Some(seen.expect("the registry is there").status())
        }
    }
}

/// The owner of an earlier attempt sends a heartbeat while the present attempt ends. The heartbeat
/// may settle the ending, and is refused nevertheless. The waiting watcher is woken by the thread
/// that settled.
#[test]
fn a_refused_heartbeat_of_an_old_attempt_loses_no_wake() {
    let claim = claim!(
        a_refused_heartbeat_of_an_old_attempt_loses_no_wake,
        [P9, P10],
        [16]
    );
    check(&claim, &[Some(Status::Completed)], &[], || {
        let (jobs, first) = running(());
        first.fail("disk full").unwrap();
        let second = first.retry().unwrap();
        second.start().unwrap();
        let (watch, bell) = waiting(second.watch().unwrap());
        let (heartbeat, ()) = race(
            move || call!(first.heartbeat()),
            move || call!(second.complete()).unwrap(),
        );
        assert_eq!(heartbeat, Err(StepError::Superseded));
        let seen = status_after_wake(watch, &bell);
        drop(jobs);
        seen
    });
}

/// The handle of a removed job is used while the next job in its slot ends. The call may settle
/// that ending, and answers that its own job is gone. The watcher of the next job is woken.
#[test]
fn a_refused_heartbeat_of_a_removed_job_loses_no_wake() {
    let claim = claim!(
        a_refused_heartbeat_of_a_removed_job_loses_no_wake,
        [P4, P9],
        [7]
    );
    check(&claim, &[Some(Status::Cancelled)], &[], || {
        let (jobs, _) = registry(|builder| builder.capacity(1).retention(Duration::MAX));
        let removed = jobs.register(()).unwrap();
        removed.cancel().unwrap();
        jobs.remove(removed.id()).unwrap();
        let next = jobs.register(()).unwrap();
        let (watch, bell) = waiting(next.watch().unwrap());
        let (heartbeat, ()) = race(
            move || call!(removed.heartbeat()),
            move || call!(next.cancel()).unwrap(),
        );
        assert_eq!(heartbeat, Err(StepError::Gone));
        let seen = status_after_wake(watch, &bell);
        drop(jobs);
        seen
    });
}

/// A heartbeat by id finds its job, which is then removed, and the next job in the slot starts. The
/// heartbeat may settle that start, and answers that its own job is gone. The watcher is woken.
#[test]
fn a_late_heartbeat_by_id_loses_no_wake_of_the_next_job() {
    let claim = claim!(
        a_late_heartbeat_by_id_loses_no_wake_of_the_next_job,
        [P4, P9],
        [7]
    );
    let cancelled = Err(StepError::Ended(Status::Cancelled));
    let gone = Err(StepError::Gone);
    check(&claim, &[cancelled, gone], &[], || {
        let (jobs, _) = registry(|builder| builder.capacity(1).retention(Duration::MAX));
        let removed = jobs.register(()).unwrap().detach();
        jobs.cancel(removed).unwrap();
        let late = jobs.clone();
        let (answer, (watch, bell)) = race(move || call!(late.heartbeat(removed)), {
            let jobs = jobs.clone();
            move || {
                call!(jobs.remove(removed)).unwrap();
                let next = jobs.register(()).unwrap().detach();
                let waits = waiting(jobs.watch(next).unwrap());
                call!(jobs.start(next)).unwrap();
                waits
            }
        });
        assert_eq!(status_after_wake(watch, &bell), Some(Status::Running));
        drop(jobs);
        answer
    });
}

/// Polls until the watch waits, and returns it with the bell of the last poll.
fn poll_until_it_waits<T>(mut watch: Watch<T>) -> (Watch<T>, Bell) {
    loop {
        let bell = Bell::default();
        if bell.poll(&mut watch).is_pending() {
            return (watch, bell);
        }
    }
}

/// Two watchers begin to wait while the job advances. One may set the watched bit on the word after
/// the advance, while the other still has the earlier word. That bit is no promise to the other
/// one.
#[test]
fn the_watched_bit_of_another_word_is_no_promise() {
    let claim =
        claim!(the_watched_bit_of_another_word_is_no_promise, [P9], [39]).bounds(&[Some(2)]);
    let (seen, unseen) = (Some(Status::Running), None);
    check(
        &claim,
        &[
            [unseen, unseen],
            [unseen, seen],
            [seen, unseen],
            [seen, seen],
        ],
        &[],
        || {
            let (jobs, job) = running(());
            let id = job.detach();
            let watches = [(); 2].map(|()| {
                let mut watch = jobs.watch(id).unwrap();
                assert!(
                    Bell::default().poll(&mut watch).is_ready(),
                    "the first poll yields the current state"
                );
                watch
            });
            let advances = {
                let jobs = jobs.clone();
                spawn(move || call!(jobs.advance(id, percent(40.0))).unwrap())
            };
            let [first, second] = watches.map(|watch| spawn(move || poll_until_it_waits(watch)));
            advances.join().unwrap();
            let waits = [first.join().unwrap(), second.join().unwrap()];
            waits.map(|(watch, bell)| status_after_wake(watch, &bell))
        },
    );
}

/// A change of the payload wakes a watcher that waits, and shows it a new version. A step beside it
/// may clear the watched bit first.
#[test]
fn a_write_wakes_the_watchers() {
    let claim = claim!(a_write_wakes_the_watchers, [P9], []);
    check(&claim, &[()], &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let (mut watch, bell) = waiting(jobs.watch(id).unwrap());
        race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.update(id, |number| *number += 1)).unwrap()
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.advance(id, percent(40.0))).unwrap()
            },
        );
        assert!(bell.has_rung(), "a wake was lost");
        let now = call!(jobs.snapshot(id)).unwrap();
        assert_eq!(Bell::default().poll(&mut watch), Poll::Ready(Some(now)));
    });
}

/// A watcher that begins to wait while the payload changes has seen the change or is woken.
#[test]
fn a_write_is_seen_or_wakes() {
    let claim = claim!(a_write_is_seen_or_wakes, [P9], []);
    check(&claim, &[true, false], &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let before = call!(jobs.snapshot(id)).unwrap().version();
        let watch = jobs.watch(id).unwrap();
        let ((mut watch, bell, waited), ()) = race(
            move || {
                let (mut watch, bell) = (watch, Bell::default());
                let _ = bell.poll(&mut watch);
                bell.reset();
                let waited = bell.poll(&mut watch).is_pending();
                (watch, bell, waited)
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.update(id, |number| *number += 1)).unwrap()
            },
        );
        let now = call!(jobs.snapshot(id)).unwrap();
        assert!(before < now.version(), "the write made no new version");
        let rang = bell.has_rung();
        let last = Bell::default().poll(&mut watch);
        assert!(
            !waited || rang || last.is_pending(),
            "a wake was lost: {last:?}"
        );
        rang
    });
}

/// A guard that was written through, and a note, wake as an `update` does.
#[test]
fn a_written_guard_and_a_note_wake_the_watchers() {
    let claim = claim!(a_written_guard_and_a_note_wake_the_watchers, [P9], []);
    check(&claim, &[()], &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let (mut watch, bell) = waiting(jobs.watch(id).unwrap());
        race(
            {
                let jobs = jobs.clone();
                move || *call!(jobs.lock(id).map_err(|_| ())).unwrap() += 1
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.note(id, "half done")).unwrap()
            },
        );
        assert!(bell.has_rung(), "a wake was lost");
        let now = call!(jobs.snapshot(id)).unwrap();
        assert_eq!(Bell::default().poll(&mut watch), Poll::Ready(Some(now)));
    });
}

/// A worker's last write under a guard and its ending: a watcher that has finished has seen the
/// last version.
#[test]
fn the_end_has_the_last_version() {
    let claim = claim!(the_end_has_the_last_version, [P9, P12], []);
    the_end_is_last(&claim, |guard| guard.complete().unwrap());
}

/// A cancellation counts the write of its guard before the end, as a completion does.
#[test]
fn a_cancelled_guard_has_the_last_version() {
    let claim = claim!(a_cancelled_guard_has_the_last_version, [P9, P12], []);
    the_end_is_last(&claim, |guard| guard.cancel_because("the user left"));
}

fn the_end_is_last(claim: &Claim, end: fn(JobGuard<'_, i32>)) {
    check(claim, &[true, false], &[], move || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let watch = jobs.watch(id).unwrap();
        let (last, ()) = race(
            move || {
                let (mut watch, bell, mut last) = (watch, Bell::default(), None);
                while let Poll::Ready(Some(seen)) = bell.poll(&mut watch) {
                    last = Some(seen);
                }
                last
            },
            {
                let jobs = jobs.clone();
                move || {
                    let mut guard = jobs.lock(id).unwrap();
                    *guard += 1;
                    end(guard);
                }
            },
        );
        let now = call!(jobs.snapshot(id)).unwrap();
        let last = last.expect("the first item is the job as it is");
        assert!(!last.status().is_ended() || last == now, "the end changed");
        last.status().is_ended()
    });
}

/// A watch through retries has seen a failed attempt and waits. The retry wakes it.
#[test]
fn a_retry_wakes_a_watch_through_retries() {
    let claim = claim!(a_retry_wakes_a_watch_through_retries, [P9, P10], []);
    check(&claim, &[true, false], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        call!(jobs.fail(id, "disk full")).unwrap();
        let watch = jobs.watch(id).unwrap().through_retries();
        let ((mut watch, bell, waited), ()) = race(
            move || {
                let (mut watch, bell) = (watch, Bell::default());
                let _ = bell.poll(&mut watch);
                bell.reset();
                let waited = bell.poll(&mut watch).is_pending();
                (watch, bell, waited)
            },
            {
                let jobs = jobs.clone();
                move || {
                    let _ = jobs.retry(id).unwrap().detach();
                }
            },
        );
        let rang = bell.has_rung();
        let last = Bell::default().poll(&mut watch);
        assert!(
            !waited || rang || last.is_pending(),
            "a wake was lost: {last:?}"
        );
        rang
    });
}

/// A watch through retries finishes when the job is removed, and shows its last state once.
#[test]
fn a_removal_finishes_a_watch_through_retries() {
    let claim = claim!(a_removal_finishes_a_watch_through_retries, [P9], [28]);
    check(&claim, &[(1, true), (2, true)], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let watch = jobs.watch(id).unwrap().through_retries();
        let (seen, ()) = race(
            move || {
                let mut watch = watch;
                let (mut items, mut ended) = (0, false);
                while let Some(seen) = block_on(watch.changed()) {
                    items += 1;
                    assert!(!ended, "an ended state was shown twice");
                    ended = seen.status().is_ended();
                }
                (items, ended)
            },
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.fail(id, "disk full")).unwrap();
                    call!(jobs.remove(id)).unwrap();
                }
            },
        );
        seen
    });
}

/// A thread that waits without an executor is unparked by each change, and by the end. Shuttle's
/// `park` may wake at any time, so that its search would not end.
#[cfg(loom)]
#[test]
fn a_thread_that_waits_learns_the_end() {
    let claim = claim!(a_thread_that_waits_learns_the_end, [P9], []);
    check(&claim, &[1, 2], &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let (items, ()) = race(
            {
                let mut watch = jobs.watch(id).unwrap();
                move || {
                    let mut items = 0;
                    while watch.wait().is_some() {
                        items += 1;
                    }
                    items
                }
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.complete(id)).unwrap()
            },
        );
        items
    });
}
