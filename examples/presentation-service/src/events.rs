//! `GET /api/presentations/{id}/events`: one presentation as server-sent events.
//!
//! The connection pulls the stream, which generates events on demand. A slow reader gets the latest
//! state and skips those in between, and nothing is buffered for it.

use crate::api::parse;
use crate::errors::ApiError;
use crate::jobs::Presentation;
use crate::state::AppState;
use crate::views::{Line, View};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use job_registry::{JobId, Snapshot, Version, Watch};
use serde::Serialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The data of the event `heartbeat`.
#[derive(Debug, Serialize)]
struct Heartbeat {
    last_heartbeat: String,
}

/// The data of the event `shutdown`.
#[derive(Debug, Serialize)]
struct Shutdown {
    message: &'static str,
}

pub(crate) async fn events(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    let watch = state.registry.watch(id)?;
    let now = state.registry.snapshot(id)?;
    // A client with any other version gets the current state.
    let sent = last_event_id(&headers).filter(|seen| *seen == now.version());
    if sent.is_some() && now.status().is_ended() {
        // An `EventSource` reconnects whenever a stream ends, unless it gets this status.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let follower = Follower::new(state, id, watch, sent);
    let stream = unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        // A value that cannot be serialised would be a bug; it ends only this stream.
        Some((Ok::<_, Infallible>(event.ok()?), follower))
    });
    // The keep-alive comment detects a disconnected reader when there are no events.
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(stream).keep_alive(keep_alive).into_response())
}

/// The version that the client has seen, if the header is valid.
fn last_event_id(headers: &HeaderMap) -> Option<Version> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// One reader of one presentation.
struct Follower {
    state: AppState,
    id: JobId,
    watch: Watch<Presentation>,
    /// The last version that was sent to the reader.
    sent: Option<Version>,
    /// The last heartbeat that was sent to the reader.
    beat: Duration,
    beats: Interval,
    /// Whether the shutdown has been announced to the reader.
    warned: bool,
    /// A change that is sent after the announcement of the shutdown.
    held: Option<Snapshot>,
    finished: bool,
}

impl Follower {
    fn new(state: AppState, id: JobId, watch: Watch<Presentation>, sent: Option<Version>) -> Self {
        let mut beats = interval(state.config.heartbeat.max(Duration::from_millis(1)));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            state,
            id,
            watch,
            sent,
            beat: Duration::ZERO,
            beats,
            warned: false,
            held: None,
            finished: false,
        }
    }

    /// Returns the next event, or `None` at the end.
    async fn next(&mut self) -> Option<Result<Event, axum::Error>> {
        while !self.finished {
            if let Some(seen) = self.held.take() {
                let event = self.changed(&seen);
                if event.is_some() {
                    return event;
                }
                continue;
            }
            tokio::select! {
                biased;
                () = self.state.stopping.cancelled(), if !self.warned => return Some(self.warning()),
                changed = self.watch.changed() => {
                    let seen = changed?;
                    // The service is told to stop before it cancels anything. The change may still
                    // be that cancel, if both came between the two checks.
                    if !self.warned && self.state.stopping.is_cancelled() {
                        self.held = Some(seen);
                        return Some(self.warning());
                    }
                    let event = self.changed(&seen);
                    if event.is_some() {
                        return event;
                    }
                }
                _ = self.beats.tick() => {
                    let event = self.heartbeat();
                    if event.is_some() {
                        return event;
                    }
                }
            }
        }
        None
    }

    fn warning(&mut self) -> Result<Event, axum::Error> {
        self.warned = true;
        let message = "the service is shutting down";
        Event::default()
            .event("shutdown")
            .json_data(Shutdown { message })
    }

    /// The event for a change. `None` if the reader has this version.
    fn changed(&mut self, seen: &Snapshot) -> Option<Result<Event, axum::Error>> {
        let ended = seen.status().is_ended();
        if self.sent.is_some_and(|sent| seen.version() <= sent) {
            self.finished = ended;
            return None;
        }
        self.beat = seen.last_heartbeat();
        let Ok(view) = View::of(&self.state.registry, self.id) else {
            // The presentation was removed before this reader saw its end: only the snapshot is
            // left.
            self.finished = true;
            let line = Line::of(&self.state.registry, seen);
            let event = Event::default().event("removed").id(&line.version);
            return Some(event.json_data(line));
        };
        self.sent = view.version.parse().ok();
        self.finished = view.ended_at.is_some();
        if ended && !self.finished {
            // The presentation was retried meanwhile. The old watch has finished with the end of
            // the old attempt; a new one follows the next attempt.
            match self.state.registry.watch(self.id) {
                Ok(watch) => self.watch = watch,
                Err(_) => self.finished = true,
            }
        }
        let event = Event::default().event("state").id(&view.version);
        Some(event.json_data(view))
    }

    /// Heartbeats are not versions: they are sent without an id, and only after a new one.
    fn heartbeat(&mut self) -> Option<Result<Event, axum::Error>> {
        let seen = self.state.registry.snapshot(self.id).ok()?;
        // The reader must first have the state to which the heartbeat belongs.
        if self.sent != Some(seen.version()) || seen.last_heartbeat() <= self.beat {
            return None;
        }
        self.beat = seen.last_heartbeat();
        let last_heartbeat = Line::of(&self.state.registry, &seen).last_heartbeat;
        let event = Event::default().event("heartbeat");
        Some(event.json_data(Heartbeat { last_heartbeat }))
    }
}
