//! [`Status`]: the stage in a job's life.

use std::fmt;

/// Stage in a job's life. Within an attempt, a job only moves to a larger status. [`retry`] starts
/// a new attempt.
///
/// [`retry`]: crate::JobRegistry::retry
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Registered, not started.
    Pending = 0,
    /// Started.
    Running = 1,
    /// Started, and asked to stop by [`request_stop`](crate::JobRegistry::request_stop). The job is
    /// live until its worker ends it, or until the grace is over.
    Stopping = 2,
    /// Ended successfully, at 100 %.
    Completed = 3,
    /// Ended by an error, a panic, a dropped owner, a deadline, or a stall verdict.
    Failed = 4,
    /// Ended by [`cancel`](crate::JobRegistry::cancel), by
    /// [`request_stop`](crate::JobRegistry::request_stop), or by
    /// [`shutdown`](crate::JobRegistry::shutdown).
    Cancelled = 5,
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

    /// Returns the status of a job whose state word has these status bits.
    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        match bits {
            1 => Self::Pending,
            2 => Self::Running,
            3 => Self::Stopping,
            4 => Self::Completed,
            5 => Self::Failed,
            _ => Self::Cancelled,
        }
    }

    /// Returns `pending`, `running`, `stopping`, `completed`, `failed` or `cancelled`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
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
