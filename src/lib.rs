//! A concurrent registry of long-running jobs.

#![forbid(unsafe_code)]

mod attempts;
mod beat;
mod builder;
mod clock;
mod due;
mod error;
mod guard;
mod id;
mod inner;
mod job;
mod progress;
mod registry;
mod removal;
mod slot;
mod snapshot;
mod steps;
mod sync;
mod table;
#[cfg(feature = "tokio")]
mod task;
mod thread;
mod watch;
mod watchers;
mod word;

pub use builder::Builder;
#[cfg(feature = "tokio")]
pub use clock::TokioClock;
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{
    LockError, LookupError, ReadError, RegisterError, RemoveError, RetryError, StepError,
};
pub use guard::JobGuard;
pub use id::{JobId, ParseIdError};
pub use job::Job;
pub use progress::{Progress, ProgressError};
pub use registry::JobRegistry;
pub use removal::Swept;
pub use snapshot::{Counts, Record, Snapshot, Status, Times};
#[cfg(feature = "tokio")]
pub use task::{Heartbeat, Shutdown};
pub use watch::Watch;

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../loom_tests/mod.rs"]
mod loom_tests;
