//! `spawn` and `spawn_blocking`: a task that owns its job.

use crate::api::job::Job;
use crate::api::registry::JobRegistry;
use crate::sync::deferred::{Deferred, defer, holds_lock};
use crate::sync::panics::Panics;
use crate::sync::rt::Handle;
use crate::types::error::RegisterError;
use crate::types::failure::Failure;
use crate::types::id::JobId;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

impl<T: Send + 'static> JobRegistry<T> {
    /// Registers a job and spawns a task that works on it. The job is started before `f` runs. It
    /// completes if the future returns `Ok`, and fails with the error's text if it returns `Err`.
    /// If a stop was requested, an error cancels it. It fails with `panicked: …` if the future
    /// panics, and as `abandoned` if the runtime shuts down first.
    ///
    /// `?` converts every error that is `Send` and `Sync` to a [`Failure`], whose text includes the
    /// error's causes.
    ///
    /// If another call ends the job, for example [`cancel`](Self::cancel), the future is dropped at
    /// its next `await`.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    ///
    /// # Locking
    ///
    /// As [`register`](Self::register). The task takes the job's lock to start and to end it. If
    /// another task of its thread holds a guard across an `await`, it waits for that guard first.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime. No job is registered then.
    ///
    /// ```
    /// use job_registry::{JobRegistry, Progress, Status};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # runtime.block_on(async {
    /// let jobs = JobRegistry::new();
    /// let id = jobs.spawn("deck", async |job| {
    ///     job.advance(Progress::percent(50.0)?)?;
    ///     tokio::task::yield_now().await;
    ///     Ok(())
    /// })?;
    ///
    /// let mut watch = jobs.watch(id)?;
    /// while let Some(seen) = watch.changed().await {
    ///     println!("{}: {}", seen.status(), seen.progress());
    /// }
    /// assert_eq!(jobs.snapshot(id)?.status(), Status::Completed);
    /// # Ok::<(), job_registry::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn<F, Fut>(&self, payload: T, f: F) -> Result<JobId, RegisterError<T>>
    where
        F: FnOnce(Arc<Job<T>>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send,
    {
        let runtime = Handle::current();
        Ok(self.register(payload)?.spawn_on(&runtime, f))
    }

    /// Registers a job and works on it as [`spawn`](Self::spawn) does, for code that blocks: `f`
    /// runs on one of the runtime's blocking threads. It is not interrupted if another call ends
    /// the job, and learns of that from the error of its next step.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    ///
    /// # Locking
    ///
    /// As [`register`](Self::register). The task takes the job's lock to start and to end it.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime. No job is registered then.
    ///
    /// ```
    /// use job_registry::{JobRegistry, Progress};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # runtime.block_on(async {
    /// let jobs = JobRegistry::new();
    /// let id = jobs.spawn_blocking(Vec::new(), |job| {
    ///     for page in 0..10 {
    ///         job.update(|pages| pages.push(page))?;
    ///         job.advance(Progress::ratio(page + 1, 10)?)?;
    ///     }
    ///     Ok(())
    /// })?;
    /// # let mut watch = jobs.watch(id)?;
    /// # while watch.changed().await.is_some() {}
    /// # assert_eq!(jobs.get(id)?.payload.len(), 10);
    /// # Ok::<(), job_registry::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_blocking<F>(&self, payload: T, f: F) -> Result<JobId, RegisterError<T>>
    where
        F: FnOnce(&Job<T>) -> Result<(), Failure> + Send + 'static,
    {
        let runtime = Handle::current();
        Ok(self.register(payload)?.spawn_blocking_on(&runtime, f))
    }
}

