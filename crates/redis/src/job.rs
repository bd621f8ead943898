//! [`Job`]: the owner's handle, fenced to one attempt.

use crate::error::{Error, Unavailable};
use crate::guard::{JobGuard, TRIES};
use crate::owned::Hold;
use crate::pulse::Heartbeat;
use crate::registry::JobRegistry;
use crate::steps::Steps;
use crate::store::{Fence, rest};
use crate::watch::Watch;
use job_registry::{Details, Error as Refusal, JobId, Progress, Snapshot, Status};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The owner of one attempt of a job. Returned by [`JobRegistry::register`] and
/// [`JobRegistry::retry`].
///
/// Its calls are those of the registry, without the id and *fenced*, by the attempt's number and a
/// nonce. Once a later attempt has begun, every write through this handle is refused with
/// [`Superseded`](Refusal::Superseded), notes and heartbeats included.
///
/// If the owner is dropped before the job has ended, a task is started that fails the job with the
/// reason `abandoned`, if the store is reached. A process that is killed leaves the job to the
/// stall verdict. [Detach](Self::detach) a job that is worked on by id.
#[must_use = "the job fails as abandoned when its owner is dropped"]
pub struct Job<T: Send + 'static> {
    registry: JobRegistry<T>,
    id: JobId,
    fence: Fence,
    /// Counts the owner among those of the process, until the handle has nothing to abandon: it is
    /// detached, or its attempt is over.
    hold: Mutex<Option<Hold>>,
}

