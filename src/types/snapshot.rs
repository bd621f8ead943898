//! The observable state of a job: [`Snapshot`], [`Times`], [`Details`], [`Record`] and [`Counts`].

use crate::types::clock::millis;
use crate::types::heartbeat_word::HeartbeatWord;
use crate::types::id::JobId;
use crate::types::progress::Progress;
use crate::types::state_word::StateWord;
use crate::types::status::Status;
use crate::types::version::{PartsError, Version};
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// The vital state of a job at one instant.
///
/// All fields are of the same instant. No snapshot combines the progress of one instant with the
/// heartbeat or the status of another.
///
/// ```
/// use job_registry::{JobRegistry, Progress, Status};
///
/// let jobs = JobRegistry::new();
/// let job = jobs.register("deck")?;
/// job.start()?;
/// job.advance(Progress::percent(40.0)?)?;
///
/// let seen = jobs.snapshot(job.id())?;
/// assert_eq!((seen.status(), seen.progress().as_percent()), (Status::Running, 40.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    id: JobId,
    /// The state word, as [`StateWord::of_job`] returns it.
    word: NonZeroU64,
    /// Milliseconds of the registry's time.
    heartbeat: u64,
    revision: u64,
}

impl Snapshot {
    /// Returns `None` for a vacant slot.
    #[inline]
    pub(crate) fn new(
        id: JobId,
        word: StateWord,
        heartbeat: HeartbeatWord,
        revision: u64,
    ) -> Option<Self> {
        let word = word.of_job()?;
        Some(Self {
            id,
            word,
            heartbeat: heartbeat.millis(),
            revision,
        })
    }

    /// Returns the snapshot of a job with this version and this last heartbeat, for a registry that
    /// is not in this process's memory. The heartbeat is in the registry's time, and is rounded
    /// down to milliseconds.
    ///
    /// ```
    /// use job_registry::{JobId, Progress, Snapshot, Status, Version};
    /// use std::time::Duration;
    ///
    /// let version = Version::from_parts(2, Status::Running, Progress::percent(40.0)?, 7)?;
    /// let id = JobId::from_bits(62);
    /// let seen = Snapshot::from_parts(id, version, Duration::from_secs(3));
    /// assert_eq!((seen.attempt(), seen.status()), (2, Status::Running));
    /// assert_eq!((seen.progress().as_percent(), seen.version()), (40.0, version));
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    #[must_use]
    #[allow(clippy::missing_panics_doc)] // it does not panic
    pub fn from_parts(id: JobId, version: Version, last_heartbeat: Duration) -> Self {
        let (word, revision) = version.into_parts();
        Self {
            id,
            word: word.of_job().expect("a version has a status"),
            heartbeat: millis(last_heartbeat),
            revision,
        }
    }

    /// Returns the job's id.
    #[inline]
    #[must_use]
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Returns the job's status.
    #[inline]
    #[must_use]
    pub fn status(&self) -> Status {
        Status::from_bits(self.word().status_bits())
    }

    /// Returns the job's progress. It is never less than in an earlier snapshot of the same
    /// attempt.
    #[inline]
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.word().progress()
    }

    /// Returns the number of the attempt, from 1 to 65,535.
    #[inline]
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.word().attempt().into()
    }

    /// Returns the job's version, which grows with every change that a client can see.
    #[inline]
    #[must_use]
    pub fn version(&self) -> Version {
        Version::new(self.word(), self.revision)
    }

    /// Returns the time of the job's last heartbeat: the latest of its registration (or retry), its
    /// start and its heartbeats. It is in the registry's time, whose present is
    /// [`JobRegistry::now`], to the millisecond.
    ///
    /// Subtract it by `saturating_sub`: it is ahead of the present by up to a millisecond for each
    /// retry that followed an end immediately.
    ///
    /// [`JobRegistry::now`]: crate::JobRegistry::now
    #[inline]
    #[must_use]
    pub fn last_heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat)
    }

    /// Returns the time since the last heartbeat, at `now` of the registry's time. It is zero if the
    /// heartbeat is later than `now`.
    ///
    /// ```
    /// use job_registry::{JobRegistry, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let jobs = JobRegistry::builder().clock(clock.clone()).build();
    /// let job = jobs.register("deck")?;
    /// clock.advance(Duration::from_secs(7));
    /// assert_eq!(job.snapshot()?.silence(jobs.now()), Duration::from_secs(7));
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    #[must_use]
    pub fn silence(&self, now: Duration) -> Duration {
        now.saturating_sub(self.last_heartbeat())
    }

    #[inline]
    pub(crate) fn word(&self) -> StateWord {
        StateWord::from_bits(self.word.get())
    }

    #[inline]
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("id", &self.id)
            .field("status", &self.status())
            .field("progress", &self.progress())
            .field("attempt", &self.attempt())
            .field("version", &self.version())
            .field("last_heartbeat", &self.last_heartbeat())
            .finish_non_exhaustive()
    }
}

/// Times of a job's changes in the registry's time (see [`JobRegistry::now`]), to the millisecond.
/// [`JobRegistry::system_time`] converts them to wall-clock times for display.
///
/// [`JobRegistry::now`]: crate::JobRegistry::now
/// [`JobRegistry::system_time`]: crate::JobRegistry::system_time
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// Time of the job's registration.
    pub registered: Duration,
    /// Start of the present attempt.
    pub started: Option<Duration>,
    /// End of the present attempt.
    pub ended: Option<Duration>,
    /// Earliest time of the job's removal. `None` if the job is live or is kept for ever.
    pub removal: Option<Duration>,
}

