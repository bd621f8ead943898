//! Heartbeats of a registry that several runtimes use, at the same time or one after the other. P8.

use crate::watchdog::in_time;
use job_registry::{Job, JobRegistry};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

const OFTEN: Duration = Duration::from_millis(1);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn running(jobs: &JobRegistry<()>) -> Job<()> {
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    job
}

/// Whether the job gets a heartbeat while `runtime` runs, within far more time than it takes.
fn beats_in(runtime: &Runtime, job: &Job<()>) -> bool {
    let last = || job.snapshot().unwrap().last_heartbeat();
    let before = job.registry().now().max(last());
    let until = Instant::now() + Duration::from_secs(20);
    runtime.block_on(async {
        while last() <= before && Instant::now() < until {
            tokio::time::sleep(OFTEN).await;
        }
    });
    last() > before
}

/// P8: a heartbeat ends with its runtime, and the next one on another runtime works.
#[test]
fn heartbeat_works_again_after_its_runtime_was_dropped() {
    let jobs = JobRegistry::new();
    let (first, second) = (running(&jobs), running(&jobs));
    let old = runtime();
    let _first = old.block_on(async { first.heartbeat_every(OFTEN) });
    assert!(beats_in(&old, &first));
    drop(old);
    let new = runtime();
    let _second = new.block_on(async { second.heartbeat_every(OFTEN) });
    let last = first.snapshot().unwrap().last_heartbeat();
    assert!(beats_in(&new, &second));
    assert_eq!(first.snapshot().unwrap().last_heartbeat(), last);
    let _again = new.block_on(async { first.heartbeat_every(OFTEN) });
    assert!(beats_in(&new, &first));
}

/// P8: the heartbeats of a runtime do not wait for another runtime, which nobody polls.
#[test]
fn heartbeat_does_not_wait_for_another_runtime() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let (theirs, mine) = (running(&jobs), running(&jobs));
        let (their_runtime, my_runtime) = (runtime(), runtime());
        let _theirs = their_runtime.block_on(async { theirs.heartbeat_every(OFTEN) });
        let _mine = my_runtime.block_on(async { mine.heartbeat_every(OFTEN) });
        assert!(beats_in(&my_runtime, &mine));
        assert!(beats_in(&their_runtime, &theirs));
    });
}

/// P8, scenario 21: a job on one runtime does not stall because another runtime has been dropped.
#[test]
fn heartbeat_continues_when_another_runtime_is_dropped() {
    let jobs = JobRegistry::new();
    let (theirs, mine) = (running(&jobs), running(&jobs));
    let (their_runtime, my_runtime) = (runtime(), runtime());
    let _theirs = their_runtime.block_on(async { theirs.heartbeat_every(OFTEN) });
    let _mine = my_runtime.block_on(async { mine.heartbeat_every(OFTEN) });
    drop(their_runtime);
    assert!(beats_in(&my_runtime, &mine));
}

/// P7: a dropped runtime drops the task at once. Nothing hangs, and the next heartbeat works.
#[test]
fn heartbeat_for_a_dropped_runtime_does_not_hang() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let job = running(&jobs);
        let gone = runtime();
        let handle = gone.handle().clone();
        drop(gone);
        let context = handle.enter();
        let _first = job.heartbeat_every(OFTEN);
        drop(context);
        let runtime = runtime();
        let _second = runtime.block_on(async { job.heartbeat_every(OFTEN) });
        assert!(beats_in(&runtime, &job));
    });
}

/// P8: a runtime without a timer is refused at the call, which changes nothing.
#[test]
fn heartbeat_needs_a_timer() {
    let jobs = JobRegistry::new();
    let job = running(&jobs);
    let before = job.snapshot();
    let runtime = Builder::new_current_thread().build().unwrap();
    let _in_runtime = runtime.enter();
    let begin = std::panic::AssertUnwindSafe(|| job.heartbeat_every(OFTEN));
    let panic = std::panic::catch_unwind(begin).unwrap_err();
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    assert!(text.unwrap().contains("timers are disabled"));
    assert_eq!(job.snapshot(), before);
}

/// P8: a guard that is dropped in the context of another runtime stops its own timer.
#[test]
fn heartbeat_stops_wherever_its_guard_is_dropped() {
    let jobs = JobRegistry::new();
    let (theirs, mine) = (running(&jobs), running(&jobs));
    let (their_runtime, my_runtime) = (runtime(), runtime());
    let heartbeat = their_runtime.block_on(async { theirs.heartbeat_every(OFTEN) });
    let _mine = my_runtime.block_on(async { mine.heartbeat_every(OFTEN) });
    assert!(beats_in(&their_runtime, &theirs));
    my_runtime.block_on(async { drop(heartbeat) });
    // A beat may be under way.
    their_runtime.block_on(async { tokio::time::sleep(5 * OFTEN).await });
    let last = theirs.snapshot().unwrap().last_heartbeat();
    their_runtime.block_on(async { tokio::time::sleep(10 * OFTEN).await });
    assert_eq!(theirs.snapshot().unwrap().last_heartbeat(), last);
    assert!(beats_in(&my_runtime, &mine));
}
