//! Atomics and locks for `environment_tests`, whose checker decides which values a call sees.
//!
//! The types are the standard library's, except that each access is first offered to the checker of
//! the thread. The checker answers for the slot that it controls. Every other access goes to the
//! real memory.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::ptr::from_ref;
use std::rc::Rc;
use std::sync::{PoisonError, TryLockError, atomic};

/// An operation on a word or a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    Load,
    /// Observes only whether the word has this value.
    Is(u64),
    Store(u64),
    Swap(u64),
    /// Compare-exchange from the first value to the second.
    Exchange(u64, u64),
    Lock,
    TryLock,
    Unlock,
    /// Takes the slot from the free list.
    Take,
    /// Gives the slot back to the free list.
    GiveBack,
}

pub(crate) trait Checker {
    /// Returns the result of an access to an address. `None` leaves it to the real memory.
    fn access(&self, address: usize, access: Access) -> Option<u64>;

    /// Notes that the waker of a watch is in the table.
    fn waits(&self);

    /// Number of accesses that the call has made.
    fn position(&self) -> usize;

    /// Marks a point in the code that was reached since `position` with these locals. Values that
    /// the call has seen since then no longer matter.
    fn again(&self, position: usize, place: &'static str, locals: u64);
}

thread_local! {
    static CHECKER: RefCell<Option<Rc<dyn Checker>>> = const { RefCell::new(None) };
}

/// Installs the checker of this thread.
pub(crate) fn set_checker(checker: Option<Rc<dyn Checker>>) {
    CHECKER.with_borrow_mut(|current| *current = checker);
}

fn checker() -> Option<Rc<dyn Checker>> {
    CHECKER.try_with(|current| current.borrow().clone()).ok()?
}

pub(crate) fn ask(address: usize, access: Access) -> Option<u64> {
    checker()?.access(address, access)
}

/// Notes that the waker of a watch is in the table.
pub(crate) fn waits() {
    if let Some(checker) = checker() {
        checker.waits();
    }
}

/// See [`Mark`](crate::sync::Mark).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(usize);

impl Mark {
    pub(crate) fn here() -> Self {
        Self(checker().map_or(0, |checker| checker.position()))
    }

    pub(crate) fn again(self, place: &'static str, locals: u64) {
        if let Some(checker) = checker() {
            checker.again(self.0, place, locals);
        }
    }
}

#[derive(Debug)]
pub(crate) struct AtomicU64(atomic::AtomicU64);

impl AtomicU64 {
    pub(crate) fn new(value: u64) -> Self {
        Self(atomic::AtomicU64::new(value))
    }

    pub(crate) fn address(&self) -> usize {
        from_ref(self).addr()
    }

    pub(crate) fn load(&self, order: atomic::Ordering) -> u64 {
        ask(self.address(), Access::Load).unwrap_or_else(|| self.0.load(order))
    }

    /// Whether the word has this value. `None` if no checker controls the memory.
    pub(crate) fn is(&self, value: u64) -> Option<bool> {
        Some(ask(self.address(), Access::Is(value))? != 0)
    }

    pub(crate) fn store(&self, value: u64, order: atomic::Ordering) {
        if ask(self.address(), Access::Store(value)).is_none() {
            self.0.store(value, order);
        }
    }

    pub(crate) fn swap(&self, value: u64, order: atomic::Ordering) -> u64 {
        ask(self.address(), Access::Swap(value)).unwrap_or_else(|| self.0.swap(value, order))
    }

    pub(crate) fn compare_exchange(
        &self,
        from: u64,
        to: u64,
        success: atomic::Ordering,
        failure: atomic::Ordering,
    ) -> Result<u64, u64> {
        match ask(self.address(), Access::Exchange(from, to)) {
            Some(seen) if seen == from => Ok(seen),
            Some(seen) => Err(seen),
            None => self.0.compare_exchange(from, to, success, failure),
        }
    }

    pub(crate) fn fetch_add(&self, value: u64, order: atomic::Ordering) -> u64 {
        self.0.fetch_add(value, order)
    }

    pub(crate) fn fetch_sub(&self, value: u64, order: atomic::Ordering) -> u64 {
        self.0.fetch_sub(value, order)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn address(&self) -> usize {
        from_ref(self).addr()
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.0.is_poisoned()
    }

    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, T>, PoisonError<MutexGuard<'_, T>>> {
        ask(self.address(), Access::Lock);
        match self.0.lock() {
            Ok(inner) => Ok(self.taken(inner)),
            Err(poisoned) => Err(PoisonError::new(self.taken(poisoned.into_inner()))),
        }
    }

    pub(crate) fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError<MutexGuard<'_, T>>> {
        if ask(self.address(), Access::TryLock) == Some(0) {
            return Err(TryLockError::WouldBlock);
        }
        match self.0.try_lock() {
            Ok(inner) => Ok(self.taken(inner)),
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
            Err(TryLockError::Poisoned(poisoned)) => Err(TryLockError::Poisoned(PoisonError::new(
                self.taken(poisoned.into_inner()),
            ))),
        }
    }

    fn taken<'a>(&self, inner: std::sync::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard {
            address: self.address(),
            inner: Some(inner),
        }
    }
}

#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    address: usize,
    inner: Option<std::sync::MutexGuard<'a, T>>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("there until it is dropped")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("there until it is dropped")
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.inner = None;
        ask(self.address, Access::Unlock);
    }
}
