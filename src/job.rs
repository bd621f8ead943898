//! [`Job`]: the owner's handle, fenced to one attempt.

use crate::error::{LockError, LookupError, RemoveError, RetryError, StepError};
use crate::guard::JobGuard;
use crate::inner::{Found, Inner};
use crate::observe::{Refusal, refused};
use crate::registry::JobRegistry;
use crate::target::Target;
use crate::thread::{Effect, contain, defer};
use crate::word::Ending;
use crate::{JobId, Progress, Snapshot, Status, Watch};
use std::fmt;
use std::time::Duration;

/// The single owner of one attempt of a job. From [`JobRegistry::register`] and [`JobRegistry::retry`].
///
/// Its calls are those of the registry, without the id and *fenced*: once a later attempt has begun, every
/// write through this handle is refused with `Superseded`, so that a worker that comes back from the dead does no
/// harm. Threads share it by reference or in an `Arc`.
///
/// A job whose owner goes away must not run for ever. If the handle is dropped before the job has
/// ended, the job fails: with the reason `abandoned`, or `panicked: the job's owner was unwound` if the thread is unwinding. (A drop cannot
/// know the panic's own text: [`update`](Self::update) and `spawn` do. Where
/// the thread holds the lock of a job at that moment, as soon as it lets go.) A job that is meant to be worked
/// on by id is [detached](Job::detach).
///
/// ```
/// use job_registry::{JobRegistry, Status};
///
/// let jobs = JobRegistry::new();
/// let job = jobs.register("deck").unwrap();
/// let id = job.id();
/// drop(job);
/// let record = jobs.get(id)?;
/// assert_eq!(record.snapshot.status(), Status::Failed);
/// assert_eq!(record.error.as_deref(), Some("abandoned"));
/// # Ok::<(), job_registry::ReadError>(())
/// ```
#[must_use = "the job fails as abandoned when its owner is dropped"]
pub struct Job<T: Send + 'static> {
    registry: JobRegistry<T>,
    target: Target,
    owns: bool,
}

