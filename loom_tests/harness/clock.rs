//! A clock that is part of the model: an advance races with the calls that read it.

use crate::Clock;
use crate::sync::{Arc, AtomicU64, Ordering};
use std::time::Duration;

#[derive(Clone)]
pub(in crate::loom_tests) struct ModelClock(Arc<AtomicU64>);

impl ModelClock {
    pub(in crate::loom_tests) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(0)))
    }

    /// Advances the clock by whole milliseconds.
    pub(in crate::loom_tests) fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).expect("a short time");
        self.0.fetch_add(millis, Ordering::AcqRel);
    }
}

impl Clock for ModelClock {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Acquire))
    }
}
