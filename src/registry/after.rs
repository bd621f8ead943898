//! What comes after an attempt: removal, the next attempt, and the verdict on those that hang.

use super::JobRegistry;
use crate::error::{RemoveError, RetryError};
use crate::{Job, JobId, Snapshot, Swept};
use std::time::Duration;

impl<T: Send + 'static> JobRegistry<T> {
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
        self.call_to_lock("remove_after", id, |inner, found| {
            inner.remove_after(found, delay)
        })
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
    /// If the hook, a waker or a subscriber does. The job is removed all the same, its payload is dropped, and the panic is counted
    /// in [`removal_panics`](Self::removal_panics).
    pub fn remove(&self, id: JobId) -> Result<T, RemoveError> {
        self.call_to_lock("remove", id, |inner, found| inner.remove(found))
    }

    /// Removes every job whose removal is due when the sweep begins. Payloads are dropped, and the hook runs, on this thread.
    ///
    /// A panic in the hook, in a payload's drop, in a waker or in a subscriber is caught, reported in [`Swept`], and counted
    /// in [`removal_panics`](Self::removal_panics); the sweep goes on.
    ///
    /// # Locking
    ///
    /// Never waits for a job's lock: one that is held is left to the next sweep. Hook and drops run under no lock;
    /// therefore nothing is removed on a thread that holds a job's lock. Nor is it within another sweep of this registry, from a
    /// hook or a drop: the other one goes on.
    ///
    /// ```
    /// use job_registry::{JobRegistry, LookupError, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let jobs = JobRegistry::builder().clock(clock.clone()).retention(Duration::from_secs(60)).build();
    /// let id = jobs.register("deck").unwrap().detach();
    /// jobs.cancel(id)?;
    /// assert_eq!(jobs.sweep().removed, 0);
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(jobs.sweep().removed, 1);
    /// assert_eq!(jobs.snapshot(id), Err(LookupError::Gone));
    /// # Ok::<(), job_registry::StepError>(())
    /// ```
    #[allow(clippy::must_use_candidate)] // what was swept is of interest to few
    pub fn sweep(&self) -> Swept {
        self.inner.sweep()
    }

    /// Starts the next attempt of a failed, cancelled or [stalled](Self::stalled) job: pending, at 0 %,
    /// with the payload as it is. The old attempt's writers get `Superseded` from now on, and its
    /// pending removal is void. A stalled job is failed first, as [`fail_stalled`](Self::fail_stalled) does it: for an
    /// instant others may see it failed.
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
        self.call_to_lock("retry", id, |inner, found| {
            inner.retry(found, |target| Job::new(self.clone(), target))
        })
    }

    /// The running jobs whose last heartbeat is older than the builder's `stall_after`. None where
    /// that was not set. A pending job never stalls.
    ///
    /// # Locking
    ///
    /// None.
    #[must_use]
    pub fn stalled(&self) -> Vec<Snapshot> {
        let mut stalled = Vec::new();
        // Not `collect`, which asks for one after the other: the walk's own loops are twice as fast.
        self.inner.stalled().for_each(|seen| stalled.push(seen));
        stalled
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
    #[allow(clippy::must_use_candidate)] // the verdict is what is wanted, the list to some
    pub fn fail_stalled(&self) -> Vec<Snapshot> {
        self.inner.fail_stalled()
    }
}
