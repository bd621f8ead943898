//! Feature `tokio`: tasks that own jobs, shared heartbeats, the reaper, shutdown.
//!
//! A layer above the calls of `api` and `core`. It holds no lock across an `await`.

mod heartbeat;
#[cfg(all(test, not(any(loom, shuttle))))]
mod left_behind;
mod reaper;
mod shutdown;
mod spawn;

pub use heartbeat::Heartbeat;
pub use shutdown::Shutdown;
