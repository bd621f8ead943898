//! One job as server-sent events.
//!
//! The connection pulls the stream, which makes events on demand.

use crate::headers::last_event_id;
use crate::problem::Problem;
use crate::registry::Registry;
use crate::routes::JobRoutes;
use crate::time::Time;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::unfold;
use job_registry::{JobId, Snapshot, Version};
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval_at, timeout};

/// Tells an nginx proxy to forward each event immediately.
const UNBUFFERED: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-accel-buffering"),
    HeaderValue::from_static("no"),
);

/// The data of the event `heartbeat`.
#[derive(Debug, Serialize)]
struct Heartbeat {
    last_heartbeat: Time,
}

/// The data of the event `shutdown`.
#[derive(Debug, Serialize)]
struct Shutdown {
    message: &'static str,
}

/// Answers a request for the events of a job that it may see.
pub(crate) async fn stream<R: Registry>(
    routes: Arc<JobRoutes<R>>,
    id: JobId,
    parts: Parts,
) -> Result<Response, Problem> {
    let watch = routes.watch(id).await?;
    let now = routes.snapshot(id).await?;
    // A client with any other version gets the present state.
    let sent = last_event_id(&parts.headers).filter(|seen| *seen == now.version());
    if sent.is_some() && now.status().is_ended() {
        // An `EventSource` reconnects whenever a stream ends, unless it gets this status.
        let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        return Ok((StatusCode::NO_CONTENT, headers).into_response());
    }
    let follower = Follower::new(routes, id, parts, watch, sent);
    let stream = unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    let mut response = Sse::new(stream).into_response();
    response.headers_mut().extend([UNBUFFERED]);
    Ok(response)
}

/// One client of one job.
struct Follower<R: Registry> {
    routes: Arc<JobRoutes<R>>,
    id: JobId,
    /// The request, for [`JobRoutes::visible`]. `None` if everything is visible, to save memory.
    parts: Option<Box<Parts>>,
    watch: R::Watch,
    /// The last version that was sent to the client.
    sent: Option<Version>,
    /// The last heartbeat that was sent to the client.
    heartbeat: Duration,
    ticks: Interval,
    /// Whether the shutdown has been announced to the client.
    announced: bool,
    /// A change that is sent after the announcement of the shutdown.
    held: Option<Snapshot>,
    finished: bool,
}

/// The reasons for which a follower wakes.
enum Next {
    Announcement,
    Change(Snapshot),
    Tick,
    /// The streams are told to end.
    Last,
    End,
}

/// Time for the last look at a job before its stream ends.
const LAST_LOOK: Duration = Duration::from_secs(1);

impl<R: Registry> Follower<R> {
    fn new(
        routes: Arc<JobRoutes<R>>,
        id: JobId,
        parts: Parts,
        watch: R::Watch,
        sent: Option<Version>,
    ) -> Self {
        let period = routes.keep_alive;
        let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let parts = routes.restricts().then(|| Box::new(parts));
        Self {
            routes,
            id,
            parts,
            watch,
            sent,
            ticks,
            heartbeat: Duration::ZERO,
            announced: false,
            held: None,
            finished: false,
        }
    }

