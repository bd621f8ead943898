//! [`JobRegistry`]: the calls by id.

use crate::builder::Builder;
use crate::error::{
    LockError, LookupError, ReadError, RegisterError, RemoveError, RetryError, StepError,
};
use crate::guard::JobGuard;
use crate::inner::Shared;
use crate::job::Job;
use crate::removal::Swept;
use crate::snapshot::{Counts, Record};
use crate::sync::Ordering;
use crate::word::Ending;
use crate::{JobId, Progress, Snapshot, Watch};
use std::fmt;
use std::time::{Duration, SystemTime};

/// A registry of long-running jobs. Cheap to clone; clones are the same registry.
///
/// Every call is synchronous and works from any thread, inside and outside of any runtime. See the
/// [crate docs](crate) for the invariants, and each call for the lock it takes.
///
/// When the last clone and the last [`Job`] are gone the registry is dropped with all payloads;
/// [watches](Watch) finish.
pub struct JobRegistry<T> {
    pub(crate) inner: Shared<T>,
}

impl<T> Clone for JobRegistry<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<T: Send + 'static> JobRegistry<T> {
    /// A registry with the defaults of its [builder](JobRegistry::builder): up to 1 048 576 jobs,
    /// ended jobs are removed after an hour, no job counts as stalled.
    ///
    /// # Panics
    ///
    /// If the operating system's random generator fails.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A registry with other limits, another clock, or a removal hook.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    /// use std::time::Duration;
    ///
    /// let jobs = JobRegistry::builder()
    ///     .capacity(1_000)
    ///     .retention(Duration::from_secs(300))
    ///     .stall_after(Duration::from_secs(30))
    ///     .on_remove(|record| println!("{} is gone", record.snapshot.id()))
    ///     .build();
    /// # let _ = jobs.register(()).unwrap();
    /// ```
    #[must_use]
    pub fn builder() -> Builder<T> {
        Builder::new()
    }

    /// Adds a job, pending, and returns its owner.
    ///
    /// Where no reaper is attached, this also removes up to two jobs that are due, so that memory stays
    /// bounded where nobody calls [`sweep`](Self::sweep).
    ///
    /// # Errors
    ///
    /// [`RegisterError::Full`] at capacity and [`RegisterError::Closed`] during shutdown. Both give the
    /// payload back.
    ///
    /// # Locking
    ///
    /// No job's lock; works under a guard.
    ///
    /// ```
    /// use job_registry::{JobRegistry, RegisterError};
    ///
    /// let jobs = JobRegistry::builder().capacity(1).build();
    /// let job = jobs.register("first").unwrap();
    /// assert_eq!(jobs.register("second").unwrap_err().into_payload(), "second");
    /// # drop(job);
    /// ```
    pub fn register(&self, payload: T) -> Result<Job<T>, RegisterError<T>> {
        // ORDERING: Relaxed. Whether a reaper has just come or gone makes no difference.
        if self.inner.reapers.load(Ordering::Relaxed) == 0 {
            self.inner.sweep_at_most(2);
        }
        let target = self.inner.register(payload)?;
        Ok(Job::new(self.clone(), target))
    }

    /// Moves a pending job to running. Of several starters exactly one succeeds. Counts as a heartbeat.
    ///
    /// # Errors
    ///
    /// [`StepError::AlreadyStarted`] for all but the first; [`StepError::Ended`] where the job has
    /// ended; and as every call by id: [`NotFound`](StepError::NotFound), [`Gone`](StepError::Gone).
    ///
    /// # Locking
    ///
    /// Waits for this job's lock. [`StepError::WouldDeadlock`] on a thread that holds a job's lock
    /// (use the guard's [`start`](JobGuard::start)).
    pub fn start(&self, id: JobId) -> Result<(), StepError> {
        self.inner.start(self.inner.find(id)?)
    }

    /// Raises the progress of a running job, and returns what stands now. Progress never goes down: a
    /// smaller value leaves the larger one standing.
    ///
    /// # Errors
    ///
    /// [`StepError::NotStarted`] for a pending job, [`StepError::Ended`] for an ended one.
    ///
    /// # Locking
    ///
    /// None: it never waits, not even while the job's lock is held, by whomever.
    ///
    /// ```
    /// use job_registry::{JobRegistry, Progress};
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register(()).unwrap();
    /// job.start()?;
    /// jobs.advance(job.id(), Progress::ratio(6, 10).unwrap())?;
    /// // An update that comes late does not turn it back.
    /// let stands = jobs.advance(job.id(), Progress::ratio(5, 10).unwrap())?;
    /// assert_eq!(stands, Progress::ratio(6, 10).unwrap());
    /// # Ok::<(), job_registry::StepError>(())
    /// ```
    pub fn advance(&self, id: JobId, progress: Progress) -> Result<Progress, StepError> {
        self.inner.advance(self.inner.find(id)?, progress)
    }

    /// Records that the job is alive, now.
    ///
    /// A beat that returned `Ok` before a stall verdict prevents it; one after it gets an error.
    /// Beating from the loop that does the work shows that the work goes on; beating from a timer shows only
    /// that the timer does.
    ///
    /// # Errors
    ///
    /// [`StepError::Ended`] once the job has ended, and nothing is recorded.
    ///
    /// # Locking
    ///
    /// None.
    pub fn heartbeat(&self, id: JobId) -> Result<(), StepError> {
        self.inner.heartbeat(self.inner.find(id)?)
    }

    /// Ends a running job well, at 100 %. Of several endings exactly the first wins.
    ///
    /// # Errors
    ///
    /// [`StepError::NotStarted`] for a pending job, [`StepError::Ended`] where another ending won.
    ///
    /// # Locking
    ///
    /// Waits for this job's lock. [`StepError::WouldDeadlock`] on a thread that holds a job's lock
    /// (use the guard's [`complete`](JobGuard::complete)).
    pub fn complete(&self, id: JobId) -> Result<(), StepError> {
        self.inner
            .end(self.inner.find(id)?, Ending::Completed, None)
    }

    /// Ends a pending or running job with an error. Its progress stays where it was.
    ///
    /// # Errors and locking
    ///
    /// As [`complete`](Self::complete), except that a pending job is failed, too.
    pub fn fail(&self, id: JobId, reason: impl Into<String>) -> Result<(), StepError> {
        self.inner
            .end(self.inner.find(id)?, Ending::Failed, Some(reason.into()))
    }

    /// Ends a pending or running job on request. Its worker learns of it from the `Ended` error of its next step;
    /// a task of [`spawn`](Self::spawn) is dropped at its next `await`.
    ///
    /// # Errors and locking
    ///
    /// As [`complete`](Self::complete), except that a pending job is cancelled, too.
    pub fn cancel(&self, id: JobId) -> Result<(), StepError> {
        self.inner
            .end(self.inner.find(id)?, Ending::Cancelled, None)
    }

    /// Takes the lock of a live job, for exclusive access to its payload. The job is neither ended nor
    /// removed by others while the guard is held.
    ///
    /// # Errors
    ///
    /// [`LockError::Ended`] for an ended job (which is [read](Self::read)).
    ///
    /// # Locking
    ///
    /// Waits for this job's lock. [`LockError::WouldDeadlock`], at once, on a thread that holds the lock
    /// of this or any other job of any registry.
    ///
    /// ```
    /// use job_registry::{JobRegistry, LockError};
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register(vec![1]).unwrap();
    /// let mut numbers = jobs.lock(job.id())?;
    /// numbers.push(2);
    /// assert_eq!(jobs.lock(job.id()).unwrap_err(), LockError::WouldDeadlock);
    /// # Ok::<(), LockError>(())
    /// ```
    pub fn lock(&self, id: JobId) -> Result<JobGuard<'_, T>, LockError> {
        self.inner.guard(self.inner.find(id)?)
    }

    /// As [`lock`](Self::lock), but never waits.
    ///
    /// # Errors
    ///
    /// As there, and [`LockError::Busy`] while another thread holds the lock.
    pub fn try_lock(&self, id: JobId) -> Result<JobGuard<'_, T>, LockError> {
        self.inner.try_guard(self.inner.find(id)?)
    }

    /// Runs `f` on the payload of a live job, under its lock, as one step.
    ///
    /// # Errors and locking
    ///
    /// As [`lock`](Self::lock). `f` runs under the job's lock: keep it short.
    ///
    /// # Panics
    ///
    /// If `f` does: the job fails with the panic's message, the lock is released, and the panic goes on.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register(Vec::new()).unwrap();
    /// let pages = jobs.update(job.id(), |pages| {
    ///     pages.push("intro.png");
    ///     pages.len()
    /// })?;
    /// assert_eq!(pages, 1);
    /// # Ok::<(), job_registry::LockError>(())
    /// ```
    pub fn update<R>(&self, id: JobId, f: impl FnOnce(&mut T) -> R) -> Result<R, LockError> {
        Ok(self.lock(id)?.update(f))
    }

    /// The vital state of a job, all of one instant.
    ///
    /// # Errors
    ///
    /// [`LookupError::NotFound`] for an id that this registry never issued, [`LookupError::Gone`] for
    /// a job that has been removed.
    ///
    /// # Locking
    ///
    /// None: it never waits, not even while the job's lock is held.
    pub fn snapshot(&self, id: JobId) -> Result<Snapshot, LookupError> {
        self.inner.snapshot(self.inner.find(id)?)
    }

    /// The job with a clone of its payload, all of one instant.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotFound`], [`ReadError::Gone`].
    ///
    /// # Locking
    ///
    /// Waits for this job's lock, and clones the payload under it. [`ReadError::WouldDeadlock`] on a
    /// thread that holds a job's lock.
    pub fn get(&self, id: JobId) -> Result<Record<T>, ReadError>
    where
        T: Clone,
    {
        self.read(id, |record| record.map(T::clone))
    }

    /// Runs `f` on the job and its payload, live or ended, all of one instant.
    ///
    /// # Errors and locking
    ///
    /// As [`get`](Self::get); `f` runs under the job's lock. A panic in `f` goes on to the caller and changes
    /// nothing: `f` has only seen the job.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register(vec!["intro.png"]).unwrap();
    /// let first = jobs.read(job.id(), |record| record.payload[0])?;
    /// assert_eq!(first, "intro.png");
    /// # Ok::<(), job_registry::ReadError>(())
    /// ```
    pub fn read<R>(&self, id: JobId, f: impl FnOnce(Record<&T>) -> R) -> Result<R, ReadError> {
        let target = self.inner.find(id)?;
        let locked = self.inner.lock::<ReadError>(target)?;
        let record = locked.record(&self.inner, target)?;
        Ok(f(record))
    }

    /// Has the job removed no earlier than `delay` after the later of this call and the job's end. The
    /// latest call wins over earlier ones and over the builder's `retention`. `Duration::MAX` means never.
    ///
    /// Removal is done by [`sweep`](Self::sweep), and so by the reaper.
    ///
    /// # Errors
    ///
    /// [`RemoveError::NotFound`], [`RemoveError::Gone`].
    ///
    /// # Locking
    ///
    /// Waits for this job's lock. [`RemoveError::WouldDeadlock`] on a thread that holds a job's lock.
    pub fn remove_after(&self, id: JobId, delay: Duration) -> Result<(), RemoveError> {
        self.inner.remove_after(self.inner.find(id)?, delay)
    }

    /// Removes an ended job now and returns its payload. The removal hook has run when it returns.
    ///
    /// # Errors
    ///
    /// [`RemoveError::Live`] for a pending or running job.
    ///
    /// # Locking
    ///
    /// As [`remove_after`](Self::remove_after); the hook runs after the lock has been released.
    ///
    /// # Panics
    ///
    /// If the hook does. The job is removed all the same.
    pub fn remove(&self, id: JobId) -> Result<T, RemoveError> {
        self.inner.remove(self.inner.find(id)?)
    }

    /// Removes every job whose removal is due. Payloads are dropped, and the hook runs, on this thread.
    ///
    /// A panic in the hook or in a payload's drop is caught, reported in [`Swept`], and counted
    /// in [`removal_panics`](Self::removal_panics); the sweep goes on.
    ///
    /// # Locking
    ///
    /// Never waits for a job's lock: one that is held is left to the next sweep. Hook and drops run under no lock;
    /// therefore nothing is removed on a thread that holds a job's lock.
    ///
    /// ```
    /// use job_registry::{JobRegistry, LookupError};
    /// use std::time::Duration;
    ///
    /// let jobs = JobRegistry::builder().retention(Duration::ZERO).build();
    /// let id = jobs.register("deck").unwrap().detach();
    /// jobs.cancel(id)?;
    /// # std::thread::sleep(Duration::from_millis(2));
    /// assert_eq!(jobs.sweep().removed, 1);
    /// assert_eq!(jobs.snapshot(id), Err(LookupError::Gone));
    /// # Ok::<(), job_registry::StepError>(())
    /// ```
    pub fn sweep(&self) -> Swept {
        self.inner.sweep()
    }

    /// Starts the next attempt of a failed, cancelled or [stalled](Self::stalled) job: pending, at 0 %,
    /// with the payload as it is. The old attempt's writers get `Superseded` from now on, and its
    /// pending removal is void. A stalled job is failed first.
    ///
    /// # Errors
    ///
    /// [`RetryError::NotRetryable`] for a completed job and for a live one that is not stalled,
    /// [`RetryError::AttemptsExhausted`] after 65 535 attempts, [`RetryError::Closed`] during shutdown.
    ///
    /// # Locking
    ///
    /// Waits for this job's lock. [`RetryError::WouldDeadlock`] on a thread that holds a job's lock.
    ///
    /// ```
    /// use job_registry::{JobRegistry, StepError};
    ///
    /// let jobs = JobRegistry::new();
    /// let first = jobs.register("deck").unwrap();
    /// first.fail("renderer crashed")?;
    /// let second = jobs.retry(first.id())?;
    /// second.start()?;
    /// assert_eq!(first.heartbeat(), Err(StepError::Superseded));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retry(&self, id: JobId) -> Result<Job<T>, RetryError> {
        let target = self.inner.retry(self.inner.find(id)?)?;
        Ok(Job::new(self.clone(), target))
    }

    /// The running jobs whose last heartbeat is older than the builder's `stall_after`. None where
    /// that was not set. A pending job never stalls.
    ///
    /// # Locking
    ///
    /// None.
    #[must_use]
    pub fn stalled(&self) -> Vec<Snapshot> {
        self.inner.stalled().collect()
    }

    /// Fails the [stalled](Self::stalled) jobs (`stalled: no heartbeat for …`), and returns them as they
    /// ended.
    ///
    /// The verdict is exact: a heartbeat that returned `Ok` before it prevents it, one after it gets an error.
    ///
    /// # Locking
    ///
    /// Never waits: a job whose lock is held is left to the next call. Nothing happens on a thread
    /// that holds a job's lock.
    pub fn fail_stalled(&self) -> Vec<Snapshot> {
        self.inner.fail_stalled()
    }

    /// Follows a job: see [`Watch`].
    ///
    /// # Errors
    ///
    /// [`LookupError::NotFound`], [`LookupError::Gone`].
    ///
    /// # Locking
    ///
    /// None of a job.
    pub fn watch(&self, id: JobId) -> Result<Watch<T>, LookupError> {
        Watch::new(&self.inner, self.inner.find(id)?)
    }

    /// All jobs, each as it is when the walk comes by: a job that comes or goes meanwhile may or may not
    /// be seen, every other exactly once. The order means nothing.
    ///
    /// # Locking
    ///
    /// None.
    pub fn iter(&self) -> impl Iterator<Item = Snapshot> {
        self.inner.snapshots()
    }

    /// How many jobs there are.
    ///
    /// # Locking
    ///
    /// None.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.table.live()
    }

    /// Whether there is no job.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many jobs there are of each status, by a [walk](Self::iter).
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.iter().for_each(|seen| counts.add(seen.status()));
        counts
    }

    /// The most jobs there can be.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.inner.table.capacity()
    }

    /// The registry's time: since it was built. What [`Snapshot::last_heartbeat`] and
    /// [`Times`](crate::Times) are to be compared with, by `saturating_sub`.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.inner.timeline.elapsed()
    }

    /// The wall-clock time of an instant of the registry, for display: what the system's clock said when
    /// the registry was built, plus `at`.
    #[must_use]
    pub fn system_time(&self, at: Duration) -> SystemTime {
        self.inner.timeline.system_time(at)
    }

    /// How many removals met a panic in the hook or in a payload's drop, since the registry was built.
    #[must_use]
    pub fn removal_panics(&self) -> u64 {
        // ORDERING: Relaxed. A count.
        self.inner.removal_panics.load(Ordering::Relaxed)
    }
}

impl<T: Send + 'static> Default for JobRegistry<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for JobRegistry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRegistry")
            .field("len", &self.inner.table.live())
            .field("capacity", &self.inner.table.capacity())
            .finish_non_exhaustive()
    }
}
