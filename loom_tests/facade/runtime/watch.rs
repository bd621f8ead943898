//! A channel that keeps the last value, as `tokio::sync::watch`.

use super::signal::Signal;
use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

/// The signal counts the changes of the value.
#[derive(Debug)]
struct Shared<T> {
    changes: Signal,
    value: Mutex<T>,
}

pub(crate) struct Sender<T>(Arc<Shared<T>>);

pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// A copy of the value. Tokio's holds a lock instead.
pub(crate) struct Ref<T>(T);

impl<T> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The error of a receiver without senders, which does not occur in models.
#[derive(Debug)]
pub(crate) struct RecvError;

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T: Clone> Sender<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(Shared {
            changes: Signal::new(0),
            value: Mutex::new(value),
        }))
    }

    pub(crate) fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        self.0.changes.change(|changes| {
            changes.fetch_add(1, crate::sync::Ordering::SeqCst);
            modify(&mut self.0.value.lock().unwrap());
        });
    }

    pub(crate) fn subscribe(&self) -> Receiver<T> {
        Receiver {
            seen: self.0.changes.load(),
            shared: self.0.clone(),
        }
    }

    pub(crate) fn borrow(&self) -> Ref<T> {
        self.0.changes.load();
        Ref(self.0.value.lock().unwrap().clone())
    }
}

impl<T: Clone> Receiver<T> {
    pub(crate) fn borrow(&self) -> Ref<T> {
        self.shared.changes.load();
        Ref(self.shared.value.lock().unwrap().clone())
    }

    pub(crate) fn borrow_and_update(&mut self) -> Ref<T> {
        self.seen = self.shared.changes.load();
        Ref(self.shared.value.lock().unwrap().clone())
    }

    /// Waits for a change after the last one that this receiver has seen.
    pub(crate) async fn changed(&mut self) -> Result<(), RecvError> {
        let mut waiting = self.shared.changes.waiting();
        let seen = &mut self.seen;
        poll_fn(|cx| {
            waiting.poll(cx, |changes| {
                let is_new = changes != *seen;
                *seen = changes;
                is_new
            })
        })
        .await;
        Ok(())
    }
}