    /// Returns the next event, or `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        while !self.finished {
            if let Some(seen) = self.held.take() {
                if self.routes.end_streams.is_cancelled() {
                    return self.last().await;
                }
                let event = self.changed(&seen).await;
                if event.is_some() {
                    return event;
                }
                continue;
            }
            match self.wait().await {
                Next::Announcement => return Some(self.announcement()),
                // The service announces the shutdown before it cancels anything. The change may
                // still be that cancel, if both came between two checks.
                Next::Change(seen) if self.must_announce() => {
                    self.held = Some(seen);
                    return Some(self.announcement());
                }
                Next::Change(seen) => {
                    let event = self.changed(&seen).await;
                    if event.is_some() {
                        return event;
                    }
                }
                Next::Tick => return Some(self.tick().await),
                Next::Last => return self.last().await,
                Next::End => return None,
            }
        }
        None
    }

    /// Returns the end of the job if the client does not have it yet. The stream ends then.
    async fn last(&mut self) -> Option<Event> {
        let look = async {
            let seen = self.routes.snapshot(self.id).await.ok()?;
            if seen.status().is_ended() {
                self.changed(&seen).await
            } else {
                None
            }
        };
        let event = timeout(LAST_LOOK, look).await.ok().flatten();
        self.finished = true;
        event
    }

    fn must_announce(&self) -> bool {
        !self.announced && self.routes.announce.is_cancelled()
    }

    async fn wait(&mut self) -> Next {
        let routes = &self.routes;
        tokio::select! {
            biased;
            () = routes.announce.cancelled(), if !self.announced => Next::Announcement,
            // Before the changes, so that a job that always changes cannot keep its streams.
            () = routes.end_streams.cancelled() => Next::Last,
            changed = self.watch.next() => changed.map_or(Next::End, Next::Change),
            _ = self.ticks.tick() => Next::Tick,
        }
    }

    fn announcement(&mut self) -> Event {
        self.announced = true;
        let message = "the service is shutting down";
        data("shutdown", &Shutdown { message })
    }

    /// The event for a change. `None` if the client has this version.
    async fn changed(&mut self, seen: &Snapshot) -> Option<Event> {
        let ended = seen.status().is_ended();
        if self.sent.is_some_and(|sent| seen.version() <= sent) {
            self.finished = ended;
            return None;
        }
        self.ticks.reset();
        self.heartbeat = seen.last_heartbeat();
        let job = match self.routes.look(self.id, self.parts.as_deref()).await {
            Ok(job) => job,
            Err(problem) => {
                self.finished = true;
                return self.lost(seen, &problem);
            }
        };
        let now = job.snapshot;
        self.sent = Some(now.version());
        self.heartbeat = self.heartbeat.max(now.last_heartbeat());
        self.finished = now.status().is_ended();
        if ended && !self.finished {
            // The job was retried meanwhile. The old watch has finished with the end of the old
            // attempt; a new one follows the next attempt.
            match self.routes.watch(self.id).await {
                Ok(watch) => self.watch = watch,
                Err(_) => self.finished = true,
            }
        }
        let body = self.routes.shape().job(job);
        let body = body.ok().and_then(|body| String::from_utf8(body).ok())?;
        Some(state(now.version(), "state").data(body))
    }

    /// Returns the last event of a removed job. A service with `visible` sends none, because the
    /// payload that decides is gone.
    fn lost(&self, seen: &Snapshot, problem: &Problem) -> Option<Event> {
        // Only the snapshot is left.
        let removed = problem.status() == StatusCode::GONE && self.parts.is_none();
        let summary = removed.then(|| self.routes.shape().summary(seen))?;
        with_data(state(seen.version(), "removed"), &summary)
    }

    /// Returns a heartbeat without an id, or a comment by which a disconnected client is detected.
    async fn tick(&mut self) -> Event {
        let comment = Event::default().comment("");
        if let Some(parts) = &self.parts {
            if self.routes.check(self.id, parts).await.is_err() {
                self.finished = true;
                return comment;
            }
        }
        let Ok(seen) = self.routes.snapshot(self.id).await else {
            return comment;
        };
        // The client must first have the state to which the heartbeat belongs.
        if self.sent != Some(seen.version()) || seen.last_heartbeat() <= self.heartbeat {
            return comment;
        }
        self.heartbeat = seen.last_heartbeat();
        let last_heartbeat = self.routes.shape().at(seen.last_heartbeat());
        data("heartbeat", &Heartbeat { last_heartbeat })
    }
}

fn state(version: Version, name: &str) -> Event {
    Event::default().event(name).id(version.to_string())
}

/// Returns an event without an id, with `data` as JSON.
fn data(name: &str, data: &impl Serialize) -> Event {
    with_data(Event::default().event(name), data).unwrap_or_default()
}

fn with_data(event: Event, data: &impl Serialize) -> Option<Event> {
    Some(event.data(serde_json::to_string(data).ok()?))
}
