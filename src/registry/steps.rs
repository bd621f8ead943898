//! The steps of a live job, and its lock, by id.

use super::JobRegistry;
use crate::error::{LockError, StepError};
use crate::guard::JobGuard;
use crate::observe::refused;
use crate::word::Ending;
use crate::{JobId, Progress};

impl<T: Send + 'static> JobRegistry<T> {
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
        self.call_to_lock("start", id, |inner, found| inner.start(found))
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
        refused("advance", id, self.inner.advance_by_id(id, progress))
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
        refused("heartbeat", id, self.inner.heartbeat_by_id(id))
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
        self.call_to_lock("complete", id, |inner, found| {
            inner.end(found, Ending::Completed, None)
        })
    }

    /// Ends a pending or running job with an error. Its progress stays where it was.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete), except that a pending job is failed, too.
    ///
    /// # Locking
    ///
    /// As there.
    pub fn fail(&self, id: JobId, reason: impl Into<String>) -> Result<(), StepError> {
        self.call_to_lock("fail", id, |inner, found| {
            inner.end(found, Ending::Failed, Some(reason.into()))
        })
    }

    /// Ends a pending or running job on request. Its worker learns of it from the `Ended` error of its next step;
    /// a task of [`spawn`](Self::spawn) is dropped at its next `await`.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete), except that a pending job is cancelled, too.
    ///
    /// # Locking
    ///
    /// As there.
    pub fn cancel(&self, id: JobId) -> Result<(), StepError> {
        self.call_to_lock("cancel", id, |inner, found| {
            inner.end(found, Ending::Cancelled, None)
        })
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
        self.call_to_lock("lock", id, |inner, found| inner.guard(found))
    }

    /// As [`lock`](Self::lock), but never waits.
    ///
    /// # Errors
    ///
    /// As there, and [`LockError::Busy`] while another thread holds the lock.
    pub fn try_lock(&self, id: JobId) -> Result<JobGuard<'_, T>, LockError> {
        self.call_to_lock("try_lock", id, |inner, found| inner.try_guard(found))
    }

    /// Runs `f` on the payload of a live job, under its lock, as one step.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # Locking
    ///
    /// As there. `f` runs under the job's lock: keep it short.
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
        self.call_to_lock("update", id, |inner, found| inner.update(found, f))
    }
}
