//! What the registry under test holds and wakes.

use crate::spec::Ret;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Wake;

/// Digits, and a count of how many payloads there are.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) digits: u64,
    alive: Arc<AtomicUsize>,
}

impl Payload {
    pub(crate) fn new(digits: u64, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self {
            digits,
            alive: alive.clone(),
        }
    }

    pub(crate) fn push(&mut self, digit: u8) -> Ret {
        self.digits = self.digits.wrapping_mul(10).wrapping_add(digit.into());
        Ret::Payload(self.digits)
    }
}

impl Clone for Payload {
    fn clone(&self) -> Self {
        Self::new(self.digits, &self.alive)
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Remembers whether it was woken.
#[derive(Debug, Default)]
pub(crate) struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Bell {
    pub(crate) fn has_rung(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
