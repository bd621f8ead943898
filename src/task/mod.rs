//! Work that owns its job, the reaper, and shutdown; with the feature `tokio` also tasks, timer
//! heartbeats and `reap`.
//!
//! A layer above the calls of `api` and `core`. It holds no lock across an `await`. The reaper and a
//! shutdown run on threads of their own, which no runtime delays.

#[cfg(feature = "tokio")]
mod heartbeat;
#[cfg(all(test, feature = "tokio", not(any(loom, shuttle))))]
mod left_behind;
mod reaper;
mod run;
mod shutdown;
#[cfg(feature = "tokio")]
mod spawn;

#[cfg(feature = "tokio")]
pub use heartbeat::Heartbeat;
pub use reaper::Reaper;
pub use shutdown::{Phases, Shutdown};
