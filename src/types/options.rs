//! [`Options`]: limits of a single job.

use crate::types::clock::{NEVER, millis_up};
use std::time::Duration;

/// Limits of a single job, for [`register_with`](crate::JobRegistry::register_with). They hold for
/// each of its attempts.
///
/// Each duration is rounded up to milliseconds. `Duration::MAX` means for ever.
///
/// ```
/// use job_registry::{JobRegistry, ManualClock, Options, Status};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let jobs = JobRegistry::builder().clock(clock.clone()).build();
/// let options = Options::new().deadline(Duration::from_secs(60));
/// let job = jobs.register_with("deck", options)?;
/// clock.advance(Duration::from_secs(60));
/// jobs.sweep();
/// let details = jobs.details(job.id())?;
/// assert_eq!(details.snapshot.status(), Status::Failed);
/// assert_eq!(details.reason.as_deref(), Some("deadline exceeded after 60s"));
/// # Ok::<(), job_registry::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "options do nothing until a job is registered with them"]
pub struct Options {
    deadline: Option<Duration>,
    retention: Option<Duration>,
    stall_after: Option<Duration>,
}

impl Options {
    /// Returns the options of [`register`](crate::JobRegistry::register): the registry's limits.
    pub const fn new() -> Self {
        Self {
            deadline: None,
            retention: None,
            stall_after: None,
        }
    }

    /// Time from the registration to the attempt's end; for a later attempt, from its retry. The
    /// [reaper](crate::JobRegistry::spawn_reaper), or a [`sweep`](crate::JobRegistry::sweep), fails
    /// a live job whose time is over, with the reason `deadline exceeded after …`. An ending before
    /// that stands.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Time from the job's end to its removal, in place of
    /// [`Builder::retention`](crate::Builder::retention).
    pub const fn retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Age of the last heartbeat above which the job counts as stalled, in place of
    /// [`Builder::stall_after`](crate::Builder::stall_after).
    pub const fn stall_after(mut self, silence: Duration) -> Self {
        self.stall_after = Some(silence);
        self
    }

    /// Returns the value that [`deadline`](Self::deadline) set.
    #[must_use]
    pub const fn own_deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Returns the value that [`retention`](Self::retention) set.
    ///
    /// ```
    /// use job_registry::Options;
    /// use std::time::Duration;
    ///
    /// let options = Options::new().retention(Duration::MAX);
    /// assert_eq!(options.own_retention(), Some(Duration::MAX));
    /// assert_eq!((options.own_deadline(), options.own_stall_after()), (None, None));
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    #[must_use]
    pub const fn own_retention(&self) -> Option<Duration> {
        self.retention
    }

    /// Returns the value that [`stall_after`](Self::stall_after) set.
    #[must_use]
    pub const fn own_stall_after(&self) -> Option<Duration> {
        self.stall_after
    }

    /// Returns the configured deadline, for its text.
    pub(crate) fn deadline_or_zero(self) -> Duration {
        self.deadline.unwrap_or_default()
    }

    /// Returns the time of the deadline of an attempt that began at `now`, in milliseconds.
    pub(crate) fn deadline_from(self, now: Duration) -> u64 {
        self.deadline.map_or(NEVER, |deadline| {
            millis_up(now).saturating_add(millis_up(deadline))
        })
    }

    /// Returns the milliseconds of the job's own retention.
    pub(crate) fn retention_millis(self) -> Option<u64> {
        self.retention.map(millis_up)
    }

    /// Returns the milliseconds of the job's own stall limit.
    pub(crate) fn stall_millis(self) -> Option<u64> {
        self.stall_after.map(millis_up)
    }
}
