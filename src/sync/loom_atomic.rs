//! Loom's atomics, made complete for observers.
//!
//! loom 0.7.3 remembers only the *last* access of an atomic to decide which other order of accesses to
//! explore. A writer that loads and then exchanges, as nearly every writer does, therefore hides an
//! earlier plain load of another thread behind its own: the order in which the writer comes first is
//! never explored, and the model passes with outcomes missing. (`loom_tests/canaries.rs` shows it, and
//! notices when it is mended.)
//!
//! Any two read-modify-writes do depend on each other. So a load comes in two forms. As an exchange of
//! nothing every order of all accesses is explored, but no stale value is found; as a plain load
//! stale values are found, but not every order. The harness explores each model in both.

use loom::sync::atomic::{AtomicU64, Ordering};
use std::cell::Cell;

// loom runs all threads of a model on one of the system's.
thread_local! {
    static PLAIN_LOADS: Cell<bool> = const { Cell::new(false) };
}

/// Which form loads take on this thread of the system.
#[cfg(test)]
pub(crate) fn set_plain_loads(plain: bool) {
    PLAIN_LOADS.set(plain);
}

/// The atomic of the two words, on whose order everything depends.
#[derive(Debug)]
pub(crate) struct AtomicWord(AtomicU64);

impl AtomicWord {
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        if PLAIN_LOADS.get() {
            self.0.load(order)
        } else {
            self.0.fetch_or(0, order)
        }
    }

    pub(crate) fn swap(&self, value: u64, order: Ordering) -> u64 {
        self.0.swap(value, order)
    }

    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.0.compare_exchange(current, new, success, failure)
    }
}
