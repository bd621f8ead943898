//! What can be seen of a job: [`Status`], [`Snapshot`], [`Times`], [`Record`] and [`Counts`].

use crate::types::heartbeat_word::HeartbeatWord;
use crate::types::state_word::StateWord;
use crate::{JobId, Progress};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Where a job is in its life. A job only moves to a larger status; [`retry`] starts a new attempt.
///
/// [`retry`]: crate::JobRegistry::retry
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Registered, not started.
    Pending = 0,
    /// Started.
    Running = 1,
    /// Ended well, at 100 %.
    Completed = 2,
    /// Ended by an error, a panic, an owner that went away, or a stall verdict.
    Failed = 3,
    /// Ended because somebody asked for it.
    Cancelled = 4,
}

impl Status {
    /// Completed, failed or cancelled: nothing about this attempt changes any more.
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

    /// `pending`, `running`, `completed`, `failed` or `cancelled`.
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

/// The vital state of a job at one instant.
///
/// All fields are of the same instant: no snapshot shows the progress of one moment beside the
/// heartbeat or the status of another.
///
/// ```
/// use job_registry::{JobRegistry, Progress, Status};
///
/// let jobs = JobRegistry::new();
/// let job = jobs.register("deck").unwrap();
/// job.start()?;
/// job.advance(Progress::percent(40.0).unwrap())?;
///
/// let seen = jobs.snapshot(job.id())?;
/// assert_eq!((seen.status(), seen.progress().as_percent()), (Status::Running, 40.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    id: JobId,
    word: StateWord,
    heartbeat: HeartbeatWord,
    status: Status,
}

impl Snapshot {
    /// `None` for a vacant slot.
    #[inline]
    pub(crate) fn new(id: JobId, word: StateWord, heartbeat: HeartbeatWord) -> Option<Self> {
        let status = word.status()?;
        // The bit is no part of what a job is.
        let word = StateWord::from_bits(word.bits() & !1);
        Some(Self {
            id,
            word,
            heartbeat,
            status,
        })
    }

    /// The job.
    #[inline]
    #[must_use]
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Where the job is in its life.
    #[inline]
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// How much is done. Never less than in an earlier snapshot of the same attempt.
    #[inline]
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.word.progress()
    }

    /// Which attempt this is: 1 for the first, at most 65 535.
    #[inline]
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.word.attempt().into()
    }

    /// Attempt, status and progress as one number that grows with every change and never falls: for
    /// an `ETag` or an event id. Two snapshots of one job with the same version differ in nothing but the
    /// heartbeat.
    ///
    /// Below 2³⁹, so that it survives in a JSON number. Versions of different jobs say nothing about
    /// each other.
    #[inline]
    #[must_use]
    pub fn version(&self) -> u64 {
        self.word.version()
    }

    /// When the job was last heard of: the latest of its registration (or retry), its start and its
    /// heartbeats. In the registry's time, whose present is [`JobRegistry::now`], to the millisecond; compare by
    /// `saturating_sub`, for a retry that follows an end at once counts as a millisecond later.
    ///
    /// [`JobRegistry::now`]: crate::JobRegistry::now
    #[inline]
    #[must_use]
    pub fn last_heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat.millis())
    }

    #[inline]
    pub(crate) fn word(&self) -> StateWord {
        self.word
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("id", &self.id)
            .field("status", &self.status)
            .field("progress", &self.progress())
            .field("attempt", &self.attempt())
            .field("version", &self.version())
            .field("last_heartbeat", &self.last_heartbeat())
            .finish_non_exhaustive()
    }
}

/// When things happened to a job, in the registry's time (see [`JobRegistry::now`]), to the
/// millisecond. [`JobRegistry::system_time`] turns them into wall-clock times for display.
///
/// [`JobRegistry::now`]: crate::JobRegistry::now
/// [`JobRegistry::system_time`]: crate::JobRegistry::system_time
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// When the job was registered.
    pub registered: Duration,
    /// When its present attempt was started.
    pub started: Option<Duration>,
    /// When its present attempt ended.
    pub ended: Option<Duration>,
    /// The earliest instant at which it may be removed. `None` while it lives and where it never is.
    pub removal: Option<Duration>,
}

/// A job at one instant, with its payload: owned from [`get`], borrowed (`Record<&T>`) in [`read`].
///
/// [`get`]: crate::JobRegistry::get
/// [`read`]: crate::JobRegistry::read
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record<P> {
    /// Status, progress, attempt, version, last heartbeat.
    pub snapshot: Snapshot,
    /// When things happened.
    pub times: Times,
    /// Why the job failed.
    pub error: Option<Arc<str>>,
    /// The caller's own data.
    pub payload: P,
}

impl<P> Record<P> {
    pub(crate) fn map<Q>(self, f: impl FnOnce(P) -> Q) -> Record<Q> {
        Record {
            snapshot: self.snapshot,
            times: self.times,
            error: self.error,
            payload: f(self.payload),
        }
    }
}

/// How many jobs there are of each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Registered, not started.
    pub pending: usize,
    /// Started, not ended.
    pub running: usize,
    /// Ended well.
    pub completed: usize,
    /// Ended by an error.
    pub failed: usize,
    /// Ended on request.
    pub cancelled: usize,
}

impl Counts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> usize {
        self.pending + self.running + self.completed + self.failed + self.cancelled
    }

    #[inline]
    pub(crate) fn add(&mut self, status: Status) {
        *match status {
            Status::Pending => &mut self.pending,
            Status::Running => &mut self.running,
            Status::Completed => &mut self.completed,
            Status::Failed => &mut self.failed,
            Status::Cancelled => &mut self.cancelled,
        } += 1;
    }
}
