//! The payloads and wakers of the registry under test.

use super::script::{By, Script};
use super::spec::Ret;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Wake;

/// Holds digits, and counts the live payloads.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) digits: u64,
    alive: Arc<AtomicUsize>,
    /// Determines how long the destructor takes. A clone's destructor takes no time.
    script: Option<Arc<Script>>,
}

impl Payload {
    pub(crate) fn new(digits: u64, alive: &Arc<AtomicUsize>, script: Option<Arc<Script>>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self {
            digits,
            alive: alive.clone(),
            script,
        }
    }

    pub(crate) fn push(&mut self, digit: u8) -> Ret {
        self.digits = self.digits.wrapping_mul(10).wrapping_add(digit.into());
        Ret::Payload(self.digits)
    }
}

impl Clone for Payload {
    fn clone(&self) -> Self {
        Self::new(self.digits, &self.alive, None)
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if let Some(script) = &self.script {
            script.pass(By::Destructor);
        }
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Remembers whether it was woken.
#[derive(Debug)]
pub(crate) struct Bell {
    watch: u32,
    has_rung: AtomicBool,
    script: Arc<Script>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.has_rung.store(true, Ordering::Relaxed);
        self.script.pass(By::Waker(self.watch));
    }
}

impl Bell {
    pub(crate) fn new(watch: u32, script: &Arc<Script>) -> Self {
        Self {
            watch,
            has_rung: AtomicBool::new(false),
            script: script.clone(),
        }
    }

    pub(crate) fn has_rung(&self) -> bool {
        self.has_rung.load(Ordering::Relaxed)
    }
}
