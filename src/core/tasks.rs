//! [`Tasks`]: the part of a registry's state that belongs to the task layer.

use crate::core::heartbeat_queue::HeartbeatQueue;
use tokio::sync::watch;

/// The task layer's state of one registry.
#[derive(Debug)]
pub(crate) struct Tasks {
    /// Number of spawned tasks that have not returned.
    pub(crate) running: watch::Sender<usize>,
    pub(crate) heartbeats: HeartbeatQueue,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            running: watch::Sender::new(0),
            heartbeats: HeartbeatQueue::default(),
        }
    }
}

/// Counts one spawned task until it is dropped.
pub(crate) struct Running(watch::Sender<usize>);

impl Tasks {
    /// Counts a task until the returned value is dropped.
    pub(crate) fn enter(&self) -> Running {
        self.running.send_modify(|running| *running += 1);
        Running(self.running.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}
