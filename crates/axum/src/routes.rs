//! [`JobRoutes`]: the routes, their options and their handlers.

use crate::events;
use crate::form::{Form, McpTaskList, OperationList, Seen, Shape};
use crate::headers::{PREFERENCE_APPLIED, Prefer, etag, has_version};
use crate::problem::{Problem, seconds};
use crate::registry::{Part, Registry};
use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{RequestPartsExt, Router};
use futures_util::StreamExt;
use job_registry::{JobId, Record, Snapshot};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A cache keeps the answer only to ask again whether it is still valid.
const REVALIDATED: HeaderValue = HeaderValue::from_static("private, no-cache");
/// Reason of a stop that a client requests.
const STOPPED: &str = "stopped by a client";
/// Reason of a cancel that a client requests.
const CANCELLED: &str = "cancelled by a client";
/// Number of jobs in a part of the list, unless the client asks for another one.
const PART: usize = 100;
/// Largest number of jobs in a part of the list.
const LARGEST_PART: usize = 1_000;

type Show<P> = dyn Fn(&Record<&P>) -> serde_json::Result<Box<RawValue>> + Send + Sync;
type Visible<P> = dyn Fn(&Parts, &Record<&P>) -> bool + Send + Sync;
type Retry<J> = dyn Fn(J) + Send + Sync;

/// The routes of a registry of jobs, to be merged into a service's router.
///
/// | route | answer |
/// |---|---|
/// | `GET {base}` | 200: a part of the list of all jobs. `?limit=` (default 100, at most 1,000), `?cursor=` |
/// | `GET {base}/{id}` | 200: the job, with its `ETag`. 304 if `If-None-Match` has it |
/// | `GET {base}/{id}/events` | 200: server-sent events. 204 if the client has seen the end |
/// | `DELETE {base}/{id}` | requests a stop. 202 while the worker cleans up, 200 if the job has ended. A second one, or `?force`, cancels the job at once |
/// | `POST {base}/{id}/retry` | 202: another attempt. This route exists only with [`retry`](Self::retry) |
///
/// The service adds the route by which jobs are submitted, and answers it by
/// [`accepted`](Self::accepted). Merge the routes instead of nesting them: `Location` begins with
/// `base`. A refusal is a [`Problem`]: 404 for an id that was never issued, or
/// of a job that this client may not see; 410 after the removal; 409 for a change that the job's
/// status does not permit; 412 for a change with a condition that fails. `If-Match` with a version
/// always fails, because an `ETag` here is weak: it does not count heartbeats.
///
/// # Waiting
///
/// With `Prefer: wait=n`, `GET {base}/{id}` waits for up to n seconds until the job has ended. With
/// `If-None-Match` too, it waits until the job has another version. The answer has
/// `Preference-Applied`. [`max_wait`](Self::max_wait) bounds n.
///
/// # Events
///
/// | event | `id:` | data |
/// |---|---|---|
/// | `state` | the version | the job, in the form of `GET {base}/{id}` |
/// | `heartbeat` | none | `last_heartbeat`, if only the heartbeat has changed |
/// | `removed` | the version | the job's entry in the plain list: it was removed before its end was sent |
/// | `shutdown` | none | the service is [stopping](Self::announce) |
///
/// The first event is the present state, or `shutdown` if the service is stopping already. The
/// stream finishes with the end of the attempt. A
/// slow client gets the latest state and skips those in between, and nothing is buffered for it. A
/// client that reconnects with `Last-Event-ID` does not get the same state again, and 204 if that
/// state was the end, so that an `EventSource` stops. Versions only grow, also over reconnects.
///
/// # Locking
///
/// Without [`show`](Self::show) and [`visible`](Self::visible), only requests that stop, cancel or
/// retry a job wait for its lock. With either, every request that reads a job may wait, as
/// [`JobRegistry::read`](job_registry::JobRegistry::read) does: keep the closures of `update`
/// short.
///
/// ```
/// use axum::Router;
/// use job_registry::JobRegistry;
/// use job_registry_axum::JobRoutes;
///
/// let jobs: JobRegistry<Vec<u64>> = JobRegistry::new();
/// let routes = JobRoutes::new(jobs, "/jobs").show(|record| record.payload.len());
/// let router: Router = Router::new().merge(routes.router());
/// # drop(router);
/// ```
pub struct JobRoutes<R: Registry> {
    registry: R,
    pub(crate) base: Arc<str>,
    pub(crate) form: Form,
    show: Option<Arc<Show<R::Payload>>>,
    visible: Option<Arc<Visible<R::Payload>>>,
    pub(crate) retry: Option<Arc<Retry<R::Job>>>,
    pub(crate) keep_alive: Duration,
    poll_interval: Duration,
    max_wait: Duration,
    pub(crate) announce: CancellationToken,
    pub(crate) end_streams: CancellationToken,
}

