//! P11: a panic in user code leaves the job failed, the locks free, and every other job as it was.
//! Hooks are in `hooks.rs`, payload drops in `drops.rs`.

use crate::watchdog::{in_time, waker};
use job_registry::{JobRegistry, LockError, Progress, Status, StepError, Watch};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::thread;

/// What a caught panic said.
fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().unwrap_or("?")
}

/// Polls once, so that the watch waits with `waker`.
pub(crate) fn wait<T>(watch: &mut Watch<T>, waker: &Waker) {
    let poll = |watch: &mut Watch<T>| {
        pin!(watch.changed())
            .poll(&mut Context::from_waker(waker))
            .is_ready()
    };
    assert!(poll(watch), "the first item is the job as it is");
    assert!(!poll(watch), "nothing has changed since");
}

/// P11, scenarios 23 and 33.
#[test]
fn panic_in_update_fails_the_job_and_nothing_else() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let broken = jobs.register(vec![1]).unwrap();
        let other = jobs.register(vec![2]).unwrap();
        broken.start().unwrap();
        other.start().unwrap();
        let before = other.snapshot().unwrap();

        let panic = catch_unwind(AssertUnwindSafe(|| {
            broken.update(|pages| {
                pages.push(3);
                panic!("no such font");
            })
        }));
        assert_eq!(
            message(&*panic.unwrap_err()),
            "no such font",
            "the panic goes on to the caller as it was"
        );

        let record = jobs.get(broken.id()).unwrap();
        assert_eq!(record.snapshot.status(), Status::Failed);
        assert_eq!(record.error.as_deref(), Some("panicked: no such font"));
        assert_eq!(record.payload, [1, 3], "what was done stays to be read");
        assert_eq!(
            broken.lock().unwrap_err(),
            LockError::Ended(Status::Failed),
            "the lock is free: the refusal is the job's end, not a wait"
        );
        assert_eq!(
            other.snapshot(),
            Ok(before),
            "another job has noticed nothing"
        );
        other.update(|pages| pages.push(4)).unwrap();
        assert_eq!(jobs.remove(broken.id()).unwrap(), [1, 3]);
    });
}

/// P11: the text of a panic is kept where it has one, formatted or not.
#[test]
fn panic_message_is_the_reason_of_the_failure() {
    let jobs = JobRegistry::new();
    let reason_of = |f: fn()| {
        let job = jobs.register(()).unwrap();
        let result = catch_unwind(AssertUnwindSafe(|| job.update(|()| f())));
        assert!(result.is_err());
        jobs.get(job.id()).unwrap().error.unwrap().to_string()
    };
    assert_eq!(reason_of(|| panic!("literal")), "panicked: literal");
    assert_eq!(
        reason_of(|| panic!("page {} of {}", 3, 7)),
        "panicked: page 3 of 7"
    );
    assert_eq!(reason_of(|| panic_any(7_u8)), "panicked: no message");
}

/// P11, scenario 33: also where the job has not been started.
#[test]
fn panic_while_a_guard_is_held_fails_the_job_and_frees_the_lock() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let job = jobs.register(0).unwrap();
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut guard = job.lock().unwrap();
            *guard = 1;
            panic!("under the guard");
        }));
        assert!(result.is_err());
        let record = jobs.get(job.id()).unwrap();
        assert_eq!(record.snapshot.status(), Status::Failed);
        assert!(record.error.unwrap().starts_with("panicked"));
        assert_eq!(record.payload, 1);
        // The thread may lock again, and so may others.
        let next = jobs.register(2).unwrap();
        assert_eq!(*next.lock().unwrap(), 2);
        thread::scope(|s| s.spawn(|| jobs.read(job.id(), |_| ()).unwrap()).join()).unwrap();
    });
}

/// P2 and P11: an ending through the guard stands, whatever panics afterwards.
#[test]
fn panic_after_the_guard_has_ended_the_job_does_not_change_the_ending() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    let result = catch_unwind(AssertUnwindSafe(|| {
        job.lock().unwrap().complete().unwrap();
        panic!("too late");
    }));
    assert!(result.is_err());
    assert_eq!(job.snapshot().unwrap().status(), Status::Completed);
}

/// P11: work that a destructor does while the thread unwinds is ordinary work. Only a panic that starts
/// under the guard fails the job.
#[test]
fn guard_taken_while_unwinding_does_not_fail_the_job() {
    struct Cleanup<'a>(&'a JobRegistry<u32>, job_registry::JobId);

    impl Drop for Cleanup<'_> {
        fn drop(&mut self) {
            // A panic in here would end the process instead of the test.
            if let Ok(mut count) = self.0.lock(self.1) {
                *count += 1;
            }
            let _ = self.0.update(self.1, |count| *count += 1);
        }
    }

    let jobs = JobRegistry::new();
    let id = jobs.register(0).unwrap().detach();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _cleanup = Cleanup(&jobs, id);
        panic!("of something else");
    }));
    assert!(result.is_err());
    let record = jobs.get(id).unwrap();
    assert_eq!(
        (record.snapshot.status(), record.payload),
        (Status::Pending, 2)
    );
}

