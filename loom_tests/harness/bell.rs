//! A waker that records whether it was woken, for watchers that wait while other threads act.

use crate::{Snapshot, Watch};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Records whether it was woken. Clones share the record.
///
/// The record is a standard atomic, which no checker sees: a wake is not a step of the model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bell(Arc<Rang>);

#[derive(Debug, Default)]
struct Rang(AtomicBool);

impl Wake for Rang {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Bell {
    pub(crate) fn has_rung(&self) -> bool {
        self.0.0.load(Ordering::Relaxed)
    }

    /// Forgets earlier wakes.
    pub(crate) fn reset(&self) {
        self.0.0.store(false, Ordering::Relaxed);
    }

    /// Polls the watch once, with this bell as its waker.
    pub(crate) fn poll<T>(&self, watch: &mut Watch<T>) -> Poll<Option<Snapshot>> {
        let waker = Waker::from(self.0.clone());
        pin!(watch.changed()).poll(&mut Context::from_waker(&waker))
    }
}

/// Returns a watch that has seen the current state and waits for a change, with its bell.
///
/// # Panics
///
/// If the watch does not wait.
pub(crate) fn waiting<T>(mut watch: Watch<T>) -> (Watch<T>, Bell) {
    let bell = Bell::default();
    assert!(
        bell.poll(&mut watch).is_ready(),
        "the first poll yields the current state"
    );
    assert!(
        bell.poll(&mut watch).is_pending(),
        "nothing has changed since"
    );
    bell.reset();
    (watch, bell)
}