impl<R: Registry> Clone for JobRoutes<R> {
    fn clone(&self) -> Self {
        Self {
            registry: self.registry.clone(),
            base: Arc::clone(&self.base),
            form: self.form,
            show: self.show.clone(),
            visible: self.visible.clone(),
            retry: self.retry.clone(),
            keep_alive: self.keep_alive,
            poll_interval: self.poll_interval,
            max_wait: self.max_wait,
            announce: self.announce.clone(),
            end_streams: self.end_streams.clone(),
        }
    }
}

impl<R: Registry> fmt::Debug for JobRoutes<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRoutes")
            .field("base", &self.base)
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

impl<R: Registry> JobRoutes<R> {
    /// Returns the routes of a registry, below the path `base`, like `/jobs`.
    ///
    /// # Panics
    ///
    /// If `base` does not begin with a slash, ends with one, has parameters, or has letters that
    /// are not visible ASCII.
    #[must_use]
    pub fn new(registry: R, base: &str) -> Self {
        let is_path = base.starts_with('/') && !base.ends_with('/');
        let is_plain = base.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(
            is_path && is_plain && !base.contains(['{', '}', '?', '#']),
            "the base of the routes is a path like /jobs, not {base:?}"
        );
        Self {
            registry,
            base: base.into(),
            form: Form::default(),
            show: None,
            visible: None,
            retry: None,
            keep_alive: Duration::from_secs(15),
            poll_interval: Duration::from_secs(1),
            max_wait: Duration::from_secs(60),
            announce: CancellationToken::new(),
            end_streams: CancellationToken::new(),
        }
    }

    /// Sets the form in which jobs are shown. Default: [`Form::Plain`].
    #[must_use]
    pub fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// Shows the value that `show` returns as the job's payload, in JSON. By default no payload is
    /// shown.
    ///
    /// `show` runs under the job's lock, where [`JobRegistry::read`] runs its closure. Its result
    /// should depend on nothing but the job: the `ETag` counts the changes of the job alone.
    ///
    /// [`JobRegistry::read`]: job_registry::JobRegistry::read
    #[must_use]
    pub fn show<S: Serialize>(
        mut self,
        show: impl Fn(&Record<&R::Payload>) -> S + Send + Sync + 'static,
    ) -> Self {
        self.show = Some(Arc::new(move |record| to_raw_value(&show(record))));
        self
    }

