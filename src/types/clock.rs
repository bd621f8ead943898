//! [`Clock`]: the source of a registry's time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A monotonic clock.
///
/// A registry measures all times from the reading that it took when it was built, in milliseconds.
/// A reading before an earlier one does no harm: heartbeats never go backward.
///
/// `now` may be called while a job's lock is held, and must neither block nor panic. If it panics,
/// the call that read it has either changed nothing or made its step. No lock and no job is lost.
///
/// ```
/// use job_registry::{Clock, JobRegistry};
/// use std::time::{Duration, Instant};
///
/// /// A clock that runs sixty times as fast.
/// struct FastClock(Instant);
///
/// impl Clock for FastClock {
///     fn now(&self) -> Duration {
///         self.0.elapsed() * 60
///     }
/// }
///
/// let jobs = JobRegistry::builder().clock(FastClock(Instant::now())).build();
/// let job = jobs.register("deck")?;
/// # drop(job);
/// # Ok::<(), job_registry::RegisterError<&str>>(())
/// ```
pub trait Clock: Send + Sync + 'static {
    /// Returns the time since a fixed instant.
    fn now(&self) -> Duration;
}

/// The operating system's monotonic clock, which a registry uses by default.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// Returns a clock that is at zero now.
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

/// A clock that moves only by [`advance`](Self::advance), for tests and models. Clones share their
/// time.
///
/// ```
/// use job_registry::{JobRegistry, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let jobs = JobRegistry::builder()
///     .clock(clock.clone())
///     .retention(Duration::from_secs(60))
///     .build();
/// let job = jobs.register("deck")?;
/// job.cancel()?;
/// assert_eq!(jobs.sweep().removed, 0);
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(jobs.sweep().removed, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>); // milliseconds

impl ManualClock {
    /// Returns a clock at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the time forward by whole milliseconds, rounded down. The time saturates after 584
    /// million years.
    pub fn advance(&self, by: Duration) {
        let by = millis(by);
        // ORDERING: SeqCst, and the standard atomic in models as well. The time belongs to the
        // environment, which is not checked.
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

/// Tokio's clock, which stands still under `tokio::time::pause`, for tests of services.
///
/// Paused time belongs to its runtime, and other threads read the system's clock instead. Use
/// [`reap`](crate::JobRegistry::reap) with this clock in place of
/// [`spawn_reaper`](crate::JobRegistry::spawn_reaper).
#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug)]
pub struct TokioClock(tokio::time::Instant);

#[cfg(feature = "tokio")]
impl TokioClock {
    /// Returns a clock that is at zero now.
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

/// A time in milliseconds that never comes: "never", or "not yet".
pub(crate) const NEVER: u64 = u64::MAX;

/// Returns whole milliseconds, rounded down. A duration that does not fit saturates.
#[inline]
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns whole milliseconds, rounded up: delays and deadlines may be late, but never early.
#[inline]
pub(crate) fn millis_up(duration: Duration) -> u64 {
    millis(duration).saturating_add(u64::from(duration.subsec_nanos() % 1_000_000 != 0))
}

/// The last time that a registry's clock shows, a millisecond before `NEVER`. It stops there.
const LAST: Duration = Duration::from_millis(NEVER - 1);

/// A registry's time, counted from the instant at which it was built.
pub(crate) struct Timeline {
    clock: Box<dyn Clock>,
    origin: Duration,
    wall: std::time::SystemTime,
    pace: Pace,
}

/// The known pace of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// It runs with the time for which a thread sleeps.
    System,
    /// It runs with the timers of the runtime on which it is read.
    #[cfg(feature = "tokio")]
    Tokio,
    /// It may stand still, run fast, or jump.
    Unknown,
}

impl Pace {
    pub(crate) fn of<C: Clock>() -> Self {
        let clock = std::any::TypeId::of::<C>();
        // In a model of this crate, threads sleep in the time of the model's clock.
        let is_modelled = cfg!(all(test, shuttle));
        if is_modelled || clock == std::any::TypeId::of::<SystemClock>() {
            return Self::System;
        }
        #[cfg(feature = "tokio")]
        if clock == std::any::TypeId::of::<TokioClock>() {
            return Self::Tokio;
        }
        Self::Unknown
    }
}

impl Timeline {
    pub(crate) fn new(clock: Box<dyn Clock>, pace: Pace) -> Self {
        let origin = clock.now();
        Self {
            clock,
            pace,
            origin,
            wall: std::time::SystemTime::now(),
        }
    }

    /// Returns the time since the registry was built. It is at most [`LAST`], so that no reading
    /// equals `NEVER`.
    #[inline]
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.now().saturating_sub(self.origin).min(LAST)
    }

    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    /// Returns the wall-clock time of a registry's time, or of its origin if the sum does not fit.
    pub(crate) fn system_time(&self, at: Duration) -> std::time::SystemTime {
        self.wall.checked_add(at).unwrap_or(self.wall)
    }
}
