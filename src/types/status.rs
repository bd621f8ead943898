//! [`Status`]: the stage in a job's life.

use std::fmt;

/// Stage in a job's life. Within an attempt, a job only moves to a larger status. [`retry`] starts
/// a new attempt.
///
/// [`retry`]: crate::JobRegistry::retry
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Registered, not started.
    Pending = 0,
    /// Started.
    Running = 1,
    /// Ended successfully, at 100 %.
    Completed = 2,
    /// Ended by an error, a panic, a dropped owner, or a stall verdict.
    Failed = 3,
    /// Ended by a call of [`cancel`](crate::JobRegistry::cancel) or
    /// [`shutdown`](crate::JobRegistry::shutdown).
    Cancelled = 4,
}

impl Status {
    /// Returns whether the status is completed, failed or cancelled. An ended attempt does not
    /// change any more.
    ///
    /// ```
    /// # use job_registry::Status;
    /// assert!(Status::Failed.is_ended() && !Status::Running.is_ended());
    /// ```
    #[inline]
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Returns `pending`, `running`, `completed`, `failed` or `cancelled`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