impl<T: Send + 'static> Job<T> {
    /// Spawns a task that works on the job, as [`JobRegistry::spawn`] does. Returns the id. A retry
    /// is spawned in the same way.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime. The job fails then, because its owner is
    /// unwound.
    ///
    /// ```
    /// use job_registry::{JobRegistry, Status};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let jobs = JobRegistry::new();
    /// let id = jobs.spawn("deck", async |_job| Err("renderer crashed".into()))?;
    /// let mut watch = jobs.watch(id)?;
    /// while watch.changed().await.is_some() {}
    ///
    /// jobs.retry(id)?.spawn(async |_job| Ok(()));
    /// let mut watch = jobs.watch(id)?;
    /// while watch.changed().await.is_some() {}
    /// assert_eq!(jobs.snapshot(id)?.status(), Status::Completed);
    /// # Ok::<(), job_registry::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[allow(clippy::must_use_candidate)] // whoever retries knows the id
    pub fn spawn<F, Fut>(self, f: F) -> JobId
    where
        F: FnOnce(Arc<Job<T>>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send,
    {
        self.spawn_on(&Handle::current(), f)
    }

    /// Works on the job on one of the runtime's blocking threads, as
    /// [`JobRegistry::spawn_blocking`] does. Returns the id.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime. The job fails then, because its owner is
    /// unwound.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register(Vec::new())?;
    /// let id = job.spawn_blocking(|job| Ok(job.update(|pages| pages.push(1))?));
    /// # let mut watch = jobs.watch(id)?;
    /// # while watch.changed().await.is_some() {}
    /// # assert_eq!(jobs.get(id)?.payload, [1]);
    /// # Ok::<(), job_registry::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[allow(clippy::must_use_candidate)] // whoever retries knows the id
    pub fn spawn_blocking<F>(self, f: F) -> JobId
    where
        F: FnOnce(&Job<T>) -> Result<(), Failure> + Send + 'static,
    {
        self.spawn_blocking_on(&Handle::current(), f)
    }

    fn spawn_on<F, Fut>(self, runtime: &Handle, f: F) -> JobId
    where
        F: FnOnce(Arc<Job<T>>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send,
    {
        let id = self.id();
        let working = self.registry().state.works.enter(id);
        #[cfg(feature = "tracing")]
        let span = self.span();
        let task = async move {
            // Dropped last: the work counts as running until the job has ended.
            let _working = working;
            run(Arc::new(self), f).await;
        };
        #[cfg(feature = "tracing")]
        let task = tracing::Instrument::instrument(task, span);
        runtime.spawn(task);
        id
    }

    fn spawn_blocking_on<F>(self, runtime: &Handle, f: F) -> JobId
    where
        F: FnOnce(&Job<T>) -> Result<(), Failure> + Send + 'static,
    {
        let id = self.id();
        let working = self.registry().state.works.enter(id);
        runtime.spawn_blocking(move || {
            let _working = working;
            // Refused if the job has ended while it waited for a thread.
            let _ = self.run(f);
        });
        id
    }
}

/// Works on the job until the work or the job ends.
async fn run<T, F, Fut>(job: Arc<Job<T>>, f: F)
where
    T: Send + 'static,
    F: FnOnce(Arc<Job<T>>) -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    let Ok(mut watch) = job.watch() else { return };
    released().await;
    if job.start().is_err() {
        return;
    }
    let mut work = pin!(async { f(job.clone()).await });
    let mut ended = pin!(async {
        while let Some(seen) = watch.changed().await {
            // If a retry followed an end, the watch may show only the next attempt.
            if seen.status().is_ended() || !job.is_attempt_of(&seen) {
                break;
            }
        }
    });
    let outcome = poll_fn(|cx| {
        let mut panics = Panics::default();
        match panics.catch(|| work.as_mut().poll(cx)) {
            Some(Poll::Ready(result)) => return Poll::Ready(Some(Ok(result))),
            Some(Poll::Pending) => {}
            None => return Poll::Ready(Some(Err(panics))),
        }
        ended.as_mut().poll(cx).map(|()| None)
    })
    .await;
    if let Some(outcome) = outcome {
        released().await;
        // Refused if the job has been ended by another call, or retried.
        let _ = job.finish(outcome);
    }
}

/// Waits until this thread holds no job's lock. Another task of the thread may hold a guard across
/// an `await`. The caller may take a lock until its next `await`.
async fn released() {
    poll_fn(|cx| {
        if holds_lock() {
            // Woken when the guard is dropped.
            defer([Deferred::Wake(cx.waker().clone())]);
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
}
