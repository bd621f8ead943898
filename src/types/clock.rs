//! [`Clock`]: where a registry takes its time from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A monotonic clock.
///
/// A registry measures everything from the reading it took when it was built and keeps milliseconds.
/// A reading before an earlier one does no harm: heartbeats never go backward.
///
/// `now` may be called while a job's lock is held and must neither block nor panic. If it panics, the call that read it has
/// changed nothing, or has made its step; no lock and no job is lost.
pub trait Clock: Send + Sync + 'static {
    /// The time since some fixed instant.
    fn now(&self) -> Duration;
}

/// The operating system's monotonic clock; what a registry uses unless it is told otherwise.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A clock that stands still until it is moved: for tests and models. Clones share their time.
///
/// ```
/// use job_registry::{JobRegistry, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let jobs = JobRegistry::builder().clock(clock.clone()).retention(Duration::from_secs(60)).build();
/// let job = jobs.register("deck").unwrap();
/// job.cancel()?;
/// assert_eq!(jobs.sweep().removed, 0);
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(jobs.sweep().removed, 1);
/// # Ok::<(), job_registry::StepError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>); // milliseconds

impl ManualClock {
    /// A clock at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the time forward, in whole milliseconds (rounded down). Saturates after 584 million years.
    pub fn advance(&self, by: Duration) {
        let by = millis(by);
        // SeqCst and the standard atomic also in a model: time is the environment, not what is checked.
        let _ = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
                Some(now.saturating_add(by))
            });
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Tokio's clock, which stands still under `tokio::time::pause`. For tests of services.
#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug)]
pub struct TokioClock(tokio::time::Instant);

#[cfg(feature = "tokio")]
impl TokioClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

#[cfg(feature = "tokio")]
impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "tokio")]
impl Clock for TokioClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A time in milliseconds that never comes: not yet, or never.
pub(crate) const NEVER: u64 = u64::MAX;

/// Whole milliseconds; what does not fit is the end of time.
#[inline]
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Rounded up: for delays and deadlines, which may be late but never early.
pub(crate) fn millis_up(duration: Duration) -> u64 {
    millis(duration).saturating_add(u64::from(duration.subsec_nanos() % 1_000_000 != 0))
}

/// The end of time: a registry's clock stands still there, a millisecond before `NEVER`.
const LAST: Duration = Duration::from_millis(NEVER - 1);

/// A registry's time: milliseconds since it was built.
pub(crate) struct Timeline {
    clock: Box<dyn Clock>,
    origin: Duration,
    wall: std::time::SystemTime,
}

impl Timeline {
    pub(crate) fn new(clock: Box<dyn Clock>) -> Self {
        let origin = clock.now();
        Self {
            clock,
            origin,
            wall: std::time::SystemTime::now(),
        }
    }

    /// At most [`LAST`], so that no time is taken for `NEVER`.
    #[inline]
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.now().saturating_sub(self.origin).min(LAST)
    }

    pub(crate) fn system_time(&self, at: Duration) -> std::time::SystemTime {
        self.wall.checked_add(at).unwrap_or(self.wall)
    }
}
