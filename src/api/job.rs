//! [`Job`]: the owner's handle, fenced to one attempt.

use crate::api::guard::JobGuard;
use crate::api::registry::JobRegistry;
use crate::api::watch::Watch;
use crate::core::lookup::JobRef;
use crate::slots::fenced_id::FencedId;
use crate::sync::deferred::{defer_run, holds_lock};
use crate::sync::panics::contain;
use crate::telemetry::{Refusal, refused};
use crate::types::error::{LockError, LookupError, RemoveError, RetryError, StepError};
use crate::types::id::JobId;
use crate::types::note::Note;
use crate::types::progress::Progress;
use crate::types::snapshot::{Details, Snapshot};
use crate::types::state_word::Ending;
use crate::types::status::Status;
use std::fmt;
use std::time::Duration;

/// The single owner of one attempt of a job. Returned by [`JobRegistry::register`] and
/// [`JobRegistry::retry`].
///
/// Its calls are those of the registry, without the id and *fenced*. Once a later attempt has
/// begun, every write through this handle is refused with `Superseded`. A worker that resumes after
/// it was presumed dead therefore does no harm. Threads share a `Job` by reference or in an `Arc`.
///
/// If the owner is dropped before the job has ended, the job fails with the reason `abandoned`. If
/// the thread is unwinding, the reason is `panicked: the job's owner was unwound`. A destructor
/// cannot read the panic's message; [`update`](Self::update), [`run`](Self::run) and `spawn` record
/// it. If the thread holds a job's lock, the job fails when the lock is released.
/// [Detach](Job::detach) a job that is worked on by id.
///
/// ```
/// use job_registry::{JobRegistry, Status};
///
/// let jobs = JobRegistry::new();
/// let job = jobs.register("deck")?;
/// let id = job.id();
/// drop(job);
/// let record = jobs.get(id)?;
/// assert_eq!(record.snapshot.status(), Status::Failed);
/// assert_eq!(record.reason.as_deref(), Some("abandoned"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the job fails as abandoned when its owner is dropped"]
pub struct Job<T: Send + 'static> {
    registry: JobRegistry<T>,
    id: FencedId,
    owns: bool,
}

