//! The part of the models' harness that the programs need, on real threads.

use super::sync::facade::record::Event;
use job_registry::{Builder, Clock, JobRegistry};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[path = "../../../loom_tests/harness/bell.rs"]
#[allow(dead_code)] // the programs use a part of it
mod bell;

pub(crate) use bell::Bell;
pub(crate) use std::thread::{JoinHandle, spawn};

pub(crate) fn note(_: Event) {}

/// Checks nothing, because leftovers are not visible from outside the library.
pub(crate) fn nothing_is_left(_: &JobRegistry<u64>) {}

#[derive(Clone)]
pub(crate) struct ModelClock(Arc<AtomicU64>);

impl ModelClock {
    /// Advances by whole milliseconds.
    pub(crate) fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).expect("a short time");
        self.0.fetch_add(millis, Ordering::AcqRel);
    }
}

impl Clock for ModelClock {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Acquire))
    }
}

/// Returns a registry whose clock stands still, and the clock.
pub(crate) fn registry<T: Send + 'static>(
    build: impl FnOnce(Builder<T>) -> Builder<T>,
) -> (JobRegistry<T>, ModelClock) {
    let clock = ModelClock(Arc::default());
    let jobs = build(JobRegistry::builder().clock(clock.clone())).build();
    (jobs, clock)
}