    /// Shows a job only to the requests for which `visible` returns `true`. Every other request is
    /// answered as if the id had never been issued. The list contains the visible jobs only, and no
    /// counts; a part of it may be shorter than its limit, or empty.
    ///
    /// `visible` runs under the job's lock, as [`show`](Self::show) does. An id of a removed job is
    /// answered with 410 to everybody, because its payload is gone, and the event `removed` is not
    /// sent. Cursors and empty parts of the list show roughly how many jobs there are.
    ///
    /// [`accepted`](Self::accepted) does not ask `visible`: limit an `Idempotency-Key` to its
    /// client by [`scope`](crate::IdempotencyKey::scope).
    #[must_use]
    pub fn visible(
        mut self,
        visible: impl Fn(&Parts, &Record<&R::Payload>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.visible = Some(Arc::new(visible));
        self
    }

    /// Adds the route by which a client retries a job. `run` gets the owner of the new attempt, and
    /// begins the work without waiting for it.
    #[must_use]
    pub fn retry(mut self, run: impl Fn(R::Job) + Send + Sync + 'static) -> Self {
        self.retry = Some(Arc::new(run));
        self
    }

    /// Sets the interval at which a stream without other events sends a heartbeat, or a comment.
    /// Default: 15 s. From 1 ms to a day.
    #[must_use]
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        let (least, longest) = (Duration::from_millis(1), Duration::from_secs(86_400));
        self.keep_alive = interval.clamp(least, longest);
        self
    }

    /// Sets the interval at which clients should poll, for `Retry-After` of 202 and for
    /// [`Form::McpTask`]. Default: 1 s.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Sets the longest time for which `Prefer: wait` is honoured, in whole seconds. Default: 60 s.
    /// With less than a second, such a preference is ignored.
    #[must_use]
    pub fn max_wait(mut self, longest: Duration) -> Self {
        self.max_wait = longest;
        self
    }

    /// Announces a shutdown to clients when the token is cancelled: each stream sends the event
    /// `shutdown` and goes on to the job's end. Requests that wait are answered.
    ///
    /// Cancel the token before the jobs are: clients then learn of the shutdown first.
    #[must_use]
    pub fn announce(mut self, token: CancellationToken) -> Self {
        self.announce = token;
        self
    }

    /// Ends every stream when the token is cancelled, and answers requests that wait. A client gets
    /// the end of a job that has ended before. A client that reconnects to another replica goes on
    /// there. The same token may be given to [`announce`](Self::announce): the event `shutdown`
    /// then precedes the end of a stream.
    #[must_use]
    pub fn end_streams(mut self, token: CancellationToken) -> Self {
        self.end_streams = token;
        self
    }

    /// Returns the routes. Merge them into the service's router, or serve them as they are.
    pub fn router<S>(&self) -> Router<S> {
        let (all, one) = (self.base.to_string(), format!("{}/{{id}}", self.base));
        let router = Router::new()
            .route(&all, get(list::<R>))
            .route(&one, get(one_job::<R>).delete(stop::<R>))
            .route(&format!("{one}/events"), get(follow::<R>));
        let router = match self.retry {
            Some(_) => router.route(&format!("{one}/retry"), post(retry::<R>)),
            None => router,
        };
        router.with_state(Arc::new(self.clone()))
    }

    /// Returns the registry.
    #[must_use]
    pub fn registry(&self) -> &R {
        &self.registry
    }

    /// Returns the path of a job.
    #[must_use]
    pub fn path(&self, id: JobId) -> String {
        format!("{}/{id}", self.base)
    }

    /// Answers the request that has submitted a job: 202 with `Location`, `Retry-After` and the
    /// job.
    ///
    /// With `Prefer: wait=n` among the request's headers, it first waits for the job's end, for up
    /// to n seconds. If the job has ended then, the status is 200. A job that was removed meanwhile
    /// is answered with 410.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe. The job goes on if the client disconnects, provided that its owner has been
    /// given to its work before this call.
    pub async fn accepted(&self, headers: &HeaderMap, id: JobId) -> Response {
        let answer = self.begun(headers, id).await;
        answer.unwrap_or_else(IntoResponse::into_response)
    }

    async fn begun(&self, headers: &HeaderMap, id: JobId) -> Result<Response, Problem> {
        let prefer = Prefer::of(headers);
        let mut waited = None;
        if let Some(wait) = prefer.wait.and_then(|wait| self.bounded(wait)) {
            self.wait(id, wait, |_| false).await?;
            waited = Some(wait);
        }
        let seen = self.look(id, None).await?;
        let status = if waited.is_some() {
            of_status(&seen)
        } else {
            StatusCode::ACCEPTED
        };
        let respond_async = prefer.respond_async && status == StatusCode::ACCEPTED;
        let mut response = self.shown(status, seen)?;
        if let Some(applied) = Prefer::applied(waited, respond_async) {
            response.headers_mut().insert(PREFERENCE_APPLIED, applied);
        }
        Ok(response)
    }

