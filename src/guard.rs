//! [`JobGuard`]: exclusive access to the payload of a live job.

use crate::error::{LockError, StepError};
use crate::inner::{Found, Inner};
use crate::locked::Locked;
use crate::observe::refused;
use crate::slot::Slot;
use crate::target::Target;
use crate::thread::{Panics, contain, panic_message};
use crate::word::Ending;
use crate::{JobId, Progress, Snapshot, Status};
use std::any::Any;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::resume_unwind;

/// Exclusive access to the payload of a live job. From [`JobRegistry::lock`] or [`Job::lock`].
///
/// While it is held, nobody else locks, ends, retries or removes the job; everybody else still sees it,
/// advances it and records its heartbeats. An ending therefore goes through the guard, and uses it
/// up: an ended job's payload does not change.
///
/// It stays on its thread (`!Send`), so that it cannot be held across an `await` in a task that a
/// runtime may move, and its thread may hold no second one. If the thread panics while it holds the guard,
/// the job fails and the lock is free.
///
/// Leaking a guard (`std::mem::forget`) leaves the job locked for good, and its thread with it.
///
/// [`JobRegistry::lock`]: crate::JobRegistry::lock
/// [`Job::lock`]: crate::Job::lock
///
/// ```
/// use job_registry::{JobRegistry, Status};
///
/// let jobs = JobRegistry::new();
/// let job = jobs.register(vec!["intro.png"]).unwrap();
/// job.start()?;
/// let mut pages = job.lock()?;
/// pages.push("summary.png");
/// pages.complete()?;
/// assert_eq!(jobs.snapshot(job.id())?.status(), Status::Completed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the lock is released when the guard is dropped"]
pub struct JobGuard<'a, T> {
    inner: &'a Inner<T>,
    target: Target,
    locked: Locked<'a, T>,
    was_panicking: bool,
}

impl<'a, T> JobGuard<'a, T> {
    /// Of a live job only; and `target` is fixed to its attempt, which cannot change any more.
    // A guard that is handed on through memory is written in parts and read in whole, for which a processor has to wait:
    // a lock took twice as long.
    #[inline(always)]
    pub(crate) fn new(
        inner: &'a Inner<T>,
        target: Target,
        locked: Locked<'a, T>,
    ) -> Result<Self, LockError> {
        let word = locked.word();
        target.admit(word)?;
        match word.status() {
            Some(status) if status.is_ended() => Err(LockError::Ended(status)),
            None => Err(LockError::Gone),
            Some(_) => Ok(Self {
                inner,
                target: Target {
                    attempt: Some(word.attempt()),
                    ..target
                },
                locked,
                was_panicking: std::thread::panicking(),
            }),
        }
    }

