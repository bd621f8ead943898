//! Sweeps that end live jobs, with user code that panics or takes time.

use crate::wakers::{wait, waker};
use job_registry::{Clock, JobRegistry, ManualClock, Options, Status};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// P11: a sweep catches the panic of a waker of a job that it ends, reports it, and goes on.
#[test]
fn a_sweep_contains_the_panic_of_a_waker_of_a_job_that_it_ends() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .stop_grace(SECOND)
        .build();
    let job = jobs.register(0).unwrap();
    job.start().unwrap();
    job.request_stop("the user left").unwrap();
    let mut watch = job.watch().unwrap();
    wait(&mut watch, &waker(|| panic!("a waker")));
    let late = jobs
        .register_with(0, Options::new().deadline(2 * SECOND))
        .unwrap();
    clock.advance(2 * SECOND);
    let swept = catch_unwind(AssertUnwindSafe(|| jobs.sweep()));
    let status = |job: &job_registry::Job<i32>| job.snapshot().unwrap().status();
    assert_eq!(status(&job), Status::Cancelled);
    assert!(swept.is_ok(), "the panic reached the caller");
    assert_eq!(status(&late), Status::Failed, "the sweep did not go on");
}

/// P6 and P11: a registration whose sweep ends a job with a waker that panics registers its job.
#[test]
fn a_registration_contains_the_panic_of_a_waker_of_a_job_that_it_ends() {
    let jobs = JobRegistry::builder()
        .clock(ManualClock::new())
        .sweep_on_register(true)
        .build();
    let late = jobs
        .register_with(0, Options::new().deadline(Duration::ZERO))
        .unwrap();
    let mut watch = late.watch().unwrap();
    wait(&mut watch, &waker(|| panic!("a waker")));
    let registered = catch_unwind(AssertUnwindSafe(|| jobs.register(7).map(drop)));
    assert!(registered.expect("the panic reached the caller").is_ok());
}

/// P11 and P13: a clock that panics once in a sweep delays an ending, and does not prevent it: the
/// next sweep ends the job.
#[test]
fn a_clock_that_panics_in_a_sweep_loses_no_stopping_job() {
    // With telemetry, a sweep reads the clock once more.
    for calls in 1..=3 {
        let clock = Panicking::default();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .stop_grace(Duration::ZERO)
            .build();
        let job = jobs.register(0).unwrap();
        job.start().unwrap();
        job.request_stop("the user left").unwrap();
        clock.0.store(calls, Ordering::SeqCst);
        let _ = catch_unwind(AssertUnwindSafe(|| jobs.sweep()));
        clock.0.store(0, Ordering::SeqCst);
        jobs.sweep();
        let status = job.snapshot().unwrap().status();
        assert_eq!(status, Status::Cancelled, "panicked in reading {calls}");
    }
}

/// A clock that stands still, and panics in the reading with this number.
#[derive(Clone, Default)]
struct Panicking(Arc<AtomicU32>);

impl Clock for Panicking {
    fn now(&self) -> Duration {
        if self.0.load(Ordering::SeqCst) > 0 && self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            resume_unwind(Box::new("the clock"));
        }
        Duration::ZERO
    }
}

/// A registration's time is after everything that its sweep has done, wakers included.
#[test]
fn registration_time_is_after_the_endings_of_its_sweep() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .sweep_on_register(true)
        .build();
    let late = jobs
        .register_with(0, Options::new().deadline(Duration::ZERO))
        .unwrap();
    let mut watch = late.watch().unwrap();
    let slow = clock.clone();
    wait(&mut watch, &waker(move || slow.advance(SECOND)));
    let next = jobs.register(0).unwrap();
    assert_eq!(late.snapshot().unwrap().status(), Status::Failed);
    assert_eq!(next.details().unwrap().times.registered, SECOND);
}
