//! Faults between the client and the server, at points that a test chooses.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// The faults that the next calls meet, in order.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<VecDeque<Option<Fault>>>);

/// A lost call or a lost answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fault {
    /// Whether the call is lost, and not only its answer.
    pub(crate) before: bool,
    /// Notified when the call has been lost. It goes on once the second is notified.
    pub(crate) pause: Option<(Arc<Notify>, Arc<Notify>)>,
}

impl Fault {
    pub(crate) async fn meanwhile(&self) {
        if let Some((reached, resume)) = &self.pause {
            reached.notify_one();
            resume.notified().await;
        }
    }
}

impl Faults {
    pub(crate) fn take(&self) -> Option<Fault> {
        self.0.lock().unwrap().pop_front().flatten()
    }

    /// Makes the next calls meet these faults.
    pub(crate) fn plan(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.0.lock().unwrap().extend(faults);
    }

    pub(crate) fn lose_answer(&self) {
        self.plan([Some(Fault::default())]);
    }

    pub(crate) fn lose_call(&self) {
        self.plan([Some(Fault {
            before: true,
            pause: None,
        })]);
    }

    /// Loses the next answer, and holds the call. Returns what tells that it is held, and what
    /// resumes it.
    pub(crate) fn lose_answer_and_hold(&self) -> (Arc<Notify>, Arc<Notify>) {
        self.hold(false)
    }

    /// Loses the next call, and holds it, as [`lose_answer_and_hold`](Self::lose_answer_and_hold)
    /// does.
    pub(crate) fn lose_call_and_hold(&self) -> (Arc<Notify>, Arc<Notify>) {
        self.hold(true)
    }

    fn hold(&self, before: bool) -> (Arc<Notify>, Arc<Notify>) {
        let pause: (Arc<Notify>, Arc<Notify>) = Default::default();
        self.plan([Some(Fault {
            before,
            pause: Some(pause.clone()),
        })]);
        pause
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}