impl<T: Send + 'static> Job<T> {
    pub(crate) fn new(registry: JobRegistry<T>, id: JobId, fence: Fence) -> Self {
        let hold = Mutex::new(Some(registry.state.owned.own(id, fence)));
        Self {
            registry,
            id,
            fence,
            hold,
        }
    }

    /// Returns the job's id, for clients.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Returns the number of the owned attempt. The first is 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.fence.attempt
    }

    /// Returns the registry of the job.
    #[must_use]
    pub fn registry(&self) -> &JobRegistry<T> {
        &self.registry
    }

    /// Gives up the ownership and returns the id. The job stays and is worked on by id.
    #[must_use = "without its id a detached job cannot be reached"]
    pub fn detach(self) -> JobId {
        self.done();
        self.id
    }

    /// Gives up a job that was not registered. If that cannot be told, the job is abandoned, as it
    /// is if the future of its registration is dropped.
    pub(crate) fn not_registered(self, error: Error) -> Error {
        if error != Error::Unavailable(Unavailable::Unknown) {
            self.done();
        }
        error
    }

    pub(crate) fn fence(&self) -> Fence {
        self.fence
    }

    pub(crate) fn steps(&self) -> Steps<'_, T> {
        self.registry.steps(self.id, Some(self.fence))
    }

    /// Notes that there is nothing to abandon, and returns whether there was.
    fn done(&self) -> bool {
        let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        hold.take().is_some()
    }

    /// Notes that the attempt is over if a call has shown it.
    pub(crate) fn learn<R>(&self, result: Result<R, Error>) -> Result<R, Error> {
        if let Err(Error::Refused(Refusal::Ended(_) | Refusal::Superseded | Refusal::Gone)) = result
        {
            self.done();
        }
        result
    }

    async fn end(&self, status: Status, reason: Option<String>) -> Result<(), Error> {
        self.over(self.steps().end(status, reason).await)
    }

    /// Notes that the attempt is over if its end was accepted.
    fn over(&self, ended: Result<(), Error>) -> Result<(), Error> {
        if ended.is_ok() {
            self.done();
        }
        self.learn(ended)
    }

    /// Calls [`JobRegistry::start`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::start`], and [`Superseded`](Refusal::Superseded).
    pub async fn start(&self) -> Result<(), Error> {
        self.learn(self.steps().start().await)
    }

    /// Calls [`JobRegistry::advance`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::advance`], and [`Superseded`](Refusal::Superseded).
    pub async fn advance(&self, progress: Progress) -> Result<Progress, Error> {
        self.learn(self.steps().advance(progress).await)
    }

    /// Calls [`JobRegistry::heartbeat`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::heartbeat`], and [`Superseded`](Refusal::Superseded).
    pub async fn heartbeat(&self) -> Result<(), Error> {
        self.learn(self.steps().heartbeat().await)
    }

    /// Records a heartbeat immediately and then once per `interval`, up to 1/64 early, until the
    /// returned value is dropped or the attempt is over. The heartbeats of all jobs of the process
    /// are sent together. An error of the store ends none of them.
    ///
    /// They show that the process runs, and not that the work goes on. Must be called on a tokio
    /// runtime.
    pub fn heartbeat_every(&self, interval: Duration) -> Heartbeat {
        let pulse = &self.registry.state.pulse;
        pulse.add(self.id, Some(self.fence), interval)
    }

    /// Calls [`JobRegistry::note`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::note`], and [`Superseded`](Refusal::Superseded).
    pub async fn note(&self, text: impl Into<String>) -> Result<(), Error> {
        self.learn(self.steps().note(text.into()).await)
    }

    /// Calls [`JobRegistry::report`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::report`], and [`Superseded`](Refusal::Superseded).
    pub async fn report(&self, progress: Progress, text: impl Into<String>) -> Result<(), Error> {
        self.learn(self.steps().report(progress, text.into()).await)
    }

    /// Calls [`JobRegistry::complete`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::complete`], and [`Superseded`](Refusal::Superseded).
    pub async fn complete(&self) -> Result<(), Error> {
        self.end(Status::Completed, None).await
    }

    /// Calls [`JobRegistry::fail`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::fail`], and [`Superseded`](Refusal::Superseded).
    pub async fn fail(&self, reason: impl Into<String>) -> Result<(), Error> {
        self.end(Status::Failed, Some(reason.into())).await
    }

    /// Calls [`JobRegistry::cancel`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::cancel`], and [`Superseded`](Refusal::Superseded).
    pub async fn cancel(&self) -> Result<(), Error> {
        self.end(Status::Cancelled, None).await
    }

    /// Calls [`JobRegistry::cancel_because`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::cancel_because`], and [`Superseded`](Refusal::Superseded).
    pub async fn cancel_because(&self, reason: impl Into<String>) -> Result<(), Error> {
        self.end(Status::Cancelled, Some(reason.into())).await
    }

    /// Calls [`JobRegistry::request_stop`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::request_stop`], and [`Superseded`](Refusal::Superseded).
    pub async fn request_stop(&self, reason: impl Into<String>) -> Result<Status, Error> {
        self.learn(self.steps().request_stop(reason.into()).await)
    }

    /// Returns whether the work on this attempt should stop: a stop has been requested, the attempt
    /// has ended, or a later one has begun.
    ///
    /// # Errors
    ///
    /// Returns an error only if the store was not reached, or rejected the call.
    pub async fn is_stop_requested(&self) -> Result<bool, Error> {
        match self.snapshot().await {
            Ok(seen) => Ok(!self.is_at_work(&seen)),
            Err(Error::Refused(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn is_at_work(&self, seen: &Snapshot) -> bool {
        let is_at_work = matches!(seen.status(), Status::Pending | Status::Running);
        is_at_work && seen.attempt() == self.attempt()
    }

    /// Waits until the work on this attempt should stop: a stop has been requested, the attempt has
    /// ended, or a later one has begun. Once the first read has succeeded, it waits while the store
    /// is not reached.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is not reached at first.
    pub async fn stop_requested(&self) -> Result<(), Error> {
        let mut watch = match self.watch().await {
            // Without a job there is nothing to wait for.
            Err(Error::Refused(_)) => return Ok(()),
            watch => watch?,
        };
        while let Some(seen) = watch.changed().await {
            if !self.is_at_work(&seen) {
                break;
            }
        }
        Ok(())
    }

    /// Waits until the attempt has ended or a later one has begun. While the store is not reached,
    /// it waits.
    pub(crate) async fn attempt_is_over(&self) {
        let mut pause = Duration::from_millis(50);
        let mut watch = loop {
            match self.watch().await {
                Ok(watch) => break watch,
                Err(Error::Refused(_)) => return,
                Err(_) => rest(&mut pause).await,
            }
        };
        while let Some(seen) = watch.changed().await {
            if seen.status().is_ended() || seen.attempt() != self.attempt() {
                break;
            }
        }
        self.done();
    }

    /// Fails the job for an error of its work, or cancels it if a stop was requested.
    pub(crate) async fn fail_for_error(&self, reason: String) -> Result<(), Error> {
        self.over(self.steps().end_for_error(reason).await)
    }

    /// Calls [`JobRegistry::update`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::update`], and [`Superseded`](Refusal::Superseded).
    pub async fn update<R>(&self, f: impl FnMut(&mut T) -> R) -> Result<R, Error> {
        self.learn(self.steps().update(f).await)
    }

    /// Calls [`JobRegistry::lock`], fenced. The lease is lost when the attempt is over.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::lock`], and [`Superseded`](Refusal::Superseded).
    ///
    /// # Cancel safety
    ///
    /// As [`JobRegistry::lock`].
    pub async fn lock(&self, lease: Duration) -> Result<JobGuard<T>, Error> {
        self.take(lease, TRIES).await
    }

    /// Calls [`JobRegistry::try_lock`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::lock`], and [`Superseded`](Refusal::Superseded).
    ///
    /// # Cancel safety
    ///
    /// As [`JobRegistry::lock`].
    pub async fn try_lock(&self, lease: Duration) -> Result<JobGuard<T>, Error> {
        self.take(lease, 1).await
    }

    async fn take(&self, lease: Duration, tries: u32) -> Result<JobGuard<T>, Error> {
        let fence = Some(self.fence);
        self.learn(JobGuard::take(&self.registry, self.id, fence, lease, tries).await)
    }

    /// Calls [`JobRegistry::snapshot`]. It is not fenced: it shows a later attempt, too.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::snapshot`].
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        self.registry.snapshot(self.id).await
    }

    /// Calls [`JobRegistry::details`]. It is not fenced: it shows a later attempt, too.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::details`].
    pub async fn details(&self) -> Result<Details, Error> {
        self.registry.details(self.id).await
    }

    /// Calls [`JobRegistry::watch`]. It is not fenced: the watch goes on into a later attempt.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::watch`].
    pub async fn watch(&self) -> Result<Watch, Error> {
        self.registry.watch(self.id).await
    }

    /// Calls [`JobRegistry::remove_after`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::remove_after`], and [`Superseded`](Refusal::Superseded).
    pub async fn remove_after(&self, delay: Duration) -> Result<(), Error> {
        self.learn(self.steps().remove_after(delay).await)
    }

    /// Calls [`JobRegistry::remove`], fenced.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::remove`], and [`Superseded`](Refusal::Superseded).
    pub async fn remove(&self) -> Result<(), Error> {
        self.learn(self.steps().remove().await)
    }

    /// Calls [`JobRegistry::retry`], fenced: of two retries of the same attempt, one is refused.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::retry`], and [`Superseded`](Refusal::Superseded).
    pub async fn retry(&self) -> Result<Job<T>, Error> {
        let fence = self.learn(self.steps().retry().await)?;
        self.done();
        Ok(Job::new(self.registry.clone(), self.id, fence))
    }
}

impl<T: Send + 'static> Drop for Job<T> {
    fn drop(&mut self) {
        if self.done() {
            // A runtime that has shut down drops the task: the job is left to the stall verdict.
            drop(self.registry.state.runtime.spawn(self.abandonment()));
        }
    }
}

impl<T: Send + 'static> Job<T> {
    /// Returns a future that fails the job because its owner is dropped.
    fn abandonment(&self) -> impl Future<Output = ()> + Send + use<T> {
        let reason = if std::thread::panicking() {
            "panicked: the job's owner was unwound"
        } else {
            "abandoned"
        };
        let (state, id, fence) = (self.registry.state.clone(), self.id, self.fence);
        // An abandoned job is not idle.
        let hold = state.owned.own(id, fence);
        async move {
            let _hold = hold;
            let steps = Steps {
                state: &state,
                id,
                fence: Some(fence),
            };
            let mut pause = Duration::from_millis(1);
            // Refused if the job has meanwhile ended, or has another owner. A lease ends.
            while let Err(Error::Refused(Refusal::Busy)) =
                steps.end(Status::Failed, Some(reason.to_owned())).await
            {
                rest(&mut pause).await;
            }
        }
    }

    /// Drops the owner, and waits until the job has been abandoned.
    #[cfg(test)]
    pub(crate) async fn abandon_now(self) {
        if self.done() {
            self.abandonment().await;
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}
