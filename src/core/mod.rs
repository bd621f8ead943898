//! The state of a registry, and every operation on it.

pub(crate) mod due_queue;
#[cfg(feature = "tokio")]
pub(crate) mod heartbeat_queue;
pub(crate) mod lifecycle;
pub(crate) mod lookup;
pub(crate) mod registry_state;
pub(crate) mod removal;
pub(crate) mod retry;
pub(crate) mod room;
pub(crate) mod stall;
#[cfg(feature = "tokio")]
pub(crate) mod tasks;
pub(crate) mod works;