    /// Returns the bounded wait, or `None` if waiting is disabled.
    fn bounded(&self, wait: Duration) -> Option<Duration> {
        // Whole seconds, because `Preference-Applied` says how many.
        let wait = Duration::from_secs(wait.min(self.max_wait).as_secs());
        (self.max_wait >= Duration::from_secs(1)).then_some(wait)
    }

    /// Waits until `enough` holds or the attempt has ended, or until the time is over or the
    /// service stops.
    async fn wait(
        &self,
        id: JobId,
        limit: Duration,
        enough: impl Fn(&Snapshot) -> bool,
    ) -> Result<(), Problem> {
        let mut watch = self.registry.watch(id).await.map_err(Into::into)?;
        let change = async { while watch.next().await.is_some_and(|seen| !enough(&seen)) {} };
        tokio::select! {
            _ = timeout(limit, change) => {}
            () = self.announce.cancelled() => {}
            () = self.end_streams.cancelled() => {}
        }
        Ok(())
    }

    /// Reads a job. With `parts`, the job must be visible to that request; `accepted` passes none.
    pub(crate) async fn look(&self, id: JobId, parts: Option<&Parts>) -> Result<Seen, Problem> {
        let visible = parts.zip(self.visible.as_deref());
        // A task of MCP shows no payload.
        let show = self.show.as_deref();
        let show = show.filter(|_| self.form != Form::McpTask);
        if visible.is_none() && show.is_none() {
            let details = self.registry.details(id).await.map_err(Into::into)?;
            return Ok(details.into());
        }
        let read = |record: Record<&R::Payload>| {
            if visible.is_some_and(|(parts, visible)| !visible(parts, &record)) {
                return None;
            }
            let payload = show.map(|show| show(&record)).transpose();
            Some(payload.map(|payload| Seen::new(&record, payload)))
        };
        let seen = self.registry.read(id, read).await.map_err(Into::into)?;
        let seen = seen.ok_or_else(Problem::not_found)?;
        seen.map_err(|error| Problem::not_shown(&error))
    }

    /// Refuses a request that may not see the job.
    pub(crate) async fn check(&self, id: JobId, parts: &Parts) -> Result<(), Problem> {
        let Some(visible) = self.visible.as_deref() else {
            return Ok(());
        };
        let seen = self.registry.read(id, |record| visible(parts, &record));
        let is_visible = seen.await.map_err(Into::into)?;
        is_visible.then_some(()).ok_or_else(Problem::not_found)
    }

    pub(crate) async fn snapshot(&self, id: JobId) -> Result<Snapshot, Problem> {
        self.registry.snapshot(id).await.map_err(Into::into)
    }

    pub(crate) async fn watch(&self, id: JobId) -> Result<R::Watch, Problem> {
        self.registry.watch(id).await.map_err(Into::into)
    }

    pub(crate) fn shape(&self) -> Shape<'_> {
        Shape {
            form: self.form,
            base: &self.base,
            clock: self.registry.clock(),
            poll_interval: self.poll_interval,
        }
    }

    /// Returns whether some jobs are not visible to everybody.
    pub(crate) fn restricts(&self) -> bool {
        self.visible.is_some()
    }

    /// The job in its form, with its version; `Location` and `Retry-After` with a status of 202.
    fn shown(&self, status: StatusCode, seen: Seen) -> Result<Response, Problem> {
        let (id, version) = (seen.snapshot.id(), seen.snapshot.version());
        let body = self.shape().job(seen);
        let body = body.map_err(|error| Problem::not_shown(&error))?;
        let mut response = json(status, body);
        let headers = response.headers_mut();
        headers.insert(header::ETAG, etag(version));
        if status == StatusCode::ACCEPTED {
            let location = self.path(id).parse();
            headers.extend(location.ok().map(|path| (header::LOCATION, path)));
            headers.insert(header::RETRY_AFTER, seconds(self.poll_interval));
        }
        Ok(response)
    }
}

