//! Events of a registry, for the features `tracing` and `metrics`. Without both, no event is built
//! or dispatched.

mod event;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod tracing;

pub(crate) use self::event::{Event, ON, Refusal, emit, refused};
#[cfg(feature = "metrics")]
pub use self::metrics::describe_metrics;
#[cfg(feature = "metrics")]
pub(crate) use self::metrics::set_jobs;
#[cfg(feature = "tracing")]
pub use self::tracing::log_full_ids;
#[cfg(feature = "tracing")]
pub(crate) use self::tracing::{TARGET, logged};
