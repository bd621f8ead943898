//! The facade over the standard library, loom and shuttle. It provides the atomics, locks and
//! thread-locals that the checkers explore.
//!
//! In an ordinary build they are the standard library's. Under `--cfg loom` (or `--cfg shuttle`),
//! they are the checker's in two cases: in this crate's own tests, and with the feature of that
//! name. `--cfg loom` is global, and the checker's types panic outside of a model. A dependent with
//! other models must therefore be able to use a registry without the feature.
//!
//! `Arc` and `Weak` are always the standard library's, because loom has no `Weak`. The checkers
//! therefore do not explore the reference counts.

pub(crate) mod block_on;
pub(crate) mod boxed;
pub(crate) mod cache_padded;
pub(crate) mod deferred;
#[cfg(all(loom, any(test, feature = "loom")))]
pub(crate) mod loom_atomic;
pub(crate) mod panics;
pub(crate) mod rt;
pub(crate) mod thread_number;

#[cfg(all(loom, any(test, feature = "loom")))]
mod imp {
    #[cfg(test)]
    pub(crate) use super::loom_atomic::AtomicNonce;
    pub(crate) use super::loom_atomic::{AtomicRevision, AtomicWord};
    #[cfg(not(test))]
    pub(crate) use loom::sync::atomic::AtomicU64 as AtomicNonce;
    pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use loom::thread_local;
}

/// The checkers' side of the facade, for this crate's own tests.
#[cfg(all(test, any(loom, shuttle, environment)))]
#[path = "../../loom_tests/facade/mod.rs"]
pub(crate) mod facade;

#[cfg(all(test, shuttle, not(loom)))]
mod imp {
    pub(crate) use super::facade::shuttle_ops::{
        AtomicNonce, AtomicRevision, AtomicU64, AtomicUsize, AtomicWord, Mutex, MutexGuard,
    };
    pub(crate) use shuttle::thread_local;
}

#[cfg(all(shuttle, not(loom), not(test), feature = "shuttle"))]
mod imp {
    pub(crate) use shuttle::sync::atomic::{
        AtomicU64, AtomicU64 as AtomicNonce, AtomicU64 as AtomicRevision, AtomicU64 as AtomicWord,
        AtomicUsize,
    };
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};
    pub(crate) use shuttle::thread_local;
}

#[cfg(all(test, environment, not(any(loom, shuttle))))]
mod imp {
    pub(crate) use super::facade::environment::{
        AtomicU64, AtomicU64 as AtomicNonce, AtomicU64 as AtomicRevision, AtomicU64 as AtomicWord,
        Mutex, MutexGuard,
    };
    pub(crate) use std::sync::atomic::AtomicUsize;
    pub(crate) use std::thread_local;
}

#[cfg(not(any(
    all(loom, any(test, feature = "loom")),
    all(shuttle, not(loom), any(test, feature = "shuttle")),
    all(test, environment)
)))]
mod imp {
    pub(crate) use std::sync::atomic::{
        AtomicU64, AtomicU64 as AtomicNonce, AtomicU64 as AtomicRevision, AtomicU64 as AtomicWord,
        AtomicUsize,
    };
    pub(crate) use std::sync::{Mutex, MutexGuard};
    pub(crate) use std::thread_local;
}

/// Whether these types are a checker's. Tables and lists are then small: a checker explores every
/// access, and its models must include growth.
pub(crate) const MODELLED: bool = cfg!(any(
    all(loom, any(test, feature = "loom")),
    all(shuttle, not(loom), any(test, feature = "shuttle"))
));

/// Whether a sweep passes on the panic of a hook. In a dependent's model, it is a failed assertion
/// of the model.
pub(crate) const RAISES: bool = MODELLED && cfg!(not(test));

/// A position in a call, for `environment_tests`. It does nothing in any other build.
///
/// `again` states that the rest of the call depends only on the named values, and on no load since
/// the mark. The checker therefore recognizes an iteration that repeats an earlier one, and
/// explores it once.
#[cfg(all(test, environment, not(any(loom, shuttle))))]
pub(crate) use facade::environment::Mark;

#[cfg(not(all(test, environment, not(any(loom, shuttle)))))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark;

#[cfg(not(all(test, environment, not(any(loom, shuttle)))))]
#[allow(clippy::unused_self)] // the checker's version uses it
impl Mark {
    #[inline(always)]
    pub(crate) const fn here() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) const fn again(self, _: &'static str, _: u64) {}
}

use std::sync::{PoisonError, TryLockError};

pub(crate) use imp::{
    AtomicNonce, AtomicRevision, AtomicU64, AtomicUsize, AtomicWord, MutexGuard, thread_local,
};
pub(crate) use std::sync::atomic::Ordering;
pub(crate) use std::sync::{Arc, Weak};

/// A mutex without poisoning: after a panic under a job's lock, the job is failed instead.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    /// Takes the lock, and waits for it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the address under which the environment checker knows the mutex.
    #[cfg(all(test, environment, not(any(loom, shuttle))))]
    pub(crate) fn address(&self) -> usize {
        self.0.address()
    }

    /// Prefetches the mutex. A checker's mutex is left alone, because it counts each access.
    #[cfg_attr(any(loom, shuttle), allow(clippy::unused_self))]
    pub(crate) fn prefetch(&self) {
        #[cfg(not(any(loom, shuttle)))]
        std::hint::black_box(self.0.is_poisoned());
    }

    /// Takes the lock. Returns `None` while another thread (or this one) holds it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// A value that is published once and then read without a lock.
///
/// The checkers have no `OnceLock`. They explore the flag instead: the order of publishers, and the
/// loads that see the publication. The standard cell behind the flag only stores the value.
#[derive(Debug)]
pub(crate) struct Published<T> {
    cell: std::sync::OnceLock<T>,
    #[cfg(any(loom, shuttle))]
    ready: AtomicUsize,
    /// Held by a publisher, so that a second one waits for the first.
    #[cfg(any(loom, shuttle))]
    publishing: Mutex<()>,
}

impl<T> Published<T> {
    pub(crate) fn empty() -> Self {
        Self {
            cell: std::sync::OnceLock::new(),
            #[cfg(any(loom, shuttle))]
            ready: AtomicUsize::new(0),
            #[cfg(any(loom, shuttle))]
            publishing: Mutex::new(()),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        // ORDERING: Acquire pairs with the Release in `publish`.
        #[cfg(any(loom, shuttle))]
        if self.ready.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.cell.get()
    }

    /// Publishes `value`, or drops it if another value has been published.
    pub(crate) fn publish(&self, value: T) {
        #[cfg(any(loom, shuttle))]
        let _publishing = self.publishing.lock();
        let _ = self.cell.set(value);
        // ORDERING: Release pairs with the Acquire in `get`.
        #[cfg(any(loom, shuttle))]
        self.ready.store(1, Ordering::Release);
    }
}
