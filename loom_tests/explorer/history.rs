//! When calls began and returned, where a checker can tell.
//!
//! Shuttle explores both orders of the end of a call and the beginning of another, so that every order of real time
//! is seen. Under loom an execution has no such order, and only the order of each thread counts.

use super::judge::RealTime;
use super::program::Program;

#[cfg(loom)]
pub(super) fn begins() {}

#[cfg(loom)]
pub(super) fn returns() {}

#[cfg(loom)]
pub(super) fn real_time(_: &Program) -> Option<RealTime> {
    None
}

#[cfg(all(shuttle, not(loom)))]
pub(super) use crate::sync::announce::{call_begins as begins, call_ends as returns};

/// Of the execution that has just ended.
#[allow(clippy::unnecessary_wraps)] // loom has none
#[cfg(all(shuttle, not(loom)))]
pub(super) fn real_time(program: &Program) -> Option<RealTime> {
    use crate::sync::announce::{Moment, moments};

    let threads = program.threads.len();
    let mut returned = vec![0; threads];
    let mut before = vec![Vec::new(); threads];
    // The main thread is the model's number 0.
    for moment in moments() {
        match moment {
            Moment::Begins(thread) => before[thread - 1].push(returned.clone()),
            Moment::Ends(thread) => returned[thread - 1] += 1,
        }
    }
    Some(before)
}
