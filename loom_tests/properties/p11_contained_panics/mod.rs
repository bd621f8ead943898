//! P11, contained panics: a panic in user code leaves the job failed, the locks free, and every
//! other job as it was.
//!
//! The smallest program that could violate it: one thread panics in a closure under a job's lock,
//! one takes that lock. A violation looks like the checker's report of a deadlock, or a job that
//! still runs. It may also look like a watcher that is never woken, or a sweep that stops early.
//!
//! A checker runs all threads of a model on one OS thread. While one of them unwinds, all of them
//! seem to panic. A model in which a panic drops a guard therefore has no second guard. Most models
//! here run under shuttle only, because loom does not support unwinding through a model.

#[cfg(shuttle)]
mod aborts;
#[cfg(shuttle)]
mod user_code;

#[cfg(shuttle)]
use super::harness::{block_on, call};
use super::harness::{check, claim, race, running};
use crate::Status;
#[cfg(shuttle)]
use crate::{JobId, JobRegistry, LockError, StepError};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Panics without the panic hook, which would print.
fn fall(text: &'static str) -> ! {
    resume_unwind(Box::new(text))
}

/// Returns whether `f` panics, and stops the panic.
fn falls<R>(f: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

/// After a caught panic, its thread may lock again, and so may others.
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
                    assert!(falls(|| {
                        let _guard = jobs.lock(id).unwrap();
                        fall("under the guard")
                    }));
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

/// A closure panics while another thread completes the job. There is one ending, with the text of
/// the panic exactly if the panic is that ending.
#[cfg(shuttle)]
#[test]
fn a_panic_in_an_update_is_one_ending() {
    let claim = claim!(a_panic_in_an_update_is_one_ending, [P2, P11], [23, 33]);
    let failed = Some("panicked: half-way".to_owned());
    check(&claim, &[(true, failed), (false, None)], &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let (fell, completed) = race(
            {
                let jobs = jobs.clone();
                move || {
                    falls(|| {
                        let refused = jobs.update(id, |pages| {
                            *pages = 1;
                            fall("half-way")
                        });
                        let refused: Result<(), _> = refused;
                        assert_eq!(refused, Err(LockError::Ended(Status::Completed)));
                    })
                }
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.complete(id))
            },
        );
        let record = jobs.get(id).unwrap();
        let (expected, payload) = if fell {
            (Err(StepError::Ended(Status::Failed)), 1)
        } else {
            (Ok(()), 0)
        };
        assert_eq!((completed, record.payload), (expected, payload));
        (fell, record.reason.map(|text| text.to_string()))
    });
}

/// A thread that waits for the lock gets it once the holder panics, and finds an ended job.
#[cfg(shuttle)]
#[test]
fn a_panic_lets_the_next_in_line_go_on() {
    let claim = claim!(a_panic_lets_the_next_in_line_go_on, [P7, P11], [23, 33]);
    let outcomes = [Ok(1), Err(LockError::Ended(Status::Failed))];
    check(&claim, &outcomes, &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let (fell, updated) = race(
            {
                let jobs = jobs.clone();
                move || falls(|| jobs.update(id, |_| fall("half-way")))
            },
            {
                let jobs = jobs.clone();
                move || {
                    jobs.update(id, |pages| {
                        *pages += 1;
                        *pages
                    })
                }
            },
        );
        assert!(fell);
        let record = jobs.get(id).unwrap();
        assert_eq!(record.snapshot.status(), Status::Failed);
        assert_eq!(record.payload, i32::from(updated.is_ok()));
        updated
    });
}

/// A panic drops a guard, and the watcher learns the job's only ending.
#[cfg(shuttle)]
#[test]
fn a_panic_under_a_guard_reaches_the_watcher() {
    let claim = claim!(
        a_panic_under_a_guard_reaches_the_watcher,
        [P9, P11],
        [23, 33]
    );
    let outcomes = [(false, Status::Failed), (true, Status::Failed)];
    check(&claim, &outcomes, &[], || {
        let (jobs, job) = running(());
        let id = job.detach();
        let mut watch = jobs.watch(id).unwrap();
        let (fell, seen) = race(
            {
                let jobs = jobs.clone();
                move || {
                    falls(|| {
                        let _guard = jobs.lock(id).unwrap();
                        fall("under the guard")
                    })
                }
            },
            move || {
                let first = block_on(watch.changed()).unwrap().status();
                if first.is_ended() {
                    return (false, first);
                }
                let then = block_on(watch.changed()).unwrap().status();
                (true, then)
            },
        );
        assert!(fell);
        let text = jobs.get(id).unwrap().reason.unwrap();
        assert_eq!(&*text, "panicked: while the job's lock was held");
        seen
    });
}

/// A reader that panics changes nothing, and releases the lock.
#[cfg(shuttle)]
#[test]
fn a_reader_that_panics_changes_nothing() {
    let claim = claim!(a_reader_that_panics_changes_nothing, [P11], [33]);
    check(&claim, &[0, 1], &[], || {
        let (jobs, job) = running(0);
        let id = job.detach();
        let read = |jobs: &JobRegistry<i32>, id: JobId| {
            let mut seen = 0;
            let fell = falls(|| {
                jobs.read(id, |record| {
                    seen = *record.payload;
                    fall("while reading")
                })
            });
            assert!(fell);
            seen
        };
        let (seen, ()) = race(
            {
                let jobs = jobs.clone();
                move || read(&jobs, id)
            },
            {
                let jobs = jobs.clone();
                move || jobs.update(id, |count| *count += 1).unwrap()
            },
        );
        let record = jobs.get(id).unwrap();
        assert_eq!(
            (record.snapshot.status(), record.payload),
            (Status::Running, 1)
        );
        seen
    });
}
