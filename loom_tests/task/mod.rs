//! Models of the task layer, on a runtime and threads with virtual time (`facade/runtime`).
//!
//! The time at which something happens is a parameter of a model: its threads and tasks sleep until
//! then. Times are in milliseconds. A coincidence of times is a race, and multiplies the
//! executions, so that only the intended ones coincide. The main thread builds the registry and the
//! runtimes, spawns and joins.

mod facade;
mod heartbeat;
mod programs;
mod reaper;
mod shutdown;
mod spawn;
mod two_runtimes;

use super::harness::{Claim, HideClock, begin, check, run};
use crate::sync::facade::runtime::{Runtime, VirtualClock, start_clock, thread};
use crate::{Builder, Heartbeat, Job, JobRegistry};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Checks a model as [`check`] does, with virtual time.
fn check_timed<O>(
    claim: &Claim,
    must_see: &[O],
    may_see: &[O],
    model: impl Fn() -> O + Send + Sync + 'static,
) where
    O: PartialEq + Clone + Debug + Send + 'static,
{
    check(claim, must_see, may_see, move || {
        start_clock();
        model()
    });
}

/// Runs a model that is too large for [`check_timed`] under shuttle's random schedulers.
///
/// # Panics
///
/// If an outcome is not in `may_see`.
fn sample<O>(name: &str, executions: usize, may_see: &[O], model: fn() -> O)
where
    O: PartialEq + Clone + Debug + Send + 'static,
{
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let sampled = || {
        let outcomes = outcomes.clone();
        move || {
            start_clock();
            let outcome = model();
            let mut outcomes = outcomes.lock().unwrap();
            if !outcomes.contains(&outcome) {
                outcomes.push(outcome);
            }
        }
    };
    let random = RandomScheduler::new_from_seed(1, executions);
    run(HideClock(random), sampled());
    let pct = PctScheduler::new_from_seed(2, 3, executions);
    run(HideClock(pct), sampled());
    begin();
    for outcome in outcomes.lock().unwrap().iter() {
        assert!(
            may_see.contains(outcome),
            "{name}: {outcome:?} must not occur"
        );
    }
}

/// Builds a registry whose clock shows virtual time.
fn registry<T: Send + 'static>(build: impl FnOnce(Builder<T>) -> Builder<T>) -> JobRegistry<T> {
    build(JobRegistry::builder().clock(VirtualClock)).build()
}

/// Starts a job with a heartbeat.
fn with_heartbeat(
    jobs: &JobRegistry<()>,
    runtime: &Runtime,
    interval: Duration,
) -> (Job<()>, Heartbeat) {
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    let _entered = runtime.handle().enter();
    let heartbeat = job.heartbeat_every(interval);
    (job, heartbeat)
}

/// Spawns a thread that runs `f` at a time.
fn at<R: Send + 'static>(
    millis: u64,
    f: impl FnOnce() -> R + Send + 'static,
) -> thread::JoinHandle<R> {
    let spawned = thread::spawn("at a time", move || {
        thread::park_timeout(ms(millis));
        f()
    });
    spawned.unwrap()
}