impl Times {
    /// Returns the times of a job, for a registry that is not in this process's memory.
    ///
    /// # Errors
    ///
    /// Returns [`PartsError`] if the start or the end is before the registration, if the end is
    /// before the start, and if a job that has not ended has a time of removal.
    ///
    /// ```
    /// use job_registry::Times;
    /// use std::time::Duration;
    ///
    /// let registered = Duration::from_secs(5);
    /// let times = Times::from_parts(registered, Some(Duration::from_secs(7)), None, None)?;
    /// assert_eq!(times.started, Some(Duration::from_secs(7)));
    /// assert!(Times::from_parts(registered, Some(Duration::ZERO), None, None).is_err());
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    pub fn from_parts(
        registered: Duration,
        started: Option<Duration>,
        ended: Option<Duration>,
        removal: Option<Duration>,
    ) -> Result<Self, PartsError> {
        let begun = started.unwrap_or(registered);
        let in_order = registered <= begun && ended.is_none_or(|ended| begun <= ended);
        PartsError::unless(in_order && (ended.is_some() || removal.is_none()))?;
        Ok(Self {
            registered,
            started,
            ended,
            removal,
        })
    }
}

/// A job at one instant, without its payload. Returned by [`details`].
///
/// [`details`]: crate::JobRegistry::details
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Details {
    /// Id, status, progress, attempt, version and last heartbeat.
    pub snapshot: Snapshot,
    /// Times of the job's changes.
    pub times: Times,
    /// The worker's latest note on the present attempt.
    pub note: Option<Arc<str>>,
    /// Reason why the job failed, was cancelled, or is asked to stop.
    pub reason: Option<Arc<str>>,
}

impl Details {
    /// Returns the details of a job, for a registry that is not in this process's memory.
    ///
    /// # Errors
    ///
    /// Returns [`PartsError`] unless the job has an end if and only if its status is an ended one.
    ///
    /// ```
    /// use job_registry::{Details, JobId, Progress, Snapshot, Status, Times, Version};
    /// use std::time::Duration;
    ///
    /// let version = Version::from_parts(1, Status::Pending, Progress::ZERO, 1)?;
    /// let now = Duration::from_secs(3);
    /// let seen = Snapshot::from_parts(JobId::from_bits(62), version, now);
    /// let times = Times::from_parts(now, None, None, None)?;
    /// let details = Details::from_parts(seen, times, Some("waiting".into()), None)?;
    /// assert_eq!(details.note.as_deref(), Some("waiting"));
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    pub fn from_parts(
        snapshot: Snapshot,
        times: Times,
        note: Option<Arc<str>>,
        reason: Option<Arc<str>>,
    ) -> Result<Self, PartsError> {
        PartsError::unless(snapshot.status().is_ended() == times.ended.is_some())?;
        Ok(Self {
            snapshot,
            times,
            note,
            reason,
        })
    }

    /// Adds the payload.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register("deck")?;
    /// let record = job.details()?.with_payload("deck");
    /// assert_eq!(record, jobs.get(job.id())?);
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    #[must_use]
    pub fn with_payload<P>(self, payload: P) -> Record<P> {
        Record {
            snapshot: self.snapshot,
            times: self.times,
            note: self.note,
            reason: self.reason,
            payload,
        }
    }
}

/// A job at one instant, with its payload. It owns the payload if [`get`] returned it, and borrows
/// it (`Record<&T>`) in [`read`].
///
/// [`get`]: crate::JobRegistry::get
/// [`read`]: crate::JobRegistry::read
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record<P> {
    /// Id, status, progress, attempt, version and last heartbeat.
    pub snapshot: Snapshot,
    /// Times of the job's changes.
    pub times: Times,
    /// The worker's latest note on the present attempt.
    pub note: Option<Arc<str>>,
    /// Reason why the job failed, was cancelled, or is asked to stop.
    pub reason: Option<Arc<str>>,
    /// The payload that the caller registered.
    pub payload: P,
}

impl<P> Record<P> {
    pub(crate) fn map<Q>(self, f: impl FnOnce(P) -> Q) -> Record<Q> {
        Record {
            snapshot: self.snapshot,
            times: self.times,
            note: self.note,
            reason: self.reason,
            payload: f(self.payload),
        }
    }
}

/// Number of jobs of each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Registered, not started.
    pub pending: usize,
    /// Started, not asked to stop and not ended.
    pub running: usize,
    /// Asked to stop, not ended.
    pub stopping: usize,
    /// Ended successfully.
    pub completed: usize,
    /// Ended by an error.
    pub failed: usize,
    /// Cancelled.
    pub cancelled: usize,
}

impl Counts {
    /// Returns the number of all jobs.
    #[must_use]
    pub fn total(&self) -> usize {
        self.pending + self.running + self.stopping + self.completed + self.failed + self.cancelled
    }

    /// Returns the number of jobs that have not ended.
    #[must_use]
    pub fn live(&self) -> usize {
        self.pending + self.running + self.stopping
    }

    #[inline]
    pub(crate) fn add(&mut self, status: Status) {
        *match status {
            Status::Pending => &mut self.pending,
            Status::Running => &mut self.running,
            Status::Stopping => &mut self.stopping,
            Status::Completed => &mut self.completed,
            Status::Failed => &mut self.failed,
            Status::Cancelled => &mut self.cancelled,
        } += 1;
    }
}