/// Returns an answer in JSON.
pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CACHE_CONTROL, REVALIDATED);
    response
}

/// Returns the id of the path. A malformed id is answered like one that was never issued.
async fn id_of(parts: &mut Parts) -> Result<JobId, Problem> {
    let params: Result<RawPathParams, _> = parts.extract().await;
    let params = params.map_err(|_| Problem::not_found())?;
    // By name, because the routes may be nested below a path with parameters of its own.
    let id = params.iter().find(|(name, _)| *name == "id");
    let id = id.and_then(|(_, id)| id.parse().ok());
    id.ok_or_else(Problem::not_found)
}

async fn one_job<R: Registry>(
    State(routes): State<Arc<JobRoutes<R>>>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let id = id_of(&mut parts).await?;
    let known = |seen: &Snapshot| has_version(&parts.headers, seen.version());
    let conditional = parts.headers.contains_key(header::IF_NONE_MATCH);
    let wait = Prefer::of(&parts.headers).wait;
    let wait = wait.and_then(|wait| routes.bounded(wait));
    if let Some(wait) = wait {
        routes.check(id, &parts).await?;
        let enough = |seen: &Snapshot| conditional && !known(seen);
        // On the heap, so that a request that does not wait has a small future.
        Box::pin(routes.wait(id, wait, enough)).await?;
    }
    // A client that has this version is answered without the job's lock.
    let mut same = None;
    if conditional && routes.visible.is_none() {
        same = Some(routes.snapshot(id).await?).filter(known);
    }
    let mut response = if let Some(seen) = same {
        unchanged(&seen)
    } else {
        let seen = routes.look(id, Some(&parts)).await?;
        if conditional && known(&seen.snapshot) {
            unchanged(&seen.snapshot)
        } else {
            routes.shown(StatusCode::OK, seen)?
        }
    };
    if let Some(applied) = Prefer::applied(wait, false) {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

fn unchanged(seen: &Snapshot) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag(seen.version()));
    headers.insert(header::CACHE_CONTROL, REVALIDATED);
    response
}

/// Refuses a change whose condition does not hold.
fn unless_failed(headers: &HeaderMap, seen: &Snapshot) -> Result<(), Problem> {
    // Versions are weak validators, which `If-Match` never matches.
    let matches = headers.get_all(header::IF_MATCH).iter();
    let failed = matches
        .into_iter()
        .any(|tag| tag.as_bytes().trim_ascii() != b"*")
        || has_version(headers, seen.version());
    if failed {
        return Err(Problem::failed_precondition());
    }
    Ok(())
}

async fn stop<R: Registry>(
    State(routes): State<Arc<JobRoutes<R>>>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let id = id_of(&mut parts).await?;
    let force = forced(parts.uri.query().unwrap_or_default())?;
    routes.check(id, &parts).await?;
    unless_failed(&parts.headers, &routes.snapshot(id).await?)?;
    let registry = &routes.registry;
    let stopped = if force {
        registry.cancel(id, CANCELLED).await
    } else {
        registry.stop(id, STOPPED).await
    };
    stopped.map_err(Into::into)?;
    let seen = routes.look(id, Some(&parts)).await?;
    routes.shown(of_status(&seen), seen)
}

/// 200 for a job that has ended, and 202 for one that is live.
fn of_status(seen: &Seen) -> StatusCode {
    if seen.snapshot.status().is_ended() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    }
}

/// Returns whether a query has `force`, without a value or with `true`.
fn forced(query: &str) -> Result<bool, Problem> {
    let mut force = false;
    for (name, value) in pairs(query) {
        match (name, value) {
            ("force", "" | "true") => force = true,
            ("force", "false") => force = false,
            ("force", _) => return Err(Problem::bad_query("`force` is true or false")),
            _ => {}
        }
    }
    Ok(force)
}

