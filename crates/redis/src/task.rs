//! Tasks that work on jobs, and the end of a process: `spawn`, `run`, `idle` and `shutdown`.

use crate::error::{Error, Unavailable};
use crate::job::Job;
use crate::owned::Hold;
use crate::panics::contain;
use crate::registry::JobRegistry;
use crate::steps::Steps;
use crate::store::rest;
use job_registry::{Error as Refusal, Failure, JobId, Phases, Shutdown, Status};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

/// The reason of the stops and the cancellations of a shutdown.
const REASON: &str = "shutdown";
/// First pause before a step of a task is tried again.
const PAUSE: Duration = Duration::from_millis(20);

impl<T: Send + 'static> JobRegistry<T> {
    /// Registers a job, and spawns a task that works on it as [`Job::spawn`] does.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    ///
    /// ```no_run
    /// use job_registry::Progress;
    /// use job_registry_redis::{Error, JobRegistry};
    /// use std::time::Duration;
    ///
    /// # async fn f(jobs: JobRegistry<String>) -> Result<(), Error> {
    /// let id = jobs
    ///     .spawn(&"deck".to_owned(), async |job| {
    ///         let _beats = job.heartbeat_every(Duration::from_secs(5));
    ///         job.advance(Progress::percent(50.0)?).await?;
    ///         Ok(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn spawn<F, Fut>(&self, payload: &T, f: F) -> Result<JobId, Error>
    where
        F: FnOnce(Arc<Job<T>>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send,
    {
        Ok(self.register(payload).await?.spawn(f))
    }

    /// Registers a job, and works on it on one of the runtime's blocking threads as
    /// [`Job::spawn_blocking`] does.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    pub async fn spawn_blocking<F>(&self, payload: &T, f: F) -> Result<JobId, Error>
    where
        F: FnOnce(&Job<T>) -> Result<(), Failure> + Send + 'static,
    {
        Ok(self.register(payload).await?.spawn_blocking(f))
    }

    /// Waits until this process owns no job and works on none: each [`Job`] has been dropped or
    /// detached, or has seen the end of its attempt, and all work of [`spawn`](Self::spawn),
    /// [`spawn_blocking`](Self::spawn_blocking) and [`Job::run`] has returned. After
    /// [`close`](Self::close), nothing begins afterwards. Jobs of other processes are not waited
    /// for.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn idle(&self) {
        self.state.owned.idle().await;
    }

    /// Closes the registry for this process, lets its jobs finish, asks those that are left to stop,
    /// and cancels those that are left then. Its jobs are those for which [`idle`](Self::idle)
    /// waits. Other processes go on, and so do their jobs; all jobs can be read afterwards.
    ///
    /// Returns as soon as the process is idle, and at the latest after the sum of the [`Phases`],
    /// whether or not the store answers. The phases are timed by the runtime of the caller.
    ///
    /// 1. *Finish.* Jobs go on.
    /// 2. *Stop.* Running jobs are asked to stop, and pending ones are cancelled, with the reason
    ///    `shutdown`. With a phase of zero they are not.
    /// 3. *Cancel.* Jobs are cancelled, and the futures of their tasks are dropped at their next
    ///    `await`. Blocking work is waited for.
    ///
    /// In the report, `live` are the jobs that could not be cancelled: the store did not answer, or
    /// another caller holds their lease. Their owners are judged stalled later.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the registry stays closed, and later phases do not begin.
    ///
    /// ```no_run
    /// # async fn f(jobs: job_registry_redis::JobRegistry<String>) {
    /// let report = jobs.shutdown(job_registry::Phases::default()).await;
    /// println!("{report}");
    /// # }
    /// ```
    pub async fn shutdown(&self, phases: Phases) -> Shutdown {
        self.close();
        let mut report = Shutdown::default();
        if !self.is_idle_within(phases.finish).await && !phases.stop.is_zero() {
            let end = end_of(phases.stop);
            let stop = async |steps: Steps<'_, T>| {
                let status = steps.request_stop(REASON.to_owned()).await?;
                Ok(status.is_ended())
            };
            (report.stopped, _) = self.on_all(end, stop).await;
            self.is_idle_until(end).await;
        }
        // At least one try with every job.
        let end = end_of(phases.cancel.max(ONE_TRY));
        let cancel = async |steps: Steps<'_, T>| {
            let reason = Some(REASON.to_owned());
            steps.end(Status::Cancelled, reason).await.map(|()| true)
        };
        (report.cancelled, report.live) = self.on_all(end, cancel).await;
        self.is_idle_until(end).await;
        report.working = self.state.owned.working();
        report
    }

    /// Makes a call for each job of this process, in order, until a time. It says whether the job has
    /// ended. Returns the number of calls that were accepted, and the jobs whose call has no answer
    /// that lasts.
    async fn on_all(
        &self,
        end: Instant,
        call: impl AsyncFn(Steps<'_, T>) -> Result<bool, Error>,
    ) -> (usize, Vec<JobId>) {
        let (mut accepted, mut open) = (0, Vec::new());
        for (id, fence) in self.state.owned.jobs() {
            let called = timeout_at(end, call(self.steps(id, Some(fence)))).await;
            let is_over = match called {
                Ok(Ok(is_over)) => {
                    accepted += 1;
                    is_over
                }
                Ok(Err(Error::Refused(Refusal::Stopping))) => false,
                Ok(Err(Error::Refused(refusal))) if refusal != Refusal::Busy => true,
                Ok(Err(_)) | Err(_) => {
                    open.push(id);
                    false
                }
            };
            if is_over {
                // The owner need not learn of it.
                self.state.owned.is_over(id, fence);
            }
        }
        (accepted, open)
    }

    async fn is_idle_within(&self, time: Duration) -> bool {
        self.is_idle_until(end_of(time)).await
    }

    async fn is_idle_until(&self, end: Instant) -> bool {
        timeout_at(end, self.idle()).await.is_ok()
    }
}

