//! [`JobGuard`]: the payload of a job under a lease.

use crate::error::{Error, Unavailable};
use crate::id::Nonce;
use crate::registry::JobRegistry;
use crate::steps::Steps;
use crate::store::{Fence, rest};
use job_registry::{Error as Refusal, JobId, Progress, Snapshot, Status};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// Maximum number of times that `lock` tries to take the lease.
pub(crate) const TRIES: u32 = 20;
/// Longest lease: a process that is killed leaves the job locked for so long.
const LONGEST_LEASE: Duration = Duration::from_secs(3600);
const SHORTEST_LEASE: Duration = Duration::from_millis(1);

/// Exclusive access to the payload of a live job, for the time of a lease. Returned by
/// [`JobRegistry::lock`] and [`Job::lock`](crate::Job::lock).
///
/// While the lease lasts, no other call writes the payload, ends the job or retries it: such calls
/// are refused with [`Busy`](Refusal::Busy), and deadlines and stall verdicts wait. All other calls
/// work. An ending goes through the guard and consumes it.
///
/// The guard has a copy of the payload. [`save`](Self::save), [`release`](Self::release) and the
/// endings store it; a guard that is dropped, also by a panic, stores nothing, and a task gives the
/// lease up.
///
/// The lease is over by the server's clock, once its time has passed since the lock was taken or
/// [renewed](Self::renew). Another caller may take it then. Calls through the guard are refused
/// with [`Error::LockLost`] from then on, and change nothing.
///
/// ```no_run
/// use job_registry_redis::{Error, JobRegistry};
/// use std::time::Duration;
///
/// # async fn f(jobs: JobRegistry<Vec<String>>) -> Result<(), Error> {
/// let job = jobs.register(&vec!["intro.png".to_owned()]).await?;
/// job.start().await?;
/// let mut pages = job.lock(Duration::from_secs(10)).await?;
/// pages.push("summary.png".to_owned());
/// pages.complete().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a guard that is dropped stores nothing"]
pub struct JobGuard<T: Send + 'static> {
    held: Held<T>,
    payload: T,
    is_written: bool,
}

/// A lease, which is given up when this is dropped.
struct Held<T: Send + 'static> {
    registry: JobRegistry<T>,
    id: JobId,
    fence: Option<Fence>,
    token: Nonce,
    lease: Duration,
    is_over: bool,
}

impl<T: Send + 'static> Held<T> {
    fn steps(&self) -> Steps<'_, T> {
        self.registry.steps(self.id, self.fence)
    }

    /// Notes that there is nothing to give up, if the result says so.
    fn learn<R>(&mut self, result: Result<R, Error>) -> Result<R, Error> {
        self.is_over |= matches!(result, Err(Error::Refused(_) | Error::LockLost));
        result
    }
}

impl<T: Send + 'static> Drop for Held<T> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (registry, id) = (self.registry.clone(), self.id);
        let (fence, token) = (self.fence, self.token);
        // A runtime that has shut down drops the task: the lease ends by itself.
        drop(self.registry.state.runtime.spawn(async move {
            let steps = registry.steps(id, fence);
            let _ = steps.lease(token, Duration::ZERO, true).await;
        }));
    }
}

impl<T: Send + 'static> JobRegistry<T> {
    /// Takes the lease of a live job's payload, and reads the payload. While another caller has the
    /// lease, it tries again, up to 20 times within five to seven seconds. The lease is between a
    /// millisecond and an hour; a value outside of that is the nearest of them.
    ///
    /// # Errors
    ///
    /// Returns [`Busy`](Refusal::Busy) if another caller had the lease each time,
    /// [`Ended`](Refusal::Ended) for an ended job, and [`Error::Payload`] if the payload does not
    /// decode. After [`Unknown`](Unavailable::Unknown), the job may stay locked for the time of the
    /// lease.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the lease that it may have taken is given up by a task.
    pub async fn lock(&self, id: JobId, lease: Duration) -> Result<JobGuard<T>, Error> {
        JobGuard::take(self, id, None, lease, TRIES).await
    }

    /// Takes the lease as [`lock`](Self::lock) does, and tries once.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # Cancel safety
    ///
    /// As [`lock`](Self::lock).
    pub async fn try_lock(&self, id: JobId, lease: Duration) -> Result<JobGuard<T>, Error> {
        JobGuard::take(self, id, None, lease, 1).await
    }
}