    /// The job.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.target.id()
    }

    /// The job as it is now.
    #[must_use]
    #[allow(clippy::missing_panics_doc)] // it does not
    pub fn snapshot(&self) -> Snapshot {
        self.locked
            .slot
            .snapshot(self.target)
            .expect("a locked job is not removed")
    }

    /// Starts the job.
    ///
    /// # Errors
    ///
    /// [`StepError::AlreadyStarted`] where it runs already.
    pub fn start(&mut self) -> Result<(), StepError> {
        let started = self.inner.start_locked(&mut self.locked, self.target);
        refused("start", self.target.id(), started)
    }

    /// Raises the progress; see [`JobRegistry::advance`](crate::JobRegistry::advance).
    ///
    /// # Errors
    ///
    /// [`StepError::NotStarted`] where the job is pending.
    pub fn advance(&self, progress: Progress) -> Result<Progress, StepError> {
        let advanced = self.locked.slot.advance(self.target, progress);
        refused("advance", self.target.id(), advanced)
    }

    /// Records a heartbeat.
    ///
    /// # Errors
    ///
    /// None while the guard is held; the type is that of [`JobRegistry::heartbeat`](crate::JobRegistry::heartbeat).
    pub fn heartbeat(&self) -> Result<(), StepError> {
        self.inner.heartbeat((self.locked.slot, self.target))
    }

    /// Completes the job, at 100 %, and releases the lock.
    ///
    /// # Errors
    ///
    /// [`StepError::NotStarted`] where the job is pending. It stays so, and the lock is released.
    pub fn complete(mut self) -> Result<(), StepError> {
        let completed = self.end(Ending::Completed, None);
        refused("complete", self.target.id(), completed)
    }

    /// Fails the job and releases the lock.
    pub fn fail(mut self, reason: impl Into<String>) {
        // Evaluated before anything is touched: `into` is the caller's code.
        let reason = reason.into();
        let ended = self.end(Ending::Failed, Some(reason));
        debug_assert!(ended.is_ok(), "a locked live job can be failed");
    }

    /// Cancels the job and releases the lock.
    pub fn cancel(mut self) {
        let ended = self.end(Ending::Cancelled, None);
        debug_assert!(ended.is_ok(), "a locked live job can be cancelled");
    }

    fn end(&mut self, ending: Ending, reason: Option<String>) -> Result<(), StepError> {
        self.inner
            .end_locked(&mut self.locked, self.target, ending, reason)
    }

    #[cold]
    fn fail_unwound(&mut self) {
        let reason = "panicked: while the job's lock was held".to_owned();
        // Refused where the guard itself has ended the job before the panic. A clock that panics must not end the process.
        contain(|| self.end(Ending::Failed, Some(reason)));
    }

    /// Fails the job for a panic in a closure, which goes on as it was when the lock has been released: not a waker's or a
    /// subscriber's, which is met on the way.
    #[cold]
    fn fail_for(mut self, panic: Box<dyn Any + Send>) -> ! {
        let reason = format!("panicked: {}", panic_message(&*panic));
        contain(move || {
            let _ = self.end(Ending::Failed, Some(reason));
        });
        resume_unwind(panic)
    }
}

impl<T> Deref for JobGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.locked
            .body
            .payload
            .as_ref()
            .expect("a live job has a payload")
    }
}

impl<T> DerefMut for JobGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.locked
            .body
            .payload
            .as_mut()
            .expect("a live job has a payload")
    }
}

impl<T> Drop for JobGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if std::thread::panicking() && !self.was_panicking {
            self.fail_unwound();
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for JobGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobGuard")
            .field("snapshot", &self.snapshot())
            .field("payload", &**self)
            .finish()
    }
}

impl<T> Inner<T> {
    /// Runs `f` on the payload; a panic in it fails the job, with its message, and goes on.
    #[inline]
    pub(crate) fn update<R>(
        &self,
        found: Found<'_, T>,
        f: impl FnOnce(&mut T) -> R,
    ) -> Result<R, LockError> {
        let mut guard = self.guard(found)?;
        let mut panics = Panics::default();
        let value = panics.catch(|| f(&mut guard));
        match (value, panics.take()) {
            (Some(value), _) => Ok(value),
            (None, panic) => guard.fail_for(panic.expect("it has panicked")),
        }
    }

    #[inline(always)]
    pub(crate) fn guard<'a>(
        &'a self,
        (slot, target): Found<'a, T>,
    ) -> Result<JobGuard<'a, T>, LockError> {
        if !crate::thread::holds_lock() {
            is_lockable(slot, target)?;
        }
        JobGuard::new(self, target, slot.lock()?)
    }

    pub(crate) fn try_guard<'a>(
        &'a self,
        (slot, target): Found<'a, T>,
    ) -> Result<JobGuard<'a, T>, LockError> {
        if let Some(locked) = slot.try_lock()? {
            return JobGuard::new(self, target, locked);
        }
        is_lockable(slot, target)?;
        Err(LockError::Busy)
    }
}

/// An early look spares a wait for the lock of a job that has ended anyway.
#[inline]
fn is_lockable<T>(slot: Slot<'_, T>, target: Target) -> Result<(), LockError> {
    let word = slot.state();
    target.admit(word)?;
    match word.status().filter(|status| Status::is_ended(*status)) {
        Some(ended) => Err(LockError::Ended(ended)),
        None => Ok(()),
    }
}
