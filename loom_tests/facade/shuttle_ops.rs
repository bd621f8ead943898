//! Shuttle's atomics and locks, which announce their next access.
//!
//! Shuttle may switch threads before each operation and nowhere else. A step is everything that
//! runs between two switches. Its accesses are announced here, so that the scheduler of
//! `loom_tests` knows which steps commute and explores one order of those. In all else the types
//! behave as shuttle's own.

use super::announce::{self, Kind, Object};
use super::record;
use shuttle::sync::atomic;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;
use std::sync::{PoisonError, TryLockError};

macro_rules! announced {
    ($name:ident, $value:ty, $inner:ty) => {
        #[derive(Debug)]
        pub(crate) struct $name {
            object: Object,
            inner: $inner,
        }

        #[allow(dead_code)] // the crate does not use every operation of every type
        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                Self {
                    object: announce::object(),
                    inner: <$inner>::new(value),
                }
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                announce::will(self.object, Kind::Read);
                let value = self.inner.load(order);
                announce::did(self.object, Kind::Read);
                value
            }

            fn write<R>(&self, operation: impl FnOnce(&$inner) -> R) -> R {
                announce::will(self.object, Kind::Write);
                let result = operation(&self.inner);
                announce::did(self.object, Kind::Write);
                result
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.write(|inner| inner.store(value, order));
            }

            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                self.write(|inner| inner.swap(value, order))
            }

            pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.write(|inner| inner.fetch_add(value, order))
            }

            pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                self.write(|inner| inner.fetch_sub(value, order))
            }

            pub(crate) fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                self.write(|inner| inner.fetch_or(value, order))
            }

            /// A failed compare-exchange has only read.
            pub(crate) fn compare_exchange(
                &self,
                from: $value,
                to: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                announce::will(self.object, Kind::Write);
                let result = self.inner.compare_exchange(from, to, success, failure);
                let kind = if result.is_ok() {
                    Kind::Write
                } else {
                    Kind::Read
                };
                announce::did(self.object, kind);
                result
            }
        }
    };
}

announced!(AtomicU64, u64, atomic::AtomicU64);
announced!(AtomicUsize, usize, atomic::AtomicUsize);

/// One of the two words of a slot. No thread may see a smaller value than it has seen before.
#[derive(Debug)]
pub(crate) struct AtomicWord(AtomicU64, record::Name);

impl AtomicWord {
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value), record::word(value))
    }

    pub(crate) fn slot(&self) -> record::Slot {
        self.1.slot()
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        let value = self.0.load(order);
        record::saw(self.1, value);
        value
    }

    pub(crate) fn swap(&self, to: u64, order: Ordering) -> u64 {
        let from = self.0.swap(to, order);
        record::changed(self.1, from, to);
        from
    }

    pub(crate) fn compare_exchange(
        &self,
        from: u64,
        to: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        let result = self.0.compare_exchange(from, to, success, failure);
        match result {
            Ok(from) => record::changed(self.1, from, to),
            Err(found) => record::saw(self.1, found),
        }
        result
    }
}

/// The revision of a slot. The record of an execution checks its changes.
#[derive(Debug)]
pub(crate) struct AtomicRevision(AtomicU64, record::Slot);

impl AtomicRevision {
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value), record::last_slot())
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    pub(crate) fn swap(&self, to: u64, order: Ordering) -> u64 {
        let from = self.0.swap(to, order);
        record::revised(self.1, to);
        from
    }
}

/// The nonce of a slot. The record of an execution checks its stores.
#[derive(Debug)]
pub(crate) struct AtomicNonce(AtomicU64, record::Slot);

impl AtomicNonce {
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value), record::last_slot())
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
        record::named(self.1);
    }
}

#[derive(Debug)]
pub(crate) struct Mutex<T> {
    object: Object,
    inner: shuttle::sync::Mutex<T>,
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

type Guarded<'a, T> = shuttle::sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            object: announce::object(),
            inner: shuttle::sync::Mutex::new(value),
        }
    }

    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, T>, PoisonError<MutexGuard<'_, T>>> {
        announce::will(self.object, Kind::Lock);
        let inner = self.inner.lock();
        announce::did(self.object, Kind::Lock);
        match inner {
            Ok(inner) => Ok(self.taken(inner)),
            Err(poisoned) => Err(PoisonError::new(self.taken(poisoned.into_inner()))),
        }
    }

    pub(crate) fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError<MutexGuard<'_, T>>> {
        announce::will(self.object, Kind::Write);
        let inner = self.inner.try_lock();
        announce::did(self.object, Kind::Write);
        match inner {
            Ok(inner) => Ok(self.taken(inner)),
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
            Err(TryLockError::Poisoned(poisoned)) => Err(TryLockError::Poisoned(PoisonError::new(
                self.taken(poisoned.into_inner()),
            ))),
        }
    }

    fn taken<'a>(&self, inner: Guarded<'a, T>) -> MutexGuard<'a, T> {
        announce::holds(self.object, true);
        MutexGuard {
            object: self.object,
            inner: Some(inner),
        }
    }
}

#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    object: Object,
    inner: Option<Guarded<'a, T>>,
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
        announce::will(self.object, Kind::Unlock);
        self.inner = None;
        announce::did(self.object, Kind::Unlock);
        announce::holds(self.object, false);
    }
}
