//! The order of the beginnings and ends of calls, where it is known.
//!
//! Shuttle explores both orders of the end of a call and the beginning of another, so that every
//! real-time order occurs. An execution under loom has no such order, and only the order within
//! each thread counts. On real threads, a shared counter provides the order.

use super::judge::RealTime;
use super::program::Program;

/// When a call began and returned, which is meaningful on real threads only.
pub(super) type Stamps = (u64, u64);

pub(super) use clock::{begins, real_time, returns};

#[cfg(loom)]
mod clock {
    use super::{Program, RealTime, Stamps};

    pub(in super::super) fn begins() -> u64 {
        0
    }

    pub(in super::super) fn returns() -> u64 {
        0
    }

    pub(in super::super) fn real_time(_: &Program, _: &[Vec<Stamps>]) -> Option<RealTime> {
        None
    }
}

#[cfg(all(shuttle, not(loom)))]
mod clock {
    use super::{Program, RealTime, Stamps};
    use crate::sync::facade::announce::{self, Moment};

    pub(in super::super) fn begins() -> u64 {
        announce::call_begins();
        0
    }

    pub(in super::super) fn returns() -> u64 {
        announce::call_ends();
        0
    }

    #[allow(clippy::unnecessary_wraps)] // loom has no real time
    pub(in super::super) fn real_time(program: &Program, _: &[Vec<Stamps>]) -> Option<RealTime> {
        let threads = program.threads.len();
        let mut returned = vec![0; threads];
        let mut before = vec![Vec::new(); threads];
        // The main thread is thread 0 of the model.
        for moment in announce::moments() {
            match moment {
                Moment::Begins(thread) => before[thread - 1].push(returned.clone()),
                Moment::Ends(thread) => returned[thread - 1] += 1,
            }
        }
        Some(before)
    }
}

#[cfg(not(any(loom, shuttle)))]
mod clock {
    use super::{Program, RealTime, Stamps};
    use std::sync::atomic::{AtomicU64, Ordering};

    static NOW: AtomicU64 = AtomicU64::new(0);

    fn tick() -> u64 {
        NOW.fetch_add(1, Ordering::SeqCst)
    }

    pub(in super::super) fn begins() -> u64 {
        tick()
    }

    pub(in super::super) fn returns() -> u64 {
        tick()
    }

    #[allow(clippy::unnecessary_wraps)] // loom has no real time
    pub(in super::super) fn real_time(_: &Program, stamps: &[Vec<Stamps>]) -> Option<RealTime> {
        let returned_before = |now: u64| {
            let of_thread = |calls: &Vec<Stamps>| calls.iter().filter(|call| call.1 < now).count();
            stamps.iter().map(of_thread).collect::<Vec<_>>()
        };
        let of_thread = |calls: &Vec<Stamps>| {
            let began = calls.iter().map(|call| returned_before(call.0));
            began.collect()
        };
        Some(stamps.iter().map(of_thread).collect())
    }
}
