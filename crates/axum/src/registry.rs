//! [`Registry`]: the calls of a registry that the routes make.

use crate::problem::Problem;
use crate::time::Time;
use futures_util::Stream;
use job_registry::{
    Counts, Cursor, Details, Error, Job, JobId, JobRegistry, Record, Snapshot, StepError, Watch,
};
use std::fmt::Display;
use std::future::Future;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// The calls of a registry that [`JobRoutes`](crate::JobRoutes) make.
///
/// [`JobRegistry`] implements it for one process. The methods are asynchronous, so that a registry
/// on a server can implement it too.
///
/// # Cancel safety
///
/// The routes drop a future of this trait when its client disconnects. A dropped call that changes
/// a job must have made its whole change, or none.
pub trait Registry: Clone + Send + Sync + 'static {
    /// The jobs' payload.
    type Payload;
    /// Owner of an attempt, which a retry returns.
    type Job: Send;
    /// The snapshots of one job: the present one first, then the latest after each change, and the
    /// end of the attempt as the last one.
    type Watch: Stream<Item = Snapshot> + Send + Unpin + 'static;
    /// A position in the list of all jobs, which clients get as text. The default is the start.
    type Cursor: Default + Display + FromStr<Err: Into<Problem>> + Send;
    /// A refusal.
    type Error: Into<Problem> + Send;

    /// Returns a job's vital state.
    fn snapshot(&self, id: JobId) -> impl Future<Output = Result<Snapshot, Self::Error>> + Send;

    /// Returns all of a job but its payload. Waits for no user code.
    fn details(&self, id: JobId) -> impl Future<Output = Result<Details, Self::Error>> + Send;

    /// Calls `f` with all of a job.
    fn read<R: Send + 'static>(
        &self,
        id: JobId,
        f: impl FnOnce(Record<&Self::Payload>) -> R + Send,
    ) -> impl Future<Output = Result<R, Self::Error>> + Send;

    /// Follows a job.
    fn watch(&self, id: JobId) -> impl Future<Output = Result<Self::Watch, Self::Error>> + Send;

    /// Returns up to `n` jobs from a cursor on, and the cursor of the next ones if there are any.
    fn page(
        &self,
        cursor: Self::Cursor,
        n: usize,
    ) -> impl Future<Output = Result<Part<Self::Cursor>, Self::Error>> + Send;

    /// Returns the number of jobs of each status.
    fn counts(&self) -> impl Future<Output = Result<Counts, Self::Error>> + Send;

    /// Asks a job to stop, as [`JobRegistry::request_stop`] does, and cancels a job that has been
    /// asked before.
    fn stop(&self, id: JobId, reason: &str)
    -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Cancels a job, as [`JobRegistry::cancel_because`] does.
    fn cancel(
        &self,
        id: JobId,
        reason: &str,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Begins the next attempt of a job, as [`JobRegistry::retry`] does, and returns its owner.
    fn retry(&self, id: JobId) -> impl Future<Output = Result<Self::Job, Self::Error>> + Send;

    /// Returns the registry's time, and the wall-clock time that it stands for.
    fn clock(&self) -> WallClock;
}

/// A part of the list of all jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<C> {
    /// The jobs, each as it was when it was read.
    pub jobs: Vec<Snapshot>,
    /// Start of the next part. `None` after the last one.
    pub next: Option<C>,
}

/// A registry's present time, by which its times are converted into wall-clock times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    now: Duration,
    at: SystemTime,
}

impl WallClock {
    /// Returns a clock on which `now` of the registry's time is `at`.
    #[must_use]
    pub fn new(now: Duration, at: SystemTime) -> Self {
        Self { now, at }
    }

    /// Returns the wall-clock time of the registry's present.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.at
    }

    /// Converts a time of the registry into wall-clock time. A time that does not fit is
    /// replaced by the start of 1970 or the end of 9999.
    ///
    /// ```
    /// use job_registry_axum::WallClock;
    /// use std::time::{Duration, SystemTime};
    ///
    /// let clock = WallClock::new(Duration::from_secs(9), SystemTime::UNIX_EPOCH);
    /// let later = clock.system_time(Duration::from_secs(12));
    /// assert_eq!(later, SystemTime::UNIX_EPOCH + Duration::from_secs(3));
    /// assert_eq!(clock.system_time(Duration::ZERO), SystemTime::UNIX_EPOCH);
    /// ```
    #[must_use]
    pub fn system_time(&self, time: Duration) -> SystemTime {
        let later = time.saturating_sub(self.now);
        let earlier = self.now.saturating_sub(time);
        let time = self.at.checked_add(later).unwrap_or_else(Time::latest);
        let time = time.checked_sub(earlier);
        time.map_or(SystemTime::UNIX_EPOCH, |time| {
            time.max(SystemTime::UNIX_EPOCH)
        })
    }
}

impl<T: Send + Sync + 'static> Registry for JobRegistry<T> {
    type Payload = T;
    type Job = Job<T>;
    type Watch = Watch<T>;
    type Cursor = Cursor;
    type Error = Error;

    async fn snapshot(&self, id: JobId) -> Result<Snapshot, Error> {
        Ok(self.snapshot(id)?)
    }

    async fn details(&self, id: JobId) -> Result<Details, Error> {
        Ok(self.details(id)?)
    }

    async fn read<R: Send + 'static>(
        &self,
        id: JobId,
        f: impl FnOnce(Record<&T>) -> R + Send,
    ) -> Result<R, Error> {
        Ok(self.read(id, f)?)
    }

    async fn watch(&self, id: JobId) -> Result<Watch<T>, Error> {
        Ok(self.watch(id)?)
    }

    async fn page(&self, cursor: Cursor, n: usize) -> Result<Part<Cursor>, Error> {
        let page = self.page(cursor, n);
        Ok(Part {
            jobs: page.jobs,
            next: page.next,
        })
    }

    async fn counts(&self) -> Result<Counts, Error> {
        Ok(self.counts())
    }

    async fn stop(&self, id: JobId, reason: &str) -> Result<(), Error> {
        match self.request_stop(id, reason) {
            Err(StepError::Stopping) => Ok(self.cancel_because(id, reason)?),
            other => Ok(other.map(drop)?),
        }
    }

    async fn cancel(&self, id: JobId, reason: &str) -> Result<(), Error> {
        Ok(self.cancel_because(id, reason)?)
    }

    async fn retry(&self, id: JobId) -> Result<Job<T>, Error> {
        Ok(self.retry(id)?)
    }

    fn clock(&self) -> WallClock {
        let now = self.now();
        WallClock::new(now, self.system_time(now))
    }
}
