//! P8: a runtime that goes silences no job of another runtime.
//!
//! The smallest program that could violate it: two runtimes with one heartbeat each, and the first
//! one is dropped. A violation looks like a job that records no heartbeat any more.

use super::{at, check_timed, ms, registry, sample, with_heartbeat};
use crate::loom_tests::harness::claim;
use crate::sync::facade::runtime::Runtime;

const EVERY: u64 = 10;

/// Returns whether the job of the last of `runtimes` is silent, long after the others have gone at
/// the time `gone`.
fn is_silent(runtimes: usize, gone: u64) -> bool {
    let jobs = registry::<()>(|builder| builder);
    let mut others: Vec<_> = (0..runtimes)
        .map(|_| {
            let runtime = Runtime::new(1);
            let heartbeat = with_heartbeat(&jobs, &runtime, ms(EVERY));
            (runtime, heartbeat)
        })
        .collect();
    let (last, (job, heartbeat)) = others.pop().unwrap();
    let mut kept = Vec::new();
    let mut going = Vec::new();
    for (runtime, heartbeat) in others {
        kept.push(heartbeat);
        going.push(at(gone, move || drop(runtime)));
    }
    let survivor = at(gone + 4 * EVERY + 5, move || {
        let seen = job.snapshot().unwrap();
        drop(last);
        let silence = jobs.now().saturating_sub(seen.last_heartbeat());
        (job, silence > ms(3 * EVERY))
    });
    for thread in going {
        thread.join().unwrap();
    }
    let (_job, is_silent) = survivor.join().unwrap();
    drop(heartbeat);
    is_silent
}

/// The first runtime goes before the first tick, while no task has taken a timer.
#[test]
fn runtime_that_goes_at_once_silences_no_other() {
    let claim = claim!(runtime_that_goes_at_once_silences_no_other, [P8], []);
    check_timed(&claim, &[false], &[], || is_silent(2, 0));
}

/// The first runtime goes at a tick, while its task may have taken the timers of both.
#[test]
fn runtime_that_goes_at_a_tick_silences_no_other() {
    let claim = claim!(runtime_that_goes_at_a_tick_silences_no_other, [P8], []);
    check_timed(&claim, &[false], &[], || is_silent(2, 10));
}

/// The first runtime goes after a tick at which the other one may have seen no timer.
#[test]
fn runtime_that_goes_between_ticks_silences_no_other() {
    let claim = claim!(runtime_that_goes_between_ticks_silences_no_other, [P8], []);
    check_timed(&claim, &[false], &[], || is_silent(2, 15));
}

#[test]
fn two_runtimes_that_go_silence_no_third() {
    sample(
        "two_runtimes_that_go_silence_no_third",
        2_000,
        &[false],
        || is_silent(3, 15),
    );
}
