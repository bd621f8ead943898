//! The registry behind the routes of `job-registry-axum`.

use crate::error::{Error, PayloadError, Unavailable};
use crate::job::Job;
use crate::once::{Keys, Once};
use crate::page::Cursor;
use crate::registry::JobRegistry;
use axum::http::StatusCode;
use futures_util::Stream;
use futures_util::stream::unfold;
use job_registry::{Counts, Details, Error as Refusal, JobId, Options, Record, Snapshot};
use job_registry_axum::{IdempotencyKey, Part, Problem, Registry, WallClock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

/// Time after which a client may ask a store again that did not answer.
const LATER: Duration = Duration::from_secs(1);

impl From<Error> for Problem {
    /// A refusal of the registry is the library's problem. A store that is out of reach, or that
    /// rejects the call, is 503 with `Retry-After`. A payload that is too large is 413, and one
    /// that cannot be encoded or decoded 500. The store's messages are not shown to clients.
    fn from(error: Error) -> Self {
        let (status, title, detail) = match &error {
            Error::Refused(refusal) => return (*refusal).into(),
            Error::Payload(PayloadError::TooLarge { .. }) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "The payload is too large",
                error.to_string(),
            ),
            Error::Payload(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "The payload cannot be used",
                "the payload was not encoded or decoded".to_owned(),
            ),
            Error::LockLost => (StatusCode::CONFLICT, "The lock was lost", error.to_string()),
            Error::Unavailable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The store does not answer",
                error.to_string(),
            ),
            Error::Rejected(_) | Error::Unusable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The store rejects the call",
                "the store rejected the call".to_owned(),
            ),
        };
        let problem = Self::new(status, error.name(), title, detail);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            problem.retry_after(LATER)
        } else {
            problem
        }
    }
}

/// With the feature `axum`.
impl<T: Send + Sync + 'static> Keys<T> {
    /// Registers a job for a request and gives its owner to `begin`, as
    /// [`IdempotencyKey::submit`] does for a registry in memory. A request without a key always
    /// registers a job.
    ///
    /// Give jobs a deadline. If this process dies before a job is started, no stall verdict covers
    /// it, and the key leads to it until it has ended.
    ///
    /// # Errors
    ///
    /// Returns a problem with the status 422 for a known key with another body, 429 if the registry
    /// is full, 413 for a payload that is too large, and 503 if the registry is closed or the store
    /// does not answer. `begin` is not called then.
    ///
    /// # Cancel safety
    ///
    /// A task makes the call, and goes on if the future is dropped because the client disconnects.
    ///
    /// ```no_run
    /// use axum::extract::State;
    /// use axum::http::HeaderMap;
    /// use axum::response::Response;
    /// use job_registry::{Options, Progress};
    /// use job_registry_axum::{IdempotencyKey, JobRoutes, Problem};
    /// use job_registry_redis::{JobRegistry, Keys};
    /// use std::time::Duration;
    ///
    /// #[derive(Clone)]
    /// struct App {
    ///     keys: Keys<String>,
    ///     jobs: JobRoutes<JobRegistry<String>>,
    /// }
    ///
    /// async fn submit(
    ///     State(app): State<App>,
    ///     key: IdempotencyKey,
    ///     headers: HeaderMap,
    ///     deck: String,
    /// ) -> Result<Response, Problem> {
    ///     let options = Options::new().deadline(Duration::from_secs(600));
    ///     let body = deck.clone();
    ///     let submitted = app.keys.submit(&key, body.as_bytes(), deck, options, |job| {
    ///         job.spawn(async |job| {
    ///             let _beats = job.heartbeat_every(Duration::from_secs(5));
    ///             job.advance(Progress::percent(50.0)?).await?;
    ///             Ok(())
    ///         });
    ///     });
    ///     let id = submitted.await?;
    ///     Ok(app.jobs.accepted(&headers, id).await) // 202, with `Location`
    /// }
    /// # let _: axum::Router<App> = axum::Router::new().route("/", axum::routing::post(submit));
    /// ```
    pub async fn submit(
        &self,
        key: &IdempotencyKey,
        body: &[u8],
        payload: T,
        options: Options,
        begin: impl FnOnce(Job<T>) + Send + 'static,
    ) -> Result<JobId, Problem> {
        let (keys, key) = (self.clone(), key.to_key(body));
        let submitted = tokio::spawn(async move {
            let job = match key {
                None => keys.registry().register_with(&payload, options).await?,
                Some(key) => match keys.register_with(&key, &payload, options).await? {
                    Once::New(job) => job,
                    Once::Existing { id } => return Ok(id),
                    Once::Mismatch => return Err(Problem::reused_key()),
                },
            };
            let id = job.id();
            begin(job);
            Ok(id)
        });
        match submitted.await {
            Ok(submitted) => submitted,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime shuts down.
                Err(_) => Err(Error::from(Unavailable::Unknown).into()),
            },
        }
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Registry for JobRegistry<T> {
    type Payload = T;
    type Job = Job<T>;
    type Watch = Pin<Box<dyn Stream<Item = Snapshot> + Send>>;
    type Cursor = Cursor;
    type Error = Error;

    async fn snapshot(&self, id: JobId) -> Result<Snapshot, Error> {
        self.snapshot(id).await
    }

    async fn details(&self, id: JobId) -> Result<Details, Error> {
        self.details(id).await
    }

    async fn read<R: Send + 'static>(
        &self,
        id: JobId,
        f: impl FnOnce(Record<&T>) -> R + Send,
    ) -> Result<R, Error> {
        self.read(id, f).await
    }

    async fn watch(&self, id: JobId) -> Result<Self::Watch, Error> {
        let watch = self.watch(id).await?;
        let changes = unfold(watch, |mut watch| async move {
            let seen = watch.changed().await?;
            Some((seen, watch))
        });
        Ok(Box::pin(changes))
    }

    async fn page(&self, cursor: Cursor, n: usize) -> Result<Part<Cursor>, Error> {
        let page = self.page(cursor, n).await?;
        let (jobs, next) = (page.jobs, page.next);
        Ok(Part { jobs, next })
    }

    async fn counts(&self) -> Result<Counts, Error> {
        self.counts().await
    }

    async fn stop(&self, id: JobId, reason: &str) -> Result<(), Error> {
        match self.request_stop(id, reason).await {
            Err(Error::Refused(Refusal::Stopping)) => self.cancel_because(id, reason).await,
            other => other.map(drop),
        }
    }

    async fn cancel(&self, id: JobId, reason: &str) -> Result<(), Error> {
        self.cancel_because(id, reason).await
    }

    async fn retry(&self, id: JobId) -> Result<Job<T>, Error> {
        // A task goes on if the client disconnects. The new attempt then has an owner, which is
        // dropped and fails it, and is not left pending for ever.
        let jobs = self.clone();
        let retried = tokio::spawn(async move { jobs.retry(id).await }).await;
        retried.unwrap_or(Err(Unavailable::Unknown.into()))
    }

    /// The clock of this process: times of jobs are those of the server, since 1970.
    fn clock(&self) -> WallClock {
        let now = SystemTime::now();
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        WallClock::new(since.unwrap_or_default(), now)
    }
}
