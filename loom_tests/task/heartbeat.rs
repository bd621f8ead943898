//! P8: a heartbeat is recorded once per interval, for its own attempt only.
//!
//! The smallest programs that could violate it: a heartbeat with a shorter interval is added while
//! the task sleeps, begins or records; a job is retried while its heartbeat is due. A violation
//! looks like a silent job, or like an attempt that nobody keeps alive and that is not silent.

use super::{at, check_timed, ms, registry, with_heartbeat};
use crate::loom_tests::harness::claim;
use crate::sync::facade::runtime::Runtime;

/// Adds a heartbeat of 10 ms at the time `added`, to one of 40 ms. Returns the time since the last
/// heartbeat 36 ms later.
fn shorter_interval(added: u64) -> u128 {
    let jobs = registry::<()>(|builder| builder);
    let runtime = Runtime::new(1);
    let _slow = with_heartbeat(&jobs, &runtime, ms(40));
    let adds = at(added, move || {
        let (job, heartbeat) = with_heartbeat(&jobs, &runtime, ms(10));
        (jobs, runtime, job, heartbeat)
    });
    let (jobs, runtime, job, heartbeat) = adds.join().unwrap();
    let checks = at(36, move || {
        let seen = job.snapshot().unwrap();
        drop(runtime);
        let silence = jobs.now().saturating_sub(seen.last_heartbeat());
        (job, silence.as_millis())
    });
    let (_job, silence) = checks.join().unwrap();
    drop(heartbeat);
    silence
}

#[test]
fn shorter_interval_wakes_a_sleeping_task() {
    let claim = claim!(shorter_interval_wakes_a_sleeping_task, [P8], []);
    check_timed(&claim, &[6], &[], || shorter_interval(5));
}

#[test]
fn shorter_interval_is_seen_by_a_task_that_begins() {
    let claim = claim!(shorter_interval_is_seen_by_a_task_that_begins, [P8], []);
    check_timed(&claim, &[6], &[], || shorter_interval(0));
}

#[test]
fn shorter_interval_is_seen_by_a_task_that_records() {
    let claim = claim!(shorter_interval_is_seen_by_a_task_that_records, [P8], []);
    check_timed(&claim, &[6], &[], || shorter_interval(40));
}

/// A retry at a tick of the old attempt's heartbeat: the new attempt has no heartbeat of its own,
/// and is silent since its start. Its time is a millisecond later if the tick came first, because
/// heartbeats of a slot never repeat.
#[test]
fn retry_ends_the_heartbeat_of_the_old_attempt() {
    let claim = claim!(retry_ends_the_heartbeat_of_the_old_attempt, [P8, P10], []);
    check_timed(&claim, &[10, 11], &[], || {
        let jobs = registry::<()>(|builder| builder);
        let runtime = Runtime::new(1);
        let (job, heartbeat) = with_heartbeat(&jobs, &runtime, ms(10));
        let retries = at(10, move || {
            job.cancel().unwrap();
            let next = job.retry().unwrap();
            next.start().unwrap();
            (job, next)
        });
        let (_job, next) = retries.join().unwrap();
        let ends = at(25, move || drop(runtime));
        ends.join().unwrap();
        drop(heartbeat);
        next.snapshot().unwrap().last_heartbeat().as_millis()
    });
}

/// Adds a heartbeat of 10 ms when the runtime's task finds that the only job has ended, and ends.
/// Returns the time since the last heartbeat 16 ms later.
#[test]
fn heartbeat_that_begins_while_the_task_ends_is_kept() {
    let claim = claim!(heartbeat_that_begins_while_the_task_ends_is_kept, [P8], []);
    check_timed(&claim, &[6], &[], || {
        let jobs = registry::<()>(|builder| builder);
        let runtime = Runtime::new(1);
        let (ended, old) = with_heartbeat(&jobs, &runtime, ms(10));
        ended.cancel().unwrap();
        let adds = at(10, move || {
            let (job, heartbeat) = with_heartbeat(&jobs, &runtime, ms(10));
            (jobs, runtime, job, heartbeat)
        });
        let (jobs, runtime, job, heartbeat) = adds.join().unwrap();
        let checks = at(16, move || {
            let seen = job.snapshot().unwrap();
            drop(runtime);
            let silence = jobs.now().saturating_sub(seen.last_heartbeat());
            (job, silence.as_millis())
        });
        let (_job, silence) = checks.join().unwrap();
        drop((heartbeat, old));
        silence
    });
}