impl<T: Send + 'static> JobGuard<T> {
    /// Takes a lease, and tries again while another caller has it.
    pub(crate) async fn take(
        registry: &JobRegistry<T>,
        id: JobId,
        fence: Option<Fence>,
        lease: Duration,
        tries: u32,
    ) -> Result<Self, Error> {
        let mut held = Held {
            registry: registry.clone(),
            id,
            fence,
            token: Nonce::random(),
            lease: lease.clamp(SHORTEST_LEASE, LONGEST_LEASE),
            is_over: false,
        };
        let mut pause = Duration::from_millis(1);
        for tried in 1.. {
            match held.steps().lease(held.token, held.lease, false).await {
                Ok(()) => break,
                Err(Error::Refused(Refusal::Busy)) if tried < tries => rest(&mut pause).await,
                Err(error) => {
                    // Otherwise there is nothing to give up.
                    held.is_over = error != Error::Unavailable(Unavailable::Unknown);
                    return Err(error);
                }
            }
        }
        let read = registry.state.record(id).await;
        let (_, payload, _) = read.map_err(|error| match error {
            // The lease has been taken, and a task gives it up.
            Error::Unavailable(_) => Unavailable::Unknown.into(),
            error => error,
        })?;
        Ok(Self {
            payload: payload?,
            held,
            is_written: false,
        })
    }

    /// Returns the job's id.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.held.id
    }

    /// Returns the job as it is in the store.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::snapshot`].
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        self.held.registry.snapshot(self.held.id).await
    }

    /// Calls [`JobRegistry::start`]. Like the other steps that do not end the job, it needs no
    /// lease, and is fenced if the owner has taken the lock.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::start`], and [`Superseded`](Refusal::Superseded).
    pub async fn start(&mut self) -> Result<(), Error> {
        self.held.steps().start().await
    }

    /// Calls [`JobRegistry::advance`].
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::advance`], and [`Superseded`](Refusal::Superseded).
    pub async fn advance(&self, progress: Progress) -> Result<Progress, Error> {
        self.held.steps().advance(progress).await
    }

    /// Calls [`JobRegistry::heartbeat`]. It does not prolong the lease.
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::heartbeat`], and [`Superseded`](Refusal::Superseded).
    pub async fn heartbeat(&self) -> Result<(), Error> {
        self.held.steps().heartbeat().await
    }

    /// Calls [`JobRegistry::note`].
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::note`], and [`Superseded`](Refusal::Superseded).
    pub async fn note(&mut self, text: impl Into<String>) -> Result<(), Error> {
        self.held.steps().note(text.into()).await
    }

    /// Calls [`JobRegistry::report`].
    ///
    /// # Errors
    ///
    /// As [`JobRegistry::report`], and [`Superseded`](Refusal::Superseded).
    pub async fn report(
        &mut self,
        progress: Progress,
        text: impl Into<String>,
    ) -> Result<(), Error> {
        self.held.steps().report(progress, text.into()).await
    }

    /// Stores the payload, and keeps the lease, which is not prolonged.
    ///
    /// # Errors
    ///
    /// Returns [`Error::LockLost`] if the lease is over, and [`Error::Payload`] if the payload does
    /// not encode or is too large. After an error of the store it may be called again.
    pub async fn save(&mut self) -> Result<(), Error> {
        let stored = self.held.steps();
        let stored = stored.store_under_lease(self.held.token, &self.payload, false);
        let stored = stored.await;
        self.held.learn(stored)?;
        self.is_written = false;
        Ok(())
    }

    /// Prolongs the lease: it lasts from now on for the time with which the lock was taken.
    ///
    /// # Errors
    ///
    /// Returns [`Error::LockLost`] if the lease is over, and [`Ended`](Refusal::Ended) if the job
    /// has ended, which it can only after the lease was over.
    pub async fn renew(&mut self) -> Result<(), Error> {
        let (token, lease) = (self.held.token, self.held.lease);
        let renewed = self.held.steps().lease(token, lease, true).await;
        self.held.learn(renewed)
    }

    /// Stores the payload if it may have been changed, and gives up the lease, in one step.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save). Nothing is stored then, unless the error is
    /// [`Unknown`](Unavailable::Unknown).
    pub async fn release(mut self) -> Result<(), Error> {
        let (token, steps) = (self.held.token, self.held.steps());
        let released = if self.is_written {
            steps.store_under_lease(token, &self.payload, true).await
        } else {
            steps.lease(token, Duration::ZERO, true).await
        };
        self.held.is_over |= released.is_ok();
        self.held.learn(released)
    }

    /// Completes a running job, at 100 %, with the payload as it is in the guard, in one step.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save), and [`NotStarted`](Refusal::NotStarted) for a pending job. The
    /// lease is given up in every case.
    pub async fn complete(self) -> Result<(), Error> {
        self.end(Status::Completed, None).await
    }

    /// Fails the job, for a reason, with the payload as it is in the guard, in one step.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub async fn fail(self, reason: impl Into<String>) -> Result<(), Error> {
        self.end(Status::Failed, Some(reason.into())).await
    }

    /// Cancels the job, with the payload as it is in the guard, in one step. A stopping job keeps
    /// the reason of its stop.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub async fn cancel(self) -> Result<(), Error> {
        self.end(Status::Cancelled, None).await
    }

    /// Cancels the job as [`cancel`](Self::cancel) does, for a reason.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub async fn cancel_because(self, reason: impl Into<String>) -> Result<(), Error> {
        self.end(Status::Cancelled, Some(reason.into())).await
    }

    async fn end(mut self, status: Status, reason: Option<String>) -> Result<(), Error> {
        let payload = self.is_written.then_some(&self.payload);
        let (token, steps) = (self.held.token, self.held.steps());
        let ended = steps.end_under_lease(status, reason, token, payload).await;
        self.held.is_over |= ended.is_ok();
        ended
    }
}

impl<T: Send + 'static> Deref for JobGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.payload
    }
}

impl<T: Send + 'static> DerefMut for JobGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.is_written = true;
        &mut self.payload
    }
}

impl<T: Send + 'static> fmt::Debug for JobGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobGuard")
            .field("id", &self.held.id)
            .field("lease", &self.held.lease)
            .finish_non_exhaustive()
    }
}
