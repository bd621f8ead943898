//! A slot: the two words of a job, and its body behind a lock.

use crate::body::Body;
use crate::error::LookupError;
use crate::snapshot::Snapshot;
use crate::sync::Mutex;
use crate::target::Target;
use crate::watchers::{WakeDuty, Watchers};
use crate::words::Words;
use std::ops::Deref;

/// The two parts of a slot, as the table has them, and the watchers that its steps wake.
#[derive(Debug)]
pub(crate) struct Slot<'a, T> {
    pub(crate) index: u32,
    words: &'a Words,
    pub(crate) body: &'a Mutex<Body<T>>,
    pub(crate) watchers: &'a Watchers,
}

impl<T> Clone for Slot<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<'_, T> {}

impl<'a, T> Slot<'a, T> {
    #[inline(always)]
    pub(crate) fn new(
        index: u32,
        words: &'a Words,
        body: &'a Mutex<Body<T>>,
        watchers: &'a Watchers,
    ) -> Self {
        Self {
            index,
            words,
            body,
            watchers,
        }
    }

    /// The duty of a caller that has replaced a state word, which `watched` says was watched.
    #[inline(always)]
    pub(crate) fn wake_duty(&self, watched: bool) -> WakeDuty<'a> {
        WakeDuty::new(self.watchers, self.index, watched)
    }

    /// The job as it is at one instant.
    #[inline(always)]
    pub(crate) fn snapshot(self, target: Target) -> Result<Snapshot, LookupError> {
        let (word, beat) = self.observe();
        target.admit_reader(word)?;
        Snapshot::new(target.id(), word, beat).ok_or(LookupError::Gone)
    }

    /// Tells the checker of `environment_tests` that the slot changes hands.
    #[cfg(all(test, environment, not(any(loom, shuttle))))]
    pub(crate) fn ask_for(&self, access: crate::sync::environment::Access) {
        crate::sync::environment::ask(self.body.address(), access);
    }

    #[inline(always)]
    pub(crate) fn words(&self) -> &'a Words {
        self.words
    }
}

impl<T> Deref for Slot<'_, T> {
    type Target = Words;

    #[inline]
    fn deref(&self) -> &Words {
        self.words
    }
}
