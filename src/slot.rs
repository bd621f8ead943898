//! A slot: the two words of a job, and its body behind a lock.

use crate::body::Body;
use crate::sync::Mutex;
use crate::words::Words;
use std::ops::Deref;

/// The two parts of a slot, as the table has them.
#[derive(Debug)]
pub(crate) struct Slot<'a, T> {
    pub(crate) index: u32,
    words: &'a Words,
    pub(crate) body: &'a Mutex<Body<T>>,
}

impl<T> Clone for Slot<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<'_, T> {}

impl<'a, T> Slot<'a, T> {
    #[inline(always)]
    pub(crate) fn new(index: u32, words: &'a Words, body: &'a Mutex<Body<T>>) -> Self {
        Self { index, words, body }
    }

    #[cfg(all(loom, test))]
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