/// Time that the last phase takes at most if it was given none, for one try with every job.
const ONE_TRY: Duration = Duration::from_millis(20);

/// Returns the end of a phase that begins now, which a clock reaches.
fn end_of(phase: Duration) -> Instant {
    Instant::now() + phase.min(Duration::from_secs(1 << 30))
}

impl<T: Send + 'static> Job<T> {
    /// Spawns a task that works on the job, and returns the id. The job is started before `f` runs.
    /// It completes if the future returns `Ok`, and fails with the error's text if it returns
    /// `Err`. If a stop was requested, an error cancels it. It fails with `panicked: …` if the future
    /// panics. If the runtime shuts down first, it may be left to the stall verdict.
    ///
    /// If another call, in any process, ends or retries the job, the future is dropped at its next
    /// `await` once this process has learned of it, which a lost message delays by up to 7.5
    /// seconds. While the store is not reached, the task tries again to start and to end the job,
    /// and the work goes on. A step of the work returns [`Error::Unavailable`] after
    /// [`call_within`](crate::Builder::call_within); work that returns this error fails the job.
    /// Send heartbeats by [`heartbeat_every`](Self::heartbeat_every) if jobs
    /// can be judged stalled.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime. The job fails then, because its owner is unwound.
    ///
    /// ```no_run
    /// use job_registry_redis::{Error, JobRegistry};
    /// # use job_registry::JobId;
    ///
    /// # async fn f(jobs: JobRegistry<String>, id: JobId) -> Result<(), Error> {
    /// jobs.retry(id).await?.spawn(async |job| {
    ///     job.note("once more").await?;
    ///     Ok(())
    /// });
    /// # Ok(())
    /// # }
    /// ```
    #[allow(clippy::must_use_candidate)] // whoever retries knows the id
    pub fn spawn<F, Fut>(self, f: F) -> JobId
    where
        F: FnOnce(Arc<Job<T>>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send,
    {
        let (id, runtime) = (self.id(), Handle::current());
        let working = self.working();
        runtime.spawn(async move {
            // Dropped last: the work counts as running until the job has ended.
            let _working = working;
            let _ = work(Arc::new(self), f).await;
        });
        id
    }

    /// Works on the job on one of the runtime's blocking threads, as [`spawn`](Self::spawn) does, and
    /// returns the id. `f` is not interrupted if another call ends the job, and learns of that from
    /// the error of its next step. `Handle::current().block_on` waits for a step.
    ///
    /// # Panics
    ///
    /// As [`spawn`](Self::spawn).
    ///
    /// ```no_run
    /// use job_registry::Progress;
    /// use job_registry_redis::{Error, JobRegistry};
    /// use tokio::runtime::Handle;
    ///
    /// # async fn f(jobs: JobRegistry<String>) -> Result<(), Error> {
    /// let job = jobs.register(&"deck".to_owned()).await?;
    /// let id = job.spawn_blocking(|job| {
    ///     let runtime = Handle::current();
    ///     for page in 0..10 {
    ///         runtime.block_on(job.advance(Progress::ratio(page + 1, 10)?))?;
    ///     }
    ///     Ok(())
    /// });
    /// # Ok(())
    /// # }
    /// ```
    #[allow(clippy::must_use_candidate)] // whoever retries knows the id
    pub fn spawn_blocking<F>(self, f: F) -> JobId
    where
        F: FnOnce(&Job<T>) -> Result<(), Failure> + Send + 'static,
    {
        let (id, runtime) = (self.id(), Handle::current());
        let working = self.working();
        let here = runtime.clone();
        runtime.spawn_blocking(move || {
            let _working = working;
            if here.block_on(self.start_at_last()).is_ok() {
                let outcome = contain(|| f(&self));
                let _ = here.block_on(self.finish(outcome));
            }
        });
        id
    }

    /// Works on the job as [`spawn`](Self::spawn) does, within this future.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); `f` has not been called then. As the ending, if another call has
    /// ended the job.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the work is dropped, and the job fails as `abandoned`.
    pub async fn run<F, Fut>(self, f: F) -> Result<(), Error>
    where
        F: FnOnce(Arc<Job<T>>) -> Fut,
        Fut: Future<Output = Result<(), Failure>>,
    {
        let _working = self.working();
        work(Arc::new(self), f).await
    }

    fn working(&self) -> Hold {
        let owned = &self.registry().state.owned;
        owned.work(self.id(), self.fence())
    }

    /// Starts the job, and tries again while the store is not reached.
    async fn start_at_last(&self) -> Result<(), Error> {
        let (mut pause, mut may_be_own) = (PAUSE, false);
        loop {
            match self.start().await {
                Err(Error::Unavailable(how)) => may_be_own |= how == Unavailable::Unknown,
                Err(Error::Refused(Refusal::AlreadyStarted)) if may_be_own => return Ok(()),
                result => return result,
            }
            rest(&mut pause).await;
        }
    }

    /// Ends the job with the outcome of its work, and tries again while the store is not reached or
    /// rejects calls, and while another caller holds the lease.
    async fn finish(&self, outcome: Result<Result<(), Failure>, String>) -> Result<(), Error> {
        let (mut pause, mut may_be_own) = (PAUSE, false);
        loop {
            let ended = match &outcome {
                Ok(Ok(())) => self.complete().await,
                Ok(Err(failure)) => self.fail_for_error(failure.to_string()).await,
                Err(panic) => self.fail(format!("panicked: {panic}")).await,
            };
            match ended {
                Err(Error::Unavailable(how)) => may_be_own |= how == Unavailable::Unknown,
                // For instance because its disk is full.
                Err(Error::Rejected(_)) => {}
                // The lease may last longer than the silence that is a stall, and the heartbeats of
                // the work have ended with it.
                Err(Error::Refused(Refusal::Busy)) => drop(self.heartbeat().await),
                Err(Error::Refused(Refusal::Ended(_))) if may_be_own => return Ok(()),
                ended => return ended,
            }
            rest(&mut pause).await;
        }
    }
}

/// Works on a job until the work or the attempt ends.
async fn work<T, F, Fut>(job: Arc<Job<T>>, f: F) -> Result<(), Error>
where
    T: Send + 'static,
    F: FnOnce(Arc<Job<T>>) -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    job.start_at_last().await?;
    let mut work = pin!(async { f(job.clone()).await });
    let mut over = pin!(job.attempt_is_over());
    let outcome = poll_fn(|cx| {
        match contain(|| work.as_mut().poll(cx)) {
            Ok(Poll::Ready(result)) => return Poll::Ready(Some(Ok(result))),
            Ok(Poll::Pending) => {}
            Err(panic) => return Poll::Ready(Some(Err(panic))),
        }
        over.as_mut().poll(cx).map(|()| None)
    })
    .await;
    match outcome {
        Some(outcome) => job.finish(outcome).await,
        // The refusal says what ended it.
        None => job.start().await,
    }
}
