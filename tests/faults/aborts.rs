//! P11: two panics at once end a process, whoever calls. The library must not bring two of its callers' panics
//! together. Each body runs in a process of its own.

use crate::panics::wait;
use crate::watchdog::waker;
use job_registry::{JobId, JobRegistry, LookupError, ManualClock};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::process::Command;
use std::time::Duration;

const CHILD: &str = "JOB_REGISTRY_TEST_CHILD";

/// Runs `body` in a child process, which runs nothing but the test of this name.
fn in_a_child(name: &str, body: fn()) {
    if std::env::var_os(CHILD).is_some() {
        return body();
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args([&format!("aborts::{name}"), "--exact"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains("1 passed"), "{}: {said}", child.status);
}

/// Panics when it is dropped, whatever else goes on.
struct Ruthless;

impl Drop for Ruthless {
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

/// P11: of a registry that goes away.
#[test]
fn two_payloads_that_panic_with_their_registry_do_not_end_the_process() {
    in_a_child(
        "two_payloads_that_panic_with_their_registry_do_not_end_the_process",
        || {
            let jobs = JobRegistry::new();
            for _ in 0..3 {
                ended(&jobs, Ruthless);
            }
            // Whether one of the panics is passed on is the library's choice.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(jobs)));
        },
    );
}

/// P11: a registry that goes away because its holder panics does not add a panic of its own, which would
/// end the process; one that goes away by itself passes its panic on.
#[test]
fn registry_dropped_by_a_panic_adds_none() {
    in_a_child("registry_dropped_by_a_panic_adds_none", || {
        let with_payload = || {
            let jobs = JobRegistry::new();
            ended(&jobs, Ruthless);
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

/// P11: a worker that panics fails its job, which wakes its watchers. One of them panics as well.
#[test]
fn waker_that_panics_while_its_worker_does_does_not_end_the_process() {
    in_a_child(
        "waker_that_panics_while_its_worker_does_does_not_end_the_process",
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

/// P11: the hook's panic goes on to the caller of `remove`, who never gets the payload.
#[test]
fn hook_and_payload_that_both_panic_in_remove_do_not_end_the_process() {
    in_a_child(
        "hook_and_payload_that_both_panic_in_remove_do_not_end_the_process",
        || {
            let jobs = JobRegistry::builder()
                .on_remove(|_| panic!("in the hook"))
                .build();
            let id = ended(&jobs, Ruthless);
            assert!(catch_unwind(AssertUnwindSafe(|| jobs.remove(id).map(drop))).is_err());
            assert_eq!(jobs.snapshot(id), Err(LookupError::Gone));
        },
    );
}

/// P11: in a sweep they are two of one job.
#[test]
fn hook_and_payload_that_both_panic_in_a_sweep_do_not_end_the_process() {
    in_a_child(
        "hook_and_payload_that_both_panic_in_a_sweep_do_not_end_the_process",
        || {
            let clock = ManualClock::new();
            let jobs = JobRegistry::builder()
                .clock(clock.clone())
                .on_remove(|_| panic!("in the hook"))
                .build();
            let ids = [(); 3].map(|()| ended(&jobs, Ruthless));
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

/// P6 and P11: even a panic whose own payload panics when it is dropped, the one kind that no `catch_unwind`
/// holds, costs no other job its removal.
#[test]
fn sweep_that_is_unwound_forgets_no_job() {
    in_a_child("sweep_that_is_unwound_forgets_no_job", || {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(Duration::from_secs(1))
            .on_remove(|record| {
                if record.payload {
                    panic_any(Ruthless);
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
