//! Feature `tokio`: tasks that own jobs, shared heartbeats, the reaper, shutdown.
//!
//! A layer on the core's own calls. It holds no lock across an `await`.

mod beats;
mod heartbeat;
#[cfg(all(test, not(any(loom, shuttle))))]
mod left_behind;
mod reaper;
mod shutdown;
mod spawn;

pub use heartbeat::Heartbeat;
pub use shutdown::Shutdown;

use tokio::sync::watch;

/// What the layer keeps for a registry.
#[derive(Debug)]
pub(crate) struct Tasks {
    /// Spawned tasks that have not returned yet.
    running: watch::Sender<usize>,
    beats: beats::Beats,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            running: watch::Sender::new(0),
            beats: beats::Beats::default(),
        }
    }
}

/// Counts one spawned task for as long as it lives, however it ends.
struct Running(watch::Sender<usize>);

impl Tasks {
    fn enter(&self) -> Running {
        self.running.send_modify(|running| *running += 1);
        Running(self.running.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}
