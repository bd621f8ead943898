//! P11: two panics at once abort a process, in any call. The library must never make two of its
//! callers' panics coincide. Each body runs in its own process.

use crate::wakers::{wait, waker};
use job_registry::{JobId, JobRegistry, LookupError, ManualClock};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::process::Command;
use std::time::Duration;

const CHILD: &str = "JOB_REGISTRY_TEST_CHILD";

/// Runs `body` in a child process that runs the test of this name alone.
fn in_a_child(name: &str, body: fn()) {
    if std::env::var_os(CHILD).is_some() {
        return body();
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args([&format!("panics::double::{name}"), "--exact"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains("1 passed"), "{}: {said}", child.status);
}

/// Panics when it is dropped, even while the thread unwinds.
struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("in a drop");
    }
}

fn panic_message(result: std::thread::Result<()>) -> &'static str {
    result.unwrap_err().downcast_ref::<&'static str>().unwrap()
}

fn ended<T: Send + 'static>(jobs: &JobRegistry<T>, payload: T) -> JobId {
    let id = jobs.register(payload).unwrap().detach();
    jobs.cancel(id).unwrap();
    id
}

/// P11: several payloads panic when their registry is dropped.
#[test]
fn payloads_that_panic_with_their_registry_do_not_abort_the_process() {
    in_a_child(
        "payloads_that_panic_with_their_registry_do_not_abort_the_process",
        || {
            let jobs = JobRegistry::new();
            for _ in 0..3 {
                ended(&jobs, PanicsOnDrop);
            }
            // The library may pass one of the panics on, or none.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(jobs)));
        },
    );
}

/// P11: a registry that is dropped by unwinding adds no panic of its own, which would abort the
/// process. A registry that is dropped otherwise passes the panic on.
#[test]
fn registry_dropped_by_unwinding_adds_no_panic() {
    in_a_child("registry_dropped_by_unwinding_adds_no_panic", || {
        let with_payload = || {
            let jobs = JobRegistry::new();
            ended(&jobs, PanicsOnDrop);
            jobs
        };
        let unwound = catch_unwind(|| {
            let _jobs = with_payload();
            panic!("the holder");
        });
        assert_eq!(panic_message(unwound), "the holder");
        let dropped = catch_unwind(|| drop(with_payload()));
        assert_eq!(panic_message(dropped), "in a drop");
    });
}

/// P11: a worker that panics fails its job, which wakes a watcher whose waker panics as well.
#[test]
fn waker_and_worker_that_both_panic_do_not_abort_the_process() {
    in_a_child(
        "waker_and_worker_that_both_panic_do_not_abort_the_process",
        || {
            let job = JobRegistry::new().register(()).unwrap();
            let mut watch = job.watch().unwrap();
            wait(&mut watch, &waker(|| panic!("in a waker")));
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                let _job = job;
                panic!("the worker");
            }));
            assert_eq!(panic_message(unwound), "the worker");
        },
    );
}

/// P11: the hook's panic reaches the caller of `remove`, and the payload is dropped without being
/// returned.
#[test]
fn hook_and_payload_that_both_panic_in_remove_do_not_abort_the_process() {
    in_a_child(
        "hook_and_payload_that_both_panic_in_remove_do_not_abort_the_process",
        || {
            let jobs = JobRegistry::builder()
                .on_remove(|_| panic!("in the hook"))
                .build();
            let id = ended(&jobs, PanicsOnDrop);
            assert!(catch_unwind(AssertUnwindSafe(|| jobs.remove(id).map(drop))).is_err());
            assert_eq!(jobs.snapshot(id), Err(LookupError::Gone));
        },
    );
}

/// P11: the hook and the payload of the same job panic in a sweep.
#[test]
fn hook_and_payload_that_both_panic_in_a_sweep_do_not_abort_the_process() {
    in_a_child(
        "hook_and_payload_that_both_panic_in_a_sweep_do_not_abort_the_process",
        || {
            let clock = ManualClock::new();
            let jobs = JobRegistry::builder()
                .clock(clock.clone())
                .on_remove(|_| panic!("in the hook"))
                .build();
            let ids = [(); 3].map(|()| ended(&jobs, PanicsOnDrop));
            for id in ids {
                jobs.remove_after(id, Duration::ZERO).unwrap();
            }
            clock.advance(Duration::from_millis(1));
            let swept = jobs.sweep();
            assert_eq!((swept.removed, swept.panics.len()), (3, 3));
            assert_eq!(jobs.removal_panics(), 3);
        },
    );
}

/// P6 and P11: `catch_unwind` cannot contain a panic whose own payload panics when dropped. Even
/// that unwinds a sweep without losing the removal of another job.
#[test]
fn sweep_that_is_unwound_forgets_no_job() {
    in_a_child("sweep_that_is_unwound_forgets_no_job", || {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(Duration::from_secs(1))
            .on_remove(|record| {
                if record.payload {
                    panic_any(PanicsOnDrop);
                }
            })
            .build();
        for n in 0..10 {
            ended(&jobs, n == 5);
        }
        clock.advance(Duration::from_secs(1));
        for _ in 0..2 {
            let _ = catch_unwind(AssertUnwindSafe(|| jobs.sweep()));
        }
        assert_eq!(jobs.len(), 0, "jobs are left that no sweep will find");
    });
}