impl<T: Send + 'static> Job<T> {
    pub(crate) fn new(registry: JobRegistry<T>, id: FencedId) -> Self {
        Self {
            registry,
            id,
            owns: true,
        }
    }

    /// Returns the job's id, for clients.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.id.id()
    }

    /// Returns the number of the owned attempt. The first is 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.id.attempt.map_or(0, u32::from)
    }

    /// Returns the registry of the job.
    #[must_use]
    pub fn registry(&self) -> &JobRegistry<T> {
        &self.registry
    }

    /// Gives up the ownership and returns the id. The job stays and is worked on by id.
    #[must_use = "without its id a detached job cannot be reached"]
    pub fn detach(mut self) -> JobId {
        self.owns = false;
        self.id()
    }

    /// Calls [`JobRegistry::start`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::start`], and [`StepError::Superseded`].
    pub fn start(&self) -> Result<(), StepError> {
        self.call("start", |job| job.lock()?.start())
    }

    /// Calls [`JobRegistry::advance`], fenced. Takes no lock.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::advance`], and [`StepError::Superseded`].
    pub fn advance(&self, progress: Progress) -> Result<Progress, StepError> {
        self.call("advance", |job| job.advance(progress))
    }

    /// Calls [`JobRegistry::heartbeat`], fenced. Takes no lock.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::heartbeat`], and [`StepError::Superseded`].
    pub fn heartbeat(&self) -> Result<(), StepError> {
        self.call("heartbeat", JobRef::heartbeat)
    }

    /// Calls [`JobRegistry::note`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::note`], and [`StepError::Superseded`].
    pub fn note(&self, text: impl Into<String>) -> Result<(), StepError> {
        self.call("note", |job| {
            let note = Note::new(text);
            job.lock()?.note(note)
        })
    }

    /// Calls [`JobRegistry::report`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::report`], and [`StepError::Superseded`].
    pub fn report(&self, progress: Progress, text: impl Into<String>) -> Result<(), StepError> {
        self.call("report", |job| {
            let note = Note::new(text);
            job.lock()?.report(progress, note)
        })
    }

    /// Returns whether the work on this attempt should stop: a stop has been requested, the attempt
    /// has ended, or a later one has begun. Takes no lock.
    #[must_use]
    pub fn is_stop_requested(&self) -> bool {
        !self.job().is_at_work()
    }

    /// Waits until the work on this attempt should stop, as
    /// [`is_stop_requested`](Self::is_stop_requested) says. Takes no lock.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe. The next call returns at once if a stop has been requested meanwhile.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register("deck")?;
    /// job.start()?;
    /// assert!(!job.is_stop_requested());
    /// jobs.request_stop(job.id(), "the user left")?;
    /// pollster::block_on(job.stop_requested());
    /// assert!(job.is_stop_requested());
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    pub async fn stop_requested(&self) {
        // Without a job there is nothing to wait for.
        let Ok(mut watch) = Watch::new(&self.registry.state, self.job()) else {
            return;
        };
        while !self.is_stop_requested() && watch.changed().await.is_some() {}
    }

    /// Calls [`JobRegistry::request_stop`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::request_stop`], and [`StepError::Superseded`].
    pub fn request_stop(&self, reason: impl Into<String>) -> Result<Status, StepError> {
        self.call("request_stop", |job| {
            // Before the lock: `into` is user code.
            let reason = reason.into();
            job.lock()?.request_stop(reason)
        })
    }

    /// Calls [`JobRegistry::complete`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::complete`], and [`StepError::Superseded`].
    pub fn complete(&self) -> Result<(), StepError> {
        self.call("complete", |job| job.lock()?.end(Ending::Completed, None))
    }

    /// Calls [`JobRegistry::fail`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::fail`], and [`StepError::Superseded`].
    pub fn fail(&self, reason: impl Into<String>) -> Result<(), StepError> {
        self.call("fail", |job| {
            // Before the lock: `into` is user code.
            let reason = reason.into();
            job.lock()?.end(Ending::Failed, Some(reason))
        })
    }

    /// Calls [`JobRegistry::cancel`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::cancel`], and [`StepError::Superseded`].
    pub fn cancel(&self) -> Result<(), StepError> {
        self.call("cancel", |job| job.lock()?.end(Ending::Cancelled, None))
    }

    /// Calls [`JobRegistry::cancel_because`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::cancel_because`], and [`StepError::Superseded`].
    pub fn cancel_because(&self, reason: impl Into<String>) -> Result<(), StepError> {
        self.call("cancel_because", |job| {
            // Before the lock: `into` is user code.
            let reason = reason.into();
            job.lock()?.end(Ending::Cancelled, Some(reason))
        })
    }

    /// Calls [`JobRegistry::lock`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::lock`], and [`LockError::Superseded`].
    pub fn lock(&self) -> Result<JobGuard<'_, T>, LockError> {
        self.call("lock", |job| job.lock_live().map(JobGuard::new))
    }

    /// Calls [`JobRegistry::try_lock`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::try_lock`], and [`LockError::Superseded`].
    pub fn try_lock(&self) -> Result<JobGuard<'_, T>, LockError> {
        self.call("try_lock", |job| job.try_lock_live().map(JobGuard::new))
    }

    /// Calls [`JobRegistry::update`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::update`], and [`LockError::Superseded`].
    ///
    /// # Panics
    ///
    /// If `f` panics, after the job has been failed.
    pub fn update<R>(&self, f: impl FnOnce(&mut T) -> R) -> Result<R, LockError> {
        self.call("update", |job| Ok(job.lock_live()?.update(f)))
    }

    /// Calls [`JobRegistry::snapshot`]. It is not fenced: it shows a later attempt, too. Takes no
    /// lock.
    ///
    /// # Errors
    ///
    /// Returns [`LookupError::Gone`] once the job has been removed.
    pub fn snapshot(&self) -> Result<Snapshot, LookupError> {
        self.call("snapshot", JobRef::snapshot)
    }

    /// Calls [`JobRegistry::details`]. It is not fenced: it shows a later attempt, too.
    ///
    /// # Errors
    ///
    /// Returns [`LookupError::Gone`] once the job has been removed.
    pub fn details(&self) -> Result<Details, LookupError> {
        self.call("details", |job| job.slot.details(job.id))
    }

    /// Calls [`JobRegistry::watch`]. It is not fenced: the watch goes on into a later attempt.
    ///
    /// # Errors
    ///
    /// Returns [`LookupError::Gone`] once the job has been removed.
    pub fn watch(&self) -> Result<Watch<T>, LookupError> {
        self.registry.watch(self.id())
    }

    /// Calls [`JobRegistry::remove_after`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::remove_after`], and [`RemoveError::Superseded`].
    pub fn remove_after(&self, delay: Duration) -> Result<(), RemoveError> {
        self.call("remove_after", |job| job.lock()?.remove_after(delay))
    }

    /// Calls [`JobRegistry::remove`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::remove`], and [`RemoveError::Superseded`].
    pub fn remove(&self) -> Result<T, RemoveError> {
        self.call("remove", |job| job.lock()?.remove())
    }

    /// Calls [`JobRegistry::retry`], fenced: of two retries of the same attempt, one is refused.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::retry`], and [`RetryError::Superseded`].
    pub fn retry(&self) -> Result<Job<T>, RetryError> {
        self.call("retry", |job| {
            job.lock()?.retry(|id| Job::new(self.registry.clone(), id))
        })
    }

    /// Returns a span `job` with the fields `id` and `attempt`, for code that works on this
    /// attempt. The work of [`spawn`](crate::JobRegistry::spawn),
    /// [`spawn_blocking`](crate::JobRegistry::spawn_blocking) and [`run`](Self::run) runs in one.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register("deck")?;
    /// let worker = std::thread::spawn(move || {
    ///     let _in_span = job.span().entered();
    ///     job.start()
    /// });
    /// worker.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tracing")]
    #[must_use]
    pub fn span(&self) -> tracing::Span {
        tracing::info_span!(target: crate::telemetry::TARGET, "job", id = %crate::telemetry::logged(self.id()), attempt = self.attempt())
    }

    /// Ends the job for an error of its work: as cancelled if a stop was requested, and as failed
    /// otherwise.
    pub(crate) fn end_for_error(&self, reason: String) -> Result<(), StepError> {
        self.call("fail", |job| job.lock()?.end_for_error(reason))
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn is_attempt_of(&self, seen: &Snapshot) -> bool {
        self.id.attempt == Some(seen.word().attempt())
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn fenced_id(&self) -> FencedId {
        self.id
    }
}

impl<T: Send + 'static> Drop for Job<T> {
    fn drop(&mut self) {
        // Loading the state first spares the lock of a job that has ended.
        if !self.owns || !self.job().is_live() {
            return;
        }
        let reason = if std::thread::panicking() {
            "panicked: the job's owner was unwound"
        } else {
            "abandoned"
        };
        let (state, id) = (self.registry.state.clone(), self.id);
        let abandon = move || {
            if let Ok(mut job) = state.job(id).lock() {
                // Refused if the job has meanwhile ended, or has another owner.
                let _ = job.end(Ending::Failed, Some(reason.to_owned()));
            }
        };
        if holds_lock() {
            defer_run(abandon);
        } else if std::thread::panicking() {
            // A clock that panics must not end the process.
            contain(abandon);
        } else {
            abandon();
        }
    }
}

impl<T: Send + 'static> Job<T> {
    /// Runs a call. Emits an event if it is refused.
    #[inline(always)]
    fn call<'a, R, E: Refusal>(
        &'a self,
        name: &'static str,
        f: impl FnOnce(JobRef<'a, T>) -> Result<R, E>,
    ) -> Result<R, E> {
        refused(name, self.id.id(), f(self.job()))
    }

    fn job(&self) -> JobRef<'_, T> {
        self.registry.state.job(self.id)
    }
}

impl<T: Send + 'static> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}
