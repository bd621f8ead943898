//! P11: a panic in user code leaves the job failed, the locks free, and every other job as it was.
//! Panics of hooks and of payloads' destructors are in `removal`.

mod double;

use crate::wakers::{wait, waker};
use crate::watchdog::in_time;
use job_registry::{JobRegistry, LockError, Progress, Status, StepError};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Returns the message of a caught panic.
fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().unwrap_or("?")
}

/// P11, scenarios 23 and 33: the panic reaches the caller, the job fails, and the lock is free.
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
        assert_eq!(record.reason.as_deref(), Some("panicked: no such font"));
        assert_eq!(record.payload, [1, 3], "what was done stays to be read");
        assert_eq!(
            broken.lock().unwrap_err(),
            LockError::Ended(Status::Failed),
            "the lock is free: the refusal is the job's end, not a wait"
        );
        assert_eq!(other.snapshot(), Ok(before), "the other job is unchanged");
        other.update(|pages| pages.push(4)).unwrap();
        assert_eq!(jobs.remove(broken.id()).unwrap(), [1, 3]);
    });
}

/// P11: the message of a panic is kept if it has one, formatted or literal.
#[test]
fn panic_message_is_the_reason_of_the_failure() {
    let jobs = JobRegistry::new();
    let reason_of = |f: fn()| {
        let job = jobs.register(()).unwrap();
        let result = catch_unwind(AssertUnwindSafe(|| job.update(|()| f())));
        assert!(result.is_err());
        jobs.get(job.id()).unwrap().reason.unwrap().to_string()
    };
    assert_eq!(reason_of(|| panic!("literal")), "panicked: literal");
    assert_eq!(
        reason_of(|| panic!("page {} of {}", 3, 7)),
        "panicked: page 3 of 7"
    );
    assert_eq!(reason_of(|| panic_any(7_u8)), "panicked: no message");
}

/// P11, scenario 33: the job fails even if it has not been started.
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
        assert!(record.reason.unwrap().starts_with("panicked"));
        assert_eq!(record.payload, 1);
        // This thread and others may lock again.
        let next = jobs.register(2).unwrap();
        assert_eq!(*next.lock().unwrap(), 2);
        thread::scope(|s| s.spawn(|| jobs.read(job.id(), |_| ()).unwrap()).join()).unwrap();
    });
}

/// P2 and P11: an ending through the guard stands if a panic follows.
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

/// P11: a destructor may use the job while the thread unwinds. Only a panic that starts under the
/// guard fails the job.
#[test]
fn guard_taken_while_unwinding_does_not_fail_the_job() {
    struct Cleanup<'a>(&'a JobRegistry<u32>, job_registry::JobId);

    impl Drop for Cleanup<'_> {
        fn drop(&mut self) {
            // A panic here would abort the process instead of failing the test.
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

/// P11: the closure of `read` only has shared access to the job.
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

/// P11: a payload's `clone` is user code, too.
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

/// P11, scenario 23: the job of a worker that panics does not stay running.
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
    assert!(record.reason.unwrap().starts_with("panicked"));
}

/// P11: threads that share an owner keep the job alive until the last of them drops it.
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

/// P11 and P9: a waker that panics affects neither the step, nor the lock, nor the other watchers.
#[test]
fn panic_in_a_waker_keeps_the_step_and_wakes_the_other_watchers() {
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

/// P11: panics in many threads, each under its own job's lock, affect only their own jobs.
#[test]
fn concurrent_panics_affect_only_their_own_jobs() {
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
