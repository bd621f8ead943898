//! Times and durations at the ends of their ranges. The deadlines of removals are in `removal`.

mod clock;
mod stall;

use job_registry::Clock;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The latest recordable heartbeat, after 4.3 years: 37 bits, less one millisecond for each
/// possible retry.
pub(crate) const LATEST: u64 = (1 << 37) - 1 - 65_535;
/// A removal at this time or later never happens, 146 million years: 62 bits.
pub(crate) const NEVER: u64 = (1 << 62) - 1;

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Milliseconds near which the implementation has edges.
pub(crate) const CENTRES: [u64; 10] = [
    0,
    64,
    1 << 31,
    1 << 32,
    LATEST,
    1 << 37,
    1 << 53,
    NEVER,
    1 << 63,
    u64::MAX,
];

/// Returns durations at each of [`CENTRES`] and just before and after it, in milliseconds and in
/// nanoseconds.
fn edges() -> Vec<Duration> {
    let near = |centre: Duration| {
        let by = [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_micros(500),
            ms(1),
            ms(2),
        ];
        by.into_iter()
            .flat_map(move |by| [centre.saturating_sub(by), centre.saturating_add(by)])
    };
    let mut edges: Vec<_> = CENTRES
        .into_iter()
        .map(ms)
        .chain([Duration::MAX])
        .flat_map(near)
        .collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

pub(crate) fn edge() -> impl Strategy<Value = Duration> {
    select(edges())
}

/// Rounds up to whole milliseconds. `None` if they do not fit.
pub(crate) fn up(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).ok()
}

/// Returns the time that was set last.
#[derive(Clone, Default)]
pub(crate) struct SetClock(Arc<Mutex<Duration>>);

impl SetClock {
    pub(crate) fn show(&self, now: Duration) {
        *self.0.lock().unwrap() = now;
    }
}

impl Clock for SetClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

/// Advances by one millisecond at each reading.
#[derive(Clone, Default)]
pub(crate) struct TickingClock(Arc<AtomicU64>);

impl TickingClock {
    /// Returns a clock whose first reading is zero.
    pub(crate) fn from_zero() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    pub(crate) fn skip(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn last_reading(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

impl Clock for TickingClock {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::SeqCst).wrapping_add(1))
    }
}