impl<T: Send + 'static> Job<T> {
    pub(crate) fn new(registry: JobRegistry<T>, target: Target) -> Self {
        Self {
            registry,
            target,
            owns: true,
        }
    }

    /// The job's id, for clients.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.target.id()
    }

    /// Which attempt this is the owner of; the first one is 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.target.attempt.map_or(0, u32::from)
    }

    /// Where the job lives.
    #[must_use]
    pub fn registry(&self) -> &JobRegistry<T> {
        &self.registry
    }

    /// Gives the ownership up: the job lives on without an owner and is worked on by id.
    #[must_use = "without its id a detached job cannot be reached"]
    pub fn detach(mut self) -> JobId {
        self.owns = false;
        self.id()
    }

    /// [`JobRegistry::start`], fenced.
    ///
    /// # Errors
    ///
    /// As there, and [`StepError::Superseded`].
    pub fn start(&self) -> Result<(), StepError> {
        self.call("start", |inner, found| inner.start(found))
    }

    /// [`JobRegistry::advance`], fenced. Takes no lock.
    ///
    /// # Errors
    ///
    /// As there, and [`StepError::Superseded`].
    pub fn advance(&self, progress: Progress) -> Result<Progress, StepError> {
        self.call("advance", |_, (slot, target)| {
            slot.advance(target, progress)
        })
    }

    /// [`JobRegistry::heartbeat`], fenced. Takes no lock.
    ///
    /// # Errors
    ///
    /// As there, and [`StepError::Superseded`].
    pub fn heartbeat(&self) -> Result<(), StepError> {
        self.call("heartbeat", |inner, found| inner.heartbeat(found))
    }

    /// [`JobRegistry::complete`], fenced.
    ///
    /// # Errors
    ///
    /// As there, and [`StepError::Superseded`].
    pub fn complete(&self) -> Result<(), StepError> {
        self.call("complete", |inner, found| {
            inner.end(found, Ending::Completed, None)
        })
    }

    /// [`JobRegistry::fail`], fenced.
    ///
    /// # Errors
    ///
    /// As there, and [`StepError::Superseded`].
    pub fn fail(&self, reason: impl Into<String>) -> Result<(), StepError> {
        self.call("fail", |inner, found| {
            inner.end(found, Ending::Failed, Some(reason.into()))
        })
    }

    /// [`JobRegistry::cancel`], fenced.
    ///
    /// # Errors
    ///
    /// As there, and [`StepError::Superseded`].
    pub fn cancel(&self) -> Result<(), StepError> {
        self.call("cancel", |inner, found| {
            inner.end(found, Ending::Cancelled, None)
        })
    }

    /// [`JobRegistry::lock`], fenced.
    ///
    /// # Errors
    ///
    /// As there, and [`LockError::Superseded`].
    pub fn lock(&self) -> Result<JobGuard<'_, T>, LockError> {
        self.call("lock", |inner, found| inner.guard(found))
    }

    /// [`JobRegistry::try_lock`], fenced.
    ///
    /// # Errors
    ///
    /// As there, and [`LockError::Superseded`].
    pub fn try_lock(&self) -> Result<JobGuard<'_, T>, LockError> {
        self.call("try_lock", |inner, found| inner.try_guard(found))
    }

    /// [`JobRegistry::update`], fenced.
    ///
    /// # Errors
    ///
    /// As there, and [`LockError::Superseded`].
    ///
    /// # Panics
    ///
    /// If `f` does, after the job has been failed.
    pub fn update<R>(&self, f: impl FnOnce(&mut T) -> R) -> Result<R, LockError> {
        self.call("update", |inner, found| inner.update(found, f))
    }

    /// [`JobRegistry::snapshot`]. Not fenced: it shows a later attempt, too. Takes no lock.
    ///
    /// # Errors
    ///
    /// [`LookupError::Gone`] once the job has been removed.
    pub fn snapshot(&self) -> Result<Snapshot, LookupError> {
        self.call("snapshot", |_, (slot, target)| slot.snapshot(target))
    }

    /// [`JobRegistry::watch`]. Not fenced: it goes on into a later attempt.
    ///
    /// # Errors
    ///
    /// [`LookupError::Gone`] once the job has been removed.
    pub fn watch(&self) -> Result<Watch<T>, LookupError> {
        self.registry.watch(self.id())
    }

    /// [`JobRegistry::remove_after`], fenced.
    ///
    /// # Errors
    ///
    /// As there, and [`RemoveError::Superseded`].
    pub fn remove_after(&self, delay: Duration) -> Result<(), RemoveError> {
        self.call("remove_after", |inner, found| {
            inner.remove_after(found, delay)
        })
    }

    /// [`JobRegistry::remove`], fenced.
    ///
    /// # Errors
    ///
    /// As there, and [`RemoveError::Superseded`].
    pub fn remove(&self) -> Result<T, RemoveError> {
        self.call("remove", |inner, found| inner.remove(found))
    }

    /// [`JobRegistry::retry`], fenced: of two that retry the same attempt, one is refused.
    ///
    /// # Errors
    ///
    /// As there, and [`RetryError::Superseded`].
    pub fn retry(&self) -> Result<Job<T>, RetryError> {
        self.call("retry", |inner, found| {
            inner.retry(found, |target| Job::new(self.registry.clone(), target))
        })
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn is_attempt_of(&self, seen: &Snapshot) -> bool {
        self.target.attempt == Some(seen.word().attempt())
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn target(&self) -> Target {
        self.target
    }
}

impl<T: Send + 'static> Drop for Job<T> {
    fn drop(&mut self) {
        if !self.owns || self.is_over() {
            return;
        }
        let reason = if std::thread::panicking() {
            "panicked: the job's owner was unwound"
        } else {
            "abandoned"
        };
        let (inner, target) = (self.registry.inner.clone(), self.target);
        let abandon = move || {
            // Refused where the job has ended, or is another's, in the meantime.
            let _ = inner.end(inner.at(target), Ending::Failed, Some(reason.to_owned()));
        };
        if crate::thread::holds_lock() {
            defer([Effect::Run(Box::new(abandon))]);
        } else if std::thread::panicking() {
            // A clock that panics must not end the process.
            contain(abandon);
        } else {
            abandon();
        }
    }
}

impl<T: Send + 'static> Job<T> {
    /// A call, of which is told if it is refused.
    #[inline(always)]
    fn call<'a, R, E: Refusal>(
        &'a self,
        name: &'static str,
        f: impl FnOnce(&'a Inner<T>, Found<'a, T>) -> Result<R, E>,
    ) -> Result<R, E> {
        refused(
            name,
            self.target.id(),
            f(&self.registry.inner, self.found()),
        )
    }

    fn found(&self) -> Found<'_, T> {
        self.registry.inner.at(self.target)
    }

    /// Whether there is nothing left to fail: an early look that spares the lock.
    fn is_over(&self) -> bool {
        let (slot, target) = self.found();
        let word = slot.state();
        target.admit(word).is_err() || word.status().is_none_or(Status::is_ended)
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
