//! Per-thread lock state: whether this thread holds a job's lock, and the callbacks that are
//! deferred until it releases it.
//!
//! Every call keeps the lock rules (invariants 6 and 7 of the crate docs) through this module. A
//! call takes a job's lock only with a [`LockPermit`], and a thread has at most one. User code
//! (wakers, subscribers, an owner's drop) that is due meanwhile is deferred until the permit is
//! dropped.

// The checkers' `thread_local!` has no const form.
#![allow(clippy::missing_const_for_thread_local)]

use crate::sync::panics::despite_panics;
use crate::sync::{MutexGuard, thread_local};
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::task::Waker;

thread_local! {
    // Separate, because this one needs no destructor and therefore lives to the thread's very end.
    static LOCK: Cell<Lock> = Cell::new(Lock::None);
    static DEFERRED: RefCell<Vec<Deferred>> = RefCell::new(Vec::new());
}

/// Whether this thread holds a job's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lock {
    None,
    Held,
    /// Held, and callbacks wait for its release.
    HeldWithDeferred,
}

/// User code, or code that takes a job's lock. It never runs while this thread holds a job's lock.
pub(crate) enum Deferred {
    Wake(Waker),
    Run(Box<dyn FnOnce()>),
}

impl Deferred {
    fn run(self) {
        match self {
            Self::Wake(waker) => waker.wake(),
            Self::Run(f) => f(),
        }
    }
}

/// The permission of this thread to take one job's lock. It ends with the value, panic or not, and
/// then runs what was deferred. It must therefore be dropped after the lock.
#[derive(Debug)]
pub(crate) struct LockPermit {
    // A lock is released by the thread that took it.
    _not_send: PhantomData<MutexGuard<'static, ()>>,
}

impl LockPermit {
    /// Returns `None` if this thread holds a job's lock. It must come before the wait for the lock.
    #[inline]
    pub(crate) fn enter() -> Option<Self> {
        if holds_lock() {
            return None;
        }
        LOCK.with(|lock| lock.set(Lock::Held));
        Some(Self {
            _not_send: PhantomData,
        })
    }
}

impl Drop for LockPermit {
    #[inline]
    fn drop(&mut self) {
        if LOCK.with(|lock| lock.replace(Lock::None)) == Lock::HeldWithDeferred {
            run_deferred();
        }
    }
}

#[cold]
fn run_deferred() {
    // The list is gone while the thread's locals are destroyed, when nothing is deferred either.
    let deferred = DEFERRED.try_with(RefCell::take);
    run(deferred.unwrap_or_default());
}

/// Returns whether this thread holds a job's lock.
#[inline]
pub(crate) fn holds_lock() -> bool {
    LOCK.with(Cell::get) != Lock::None
}

/// Returns whether this thread holds a job's lock, and whether callbacks wait for its release.
#[cfg(all(test, environment, not(any(loom, shuttle))))]
pub(crate) fn lock_state() -> u64 {
    LOCK.with(Cell::get) as u64
}

/// Runs the callbacks now, or when this thread releases the job's lock that it holds.
pub(crate) fn defer(callbacks: impl IntoIterator<Item = Deferred>) {
    if !holds_lock() {
        return run(callbacks);
    }
    let mut callbacks = Some(callbacks);
    let kept = DEFERRED.try_with(|deferred| {
        deferred
            .borrow_mut()
            .extend(callbacks.take().into_iter().flatten());
    });
    match kept {
        Ok(()) => LOCK.with(|lock| lock.set(Lock::HeldWithDeferred)),
        // The thread's locals are being destroyed: the callbacks run early rather than never.
        Err(_) => run(callbacks.into_iter().flatten()),
    }
}

/// Runs `f` now, or when this thread releases the job's lock that it holds. Only then is it boxed.
pub(crate) fn defer_run(f: impl FnOnce() + 'static) {
    if holds_lock() {
        defer([Deferred::Run(Box::new(f))]);
    } else {
        let mut panics = crate::sync::panics::Panics::default();
        panics.catch(f);
        panics.resume();
    }
}

/// Runs all callbacks even if one panics, and passes the first panic on, unless one is under way.
fn run(callbacks: impl IntoIterator<Item = Deferred>) {
    despite_panics(callbacks, Deferred::run).resume();
}

/// Returns whether this thread holds no lock and has deferred nothing.
#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) fn is_idle() -> bool {
    !holds_lock() && DEFERRED.with_borrow(Vec::is_empty)
}
