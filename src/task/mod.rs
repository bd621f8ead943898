//! Work that owns its job, the reaper, and shutdown; with the feature `tokio` also tasks and shared
//! heartbeats.
//!
//! A layer above the calls of `api` and `core`. It holds no lock across an `await`. Whatever keeps
//! a time, the reaper and a shutdown, runs on threads of its own, which no runtime delays.

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