/// P11: `f` has only seen the job.
#[test]
fn panic_in_read_changes_nothing() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let job = jobs.register("deck").unwrap();
        job.start().unwrap();
        let before = job.snapshot();
        let result = catch_unwind(AssertUnwindSafe(|| {
            jobs.read(job.id(), |_| panic!("reader"))
        }));
        assert!(result.is_err());
        assert_eq!(job.snapshot(), before);
        job.update(|deck| *deck = "another").unwrap();
        assert_eq!(jobs.get(job.id()).unwrap().payload, "another");
    });
}

/// P11: a payload's own `clone` is user code, too.
#[test]
fn panic_in_a_payloads_clone_changes_nothing() {
    #[derive(Debug)]
    struct NoClone;

    impl Clone for NoClone {
        fn clone(&self) -> Self {
            panic!("not to be cloned")
        }
    }

    in_time(|| {
        let jobs = JobRegistry::new();
        let job = jobs.register(NoClone).unwrap();
        let before = job.snapshot();
        assert!(catch_unwind(AssertUnwindSafe(|| jobs.get(job.id()))).is_err());
        assert_eq!(job.snapshot(), before);
        assert!(job.lock().is_ok(), "the lock is free");
    });
}

/// P11, scenario 23: the job does not run for ever when its worker dies.
#[test]
fn panic_of_the_owning_thread_fails_the_job() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    let id = job.id();
    let worker = thread::spawn(move || {
        job.start().unwrap();
        job.advance(Progress::percent(40.0).unwrap()).unwrap();
        panic!("the worker dies");
    });
    assert!(worker.join().is_err());
    let record = jobs.get(id).unwrap();
    assert_eq!(record.snapshot.status(), Status::Failed);
    assert_eq!(record.snapshot.progress(), Progress::percent(40.0).unwrap());
    assert!(record.error.unwrap().starts_with("panicked"));
}

/// P11: threads that share an owner keep the job alive until the last of them is gone.
#[test]
fn panic_of_one_sharer_leaves_the_job_to_the_others() {
    let jobs = JobRegistry::new();
    let job = Arc::new(jobs.register(()).unwrap());
    job.start().unwrap();
    let sharer = thread::spawn({
        let job = job.clone();
        move || {
            job.heartbeat().unwrap();
            panic!("one of two");
        }
    });
    assert!(sharer.join().is_err());
    assert_eq!(job.complete(), Ok(()));
}

/// P11 and P9: a waker that panics spoils neither the step, nor the lock, nor the other watchers.
#[test]
fn panic_in_a_waker_leaves_the_step_made_and_the_others_woken() {
    type Step = fn(&job_registry::Job<()>) -> Result<(), StepError>;
    let steps: [(Step, Status); 4] = [
        (
            |job| job.advance(Progress::percent(1.0).unwrap()).map(|_| ()),
            Status::Running,
        ),
        (|job| job.complete(), Status::Completed),
        (|job| job.fail("reason"), Status::Failed),
        (
            |job| {
                job.lock().unwrap().cancel();
                Ok(())
            },
            Status::Cancelled,
        ),
    ];
    for (step, expected) in steps {
        in_time(move || {
            let jobs = JobRegistry::new();
            let job = jobs.register(()).unwrap();
            job.start().unwrap();
            let woken = Arc::new(AtomicUsize::new(0));
            let mut watches = Vec::new();
            for panics in [false, true, false] {
                let woken = woken.clone();
                let mut watch = job.watch().unwrap();
                let waker = waker(move || {
                    woken.fetch_add(1, Ordering::SeqCst);
                    assert!(!panics, "in a waker");
                });
                wait(&mut watch, &waker);
                watches.push(watch);
            }
            assert!(catch_unwind(AssertUnwindSafe(|| step(&job))).is_err());
            assert_eq!(job.snapshot().unwrap().status(), expected);
            assert_eq!(woken.load(Ordering::SeqCst), 3, "each was woken");
            jobs.read(job.id(), |_| ()).unwrap();
        });
    }
}

/// P11: panics in many threads at once, each under its own job's lock, harm nobody but their jobs.
#[test]
fn panics_in_many_jobs_at_once_stay_where_they_are() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let healthy = jobs.register(0_u32).unwrap();
        healthy.start().unwrap();
        thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| {
                    let id = jobs.register(0).unwrap().detach();
                    let result = catch_unwind(AssertUnwindSafe(|| {
                        jobs.update(id, |_| panic!("one of many"))
                    }));
                    assert!(result.is_err());
                    healthy.update(|count| *count += 1).unwrap();
                });
            }
        });
        assert_eq!(*healthy.lock().unwrap(), 8);
        assert_eq!(jobs.counts().failed, 8);
        assert_eq!(jobs.counts().running, 1);
    });
}
