//! [`JobGuard`]: exclusive access to the payload of a live job.

use crate::core::lookup::LockedJob;
use crate::sync::panics::contain;
use crate::telemetry::refused;
use crate::types::error::StepError;
use crate::types::id::JobId;
use crate::types::note::Note;
use crate::types::progress::Progress;
use crate::types::snapshot::Snapshot;
use crate::types::state_word::Ending;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// Exclusive access to the payload of a live job. Returned by [`JobRegistry::lock`] and
/// [`Job::lock`].
///
/// While it is held, no other call locks, ends, retries or removes the job. All other calls still
/// work: the job can be read by `snapshot`, advanced and heartbeated. An ending goes through the
/// guard and consumes it, so that an ended job's payload does not change.
///
/// A guard stays on its thread (`!Send`): a task that may move between threads cannot hold it
/// across an `await`. If another task does, the spawned jobs of its thread wait until the guard is
/// dropped, before they start and before they end. A thread may hold one guard at a time. If the
/// thread panics while it holds the guard, the job fails and the lock is released.
///
/// Leaking a guard (`std::mem::forget`) leaves the job locked for ever, and its thread unable to
/// lock another job.
///
/// [`JobRegistry::lock`]: crate::JobRegistry::lock
/// [`Job::lock`]: crate::Job::lock
///
/// ```
/// use job_registry::{JobRegistry, Status};
///
/// let jobs = JobRegistry::new();
/// let job = jobs.register(vec!["intro.png"])?;
/// job.start()?;
/// let mut pages = job.lock()?;
/// pages.push("summary.png");
/// pages.complete()?;
/// assert_eq!(jobs.snapshot(job.id())?.status(), Status::Completed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the lock is released when the guard is dropped"]
pub struct JobGuard<'a, T> {
    job: LockedJob<'a, T>,
    /// Whether the payload may have been changed since the last revision.
    written: bool,
    was_panicking: bool,
}

impl<'a, T> JobGuard<'a, T> {
    /// Makes a guard of a job that was found live under its lock.
    #[inline(always)]
    pub(crate) fn new(job: LockedJob<'a, T>) -> Self {
        Self {
            job,
            written: false,
            was_panicking: std::thread::panicking(),
        }
    }

    /// Returns the job's id.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.job.id.id()
    }

    /// Returns the job as it is now.
    #[must_use]
    #[allow(clippy::missing_panics_doc)] // it does not panic
    pub fn snapshot(&self) -> Snapshot {
        let snapshot = self.job.slot.snapshot(self.job.id);
        snapshot.expect("a locked job is not removed")
    }

    /// Starts the job.
    ///
    /// # Errors
    ///
    /// Returns [`StepError::AlreadyStarted`] if the job is running or stopping.
    pub fn start(&mut self) -> Result<(), StepError> {
        let started = self.job.start();
        refused("start", self.id(), started)
    }

    /// Raises the progress; see [`JobRegistry::advance`](crate::JobRegistry::advance).
    ///
    /// # Errors
    ///
    /// Returns [`StepError::NotStarted`] if the job is pending, and [`StepError::Stopping`] if a
    /// stop was requested.
    pub fn advance(&self, progress: Progress) -> Result<Progress, StepError> {
        let advanced = self.job.job_ref().advance(progress);
        refused("advance", self.id(), advanced)
    }

    /// Records a heartbeat.
    ///
    /// # Errors
    ///
    /// Returns no error while the guard is held. The type is that of
    /// [`JobRegistry::heartbeat`](crate::JobRegistry::heartbeat).
    pub fn heartbeat(&self) -> Result<(), StepError> {
        self.job.job_ref().heartbeat()
    }

    /// Replaces the job's note; see [`JobRegistry::note`](crate::JobRegistry::note).
    ///
    /// # Errors
    ///
    /// Returns no error while the guard is held. The type is that of
    /// [`JobRegistry::note`](crate::JobRegistry::note).
    pub fn note(&mut self, text: impl Into<String>) -> Result<(), StepError> {
        let noted = self.job.note(Note::new(text));
        refused("note", self.id(), noted)
    }

    /// Raises the progress and replaces the note, at one instant; see
    /// [`JobRegistry::report`](crate::JobRegistry::report).
    ///
    /// # Errors
    ///
    /// Returns [`StepError::NotStarted`] if the job is pending, and [`StepError::Stopping`] if a
    /// stop was requested.
    pub fn report(&mut self, progress: Progress, text: impl Into<String>) -> Result<(), StepError> {
        let reported = self.job.report(progress, Note::new(text));
        refused("report", self.id(), reported)
    }

    /// Completes the job, at 100 %, and releases the lock.
    ///
    /// # Errors
    ///
    /// Returns [`StepError::NotStarted`] if the job is pending. It stays pending, and the lock is
    /// released.
    pub fn complete(mut self) -> Result<(), StepError> {
        self.revise();
        let completed = self.job.end(Ending::Completed, None);
        refused("complete", self.id(), completed)
    }

    /// Fails the job and releases the lock.
    pub fn fail(mut self, reason: impl Into<String>) {
        // Before anything is changed: `into` is user code.
        let reason = reason.into();
        self.revise();
        let ended = self.job.end(Ending::Failed, Some(reason));
        debug_assert!(ended.is_ok(), "a locked live job can be failed");
    }

    /// Cancels the job and releases the lock.
    pub fn cancel(self) {
        self.cancel_for(None);
    }

    /// Cancels the job for a reason and releases the lock.
    pub fn cancel_because(self, reason: impl Into<String>) {
        // Before anything is changed: `into` is user code.
        let reason = reason.into();
        self.cancel_for(Some(reason));
    }

    fn cancel_for(mut self, reason: Option<String>) {
        self.revise();
        let ended = self.job.end(Ending::Cancelled, reason);
        debug_assert!(ended.is_ok(), "a locked live job can be cancelled");
    }

    /// Counts the change of a payload that has been written. An ending does so before it: a watcher
    /// that has seen the end has seen the last version.
    #[inline]
    fn revise(&mut self) {
        if std::mem::take(&mut self.written) {
            drop(self.job.slot.revise());
        }
    }

    #[cold]
    fn fail_unwound(&mut self) {
        let reason = "panicked: while the job's lock was held".to_owned();
        // Refused if the guard has ended the job before the panic. A clock that panics must not end
        // the process.
        contain(|| self.job.end(Ending::Failed, Some(reason)));
    }
}

impl<T> Deref for JobGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        let payload = self.job.payload.as_ref();
        payload.expect("a live job has a payload")
    }
}

impl<T> DerefMut for JobGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.written = true;
        let payload = self.job.payload.as_mut();
        payload.expect("a live job has a payload")
    }
}

impl<T> Drop for JobGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.revise();
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
