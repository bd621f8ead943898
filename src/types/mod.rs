//! Plain values: the public ones, and the two words that encode a job's state.

pub(crate) mod clock;
pub(crate) mod cursor;
pub(crate) mod error;
pub(crate) mod failure;
pub(crate) mod heartbeat_word;
pub(crate) mod id;
pub(crate) mod note;
pub(crate) mod options;
pub(crate) mod progress;
#[cfg(feature = "serde")]
mod serde;
pub(crate) mod snapshot;
pub(crate) mod state_word;
pub(crate) mod status;
pub(crate) mod version;
pub(crate) mod when_full;
