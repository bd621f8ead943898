//! `GET /api/presentations/{id}/events`: one presentation as server-sent events.
//!
//! The stream is pulled by the connection. What a reader does not take is not made: a slow one gets the
//! latest state and not each of them, and nothing piles up behind it.

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
use job_registry::{JobId, Snapshot, Watch};
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
    // Any other version than the present one is answered with the state as it is.
    let sent = last_event_id(&headers).filter(|seen| *seen == now.version());
    if sent.is_some() && now.status().is_ended() {
        // An `EventSource` comes back whenever a stream ends, unless it is told that this was all.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let follower = Follower::new(state, id, watch, sent);
    let stream = unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        // A value that cannot be serialised would be a bug; it ends the stream and nothing else.
        Some((Ok::<_, Infallible>(event.ok()?), follower))
    });
    // A comment where nothing else is sent: without it, nobody would notice that the reader is gone.
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(stream).keep_alive(keep_alive).into_response())
}

/// The version that the client has seen, if it says so in a way that makes sense.
fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// One reader of one presentation.
struct Follower {
    state: AppState,
    id: JobId,
    watch: Watch<Presentation>,
    /// The version that the reader has.
    sent: Option<u64>,
    /// The heartbeat that the reader has.
    beat: Duration,
    beats: Interval,
    /// Whether the reader knows that the service is stopping.
    warned: bool,
    /// A change that has been seen, and comes after the word that the service is stopping.
    held: Option<Snapshot>,
    finished: bool,
}

impl Follower {
    fn new(state: AppState, id: JobId, watch: Watch<Presentation>, sent: Option<u64>) -> Self {
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

    /// The next event; `None` when there will be none.
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
                    // The service is told to stop before it cancels anything, and still this may be the cancel: when
                    // both came after the look at the one and before the look at the other.
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

    /// The presentation has changed. Nothing, if the reader knows that already.
    fn changed(&mut self, seen: &Snapshot) -> Option<Result<Event, axum::Error>> {
        let ended = seen.status().is_ended();
        if self.sent.is_some_and(|sent| seen.version() <= sent) {
            self.finished = ended;
            return None;
        }
        self.beat = seen.last_heartbeat();
        let Ok(view) = View::of(&self.state.registry, self.id) else {
            // Removed before this reader came to see the end: the snapshot is what is left of it.
            self.finished = true;
            let line = Line::of(&self.state.registry, seen);
            let event = Event::default().event("removed").id(&line.version);
            return Some(event.json_data(line));
        };
        self.sent = view.version.parse().ok();
        self.finished = view.ended_at.is_some();
        if ended && !self.finished {
            // Retried meanwhile. The watch has finished with the old attempt's end; this one goes on.
            match self.state.registry.watch(self.id) {
                Ok(watch) => self.watch = watch,
                Err(_) => self.finished = true,
            }
        }
        let event = Event::default().event("state").id(&view.version);
        Some(event.json_data(view))
    }

    /// Heartbeats are no versions: they come at their own pace, without an id, and only while they move.
    fn heartbeat(&mut self) -> Option<Result<Event, axum::Error>> {
        let seen = self.state.registry.snapshot(self.id).ok()?;
        // Not before the reader has a state that the heartbeat could belong to.
        if self.sent != Some(seen.version()) || seen.last_heartbeat() <= self.beat {
            return None;
        }
        self.beat = seen.last_heartbeat();
        let last_heartbeat = Line::of(&self.state.registry, &seen).last_heartbeat;
        let event = Event::default().event("heartbeat");
        Some(event.json_data(Heartbeat { last_heartbeat }))
    }
}