/// Returns the names and values of a query. They are not percent-decoded, because no valid one
/// needs it.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

async fn retry<R: Registry>(
    State(routes): State<Arc<JobRoutes<R>>>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let id = id_of(&mut parts).await?;
    routes.check(id, &parts).await?;
    unless_failed(&parts.headers, &routes.snapshot(id).await?)?;
    let job = routes.registry.retry(id).await.map_err(Into::into)?;
    // Nothing is awaited between the retry and its work.
    if let Some(run) = &routes.retry {
        run(job);
    }
    let seen = routes.look(id, Some(&parts)).await?;
    routes.shown(StatusCode::ACCEPTED, seen)
}

async fn follow<R: Registry>(
    State(routes): State<Arc<JobRoutes<R>>>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let id = id_of(&mut parts).await?;
    routes.check(id, &parts).await?;
    events::stream(routes, id, parts).await
}

async fn list<R: Registry>(
    State(routes): State<Arc<JobRoutes<R>>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let (cursor, limit) = part_of::<R::Cursor>(parts.uri.query().unwrap_or_default())?;
    let page = routes.registry.page(cursor, limit).await;
    let Part { mut jobs, next } = page.map_err(Into::into)?;
    let next = next.map(|next| next.to_string());
    let body = if routes.form == Form::Plain {
        let mut counts = None;
        if routes.visible.is_some() {
            let mut visible = Vec::with_capacity(jobs.len());
            for seen in jobs {
                visible.extend(found(routes.check(seen.id(), &parts).await)?.map(|()| seen));
            }
            jobs = visible;
        } else {
            counts = Some(routes.registry.counts().await.map_err(Into::into)?);
        }
        serde_json::to_vec(&routes.shape().plain_list(&jobs, next, counts))
    } else {
        let mut seen = Vec::with_capacity(jobs.len());
        for job in jobs {
            seen.extend(found(routes.look(job.id(), Some(&parts)).await)?);
        }
        let (shape, seen) = (routes.shape(), seen.into_iter());
        if routes.form == Form::Operation {
            serde_json::to_vec(&OperationList {
                operations: seen.map(|seen| shape.operation(seen)).collect(),
                next_page_token: next.unwrap_or_default(),
            })
        } else {
            serde_json::to_vec(&McpTaskList {
                tasks: seen.map(|seen| shape.mcp_task(seen)).collect(),
                next_cursor: next,
            })
        }
    };
    Ok(json(
        StatusCode::OK,
        body.map_err(|error| Problem::not_shown(&error))?,
    ))
}

/// Leaves a job out of the list that was removed meanwhile, or is not visible.
fn found<V>(job: Result<V, Problem>) -> Result<Option<V>, Problem> {
    match job {
        Ok(job) => Ok(Some(job)),
        Err(problem) if [StatusCode::NOT_FOUND, StatusCode::GONE].contains(&problem.status()) => {
            Ok(None)
        }
        Err(problem) => Err(problem),
    }
}

/// Returns the part of the list that a query asks for. Parameter names of all three forms are
/// accepted.
fn part_of<C: Default + FromStr<Err: Into<Problem>>>(query: &str) -> Result<(C, usize), Problem> {
    let (mut cursor, mut limit) = (C::default(), PART);
    for (name, value) in pairs(query) {
        match name {
            "cursor" | "pageToken" if value.is_empty() => {}
            "cursor" | "pageToken" => cursor = value.parse().map_err(Into::into)?,
            "limit" | "pageSize" => {
                let asked = value.parse().ok().filter(|limit| *limit > 0);
                let asked: usize = asked
                    .ok_or_else(|| Problem::bad_query("`limit` is a whole number from 1 on"))?;
                limit = asked.min(LARGEST_PART);
            }
            _ => {}
        }
    }
    Ok((cursor, limit))
}
