//! [`Notify`], as tokio's.

use super::signal::{Signal, Waiting};
use crate::sync::Ordering;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Wakes the tasks that wait. The number of its signal is twice the count of
/// [`notify_waiters`](Self::notify_waiters), and odd if it holds the permit of
/// [`notify_one`](Self::notify_one).
pub(crate) struct Notify(Signal);

const PERMIT: u64 = 1;
const GENERATION: u64 = 2;

impl Notify {
    pub(crate) fn new() -> Self {
        Self(Signal::new(0))
    }

    /// Returns a future that ends at the next notification. It loads the generation now, so that it
    /// also ends at a notification that precedes its first poll.
    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified {
            notify: self,
            generation: self.0.load() / GENERATION,
            waiting: self.0.waiting(),
        }
    }

    pub(crate) fn notify_waiters(&self) {
        self.0
            .change(|value| value.fetch_add(GENERATION, Ordering::SeqCst));
    }

    /// Wakes the task that waits, or else the next one that will.
    ///
    /// # Panics
    ///
    /// If several tasks wait, because their order is not modelled.
    pub(crate) fn notify_one(&self) {
        self.0.change(|value| {
            value.fetch_or(PERMIT, Ordering::SeqCst);
            assert!(self.0.waiters() <= 1, "several tasks wait for one permit");
        });
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct Notified<'a> {
    notify: &'a Notify,
    generation: u64,
    waiting: Waiting,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Self {
                notify,
                generation,
                waiting,
            } = &mut *self;
            let mut seen = 0;
            let polled = waiting.poll(cx, |value| {
                seen = value;
                value / GENERATION != *generation || value & PERMIT != 0
            });
            if polled.is_pending() {
                return Poll::Pending;
            }
            if seen / GENERATION != *generation || notify.0.take_bit(seen, PERMIT) {
                return Poll::Ready(());
            }
        }
    }
}
