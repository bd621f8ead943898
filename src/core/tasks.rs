//! [`Tasks`]: the part of a registry's state that belongs to its tasks on tokio.

use crate::core::heartbeat_queue::Heartbeats;

#[derive(Debug, Default)]
pub(crate) struct Tasks {
    pub(crate) heartbeats: Heartbeats,
}
