//! The routes. A handler translates a request into one or two calls of the registry, and their
//! answer into a response.

use crate::deck::Deck;
use crate::download::Download;
use crate::errors::ApiError;
use crate::events::events;
use crate::jobs::Presentation;
use crate::metrics::metrics;
use crate::page;
use crate::state::AppState;
use crate::views::{Listing, View};
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use job_registry::{JobId, RegisterError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The service's routes.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/metrics", get(metrics))
        .route("/api/presentations", get(list).post(submit))
        .route("/api/presentations/{id}", get(show).delete(cancel))
        .route("/api/presentations/{id}/events", get(events))
        .route("/api/presentations/{id}/retry", post(retry))
        .route("/api/presentations/{id}/file", get(animation))
        .route("/api/presentations/{id}/slides/{number}", get(picture))
        .fallback(async || ApiError::unknown_path())
        .method_not_allowed_fallback(async || ApiError::method())
        .layer(DefaultBodyLimit::max(state.config.body))
        .with_state(state)
}

/// The body of `POST /api/presentations`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Submission {
    title: String,
    deck: String,
}

#[derive(Debug, Serialize)]
struct Accepted {
    id: String,
    slides: usize,
    location: String,
}

async fn submit(
    State(state): State<AppState>,
    submission: Result<Json<Submission>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(submission) = submission?;
    let limits = state.config.deck;
    let read = move || Deck::parse(&submission.title, &submission.deck, &limits);
    let read = tokio::task::spawn_blocking(read).await;
    let deck = read.map_err(|error| ApiError::internal("a deck cannot be read", &error))??;
    let slides = deck.slides.len();
    let config = &state.config;
    state.accepts()?;
    // There is no `await` from here on, so a disconnecting client cannot stop the handler between
    // the two calls.
    let job = state
        .registry
        .register(Presentation::new(deck))
        .map_err(|error| match error {
            RegisterError::Full(_) => ApiError::full(
                config.capacity,
                config.retention.min(Duration::from_secs(30)),
            ),
            _ => ApiError::closed(),
        })?;
    let id = job.id();
    state.painters.draw(job);
    let location = format!("/api/presentations/{id}");
    let header = [(header::LOCATION, location.clone())];
    let accepted = Accepted {
        id: id.to_string(),
        slides,
        location,
    };
    Ok((StatusCode::ACCEPTED, header, Json(accepted)).into_response())
}

async fn list(State(state): State<AppState>) -> Json<Listing> {
    let open = !state.registry.is_closed();
    Json(Listing::of(&state.registry, open))
}

async fn show(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    // A client that has this version is answered without the job's lock.
    let version = state.registry.snapshot(id)?.version().to_string();
    if has_version(&headers, &version) {
        return Ok((StatusCode::NOT_MODIFIED, [etag(&version)]).into_response());
    }
    shown(&state, id)
}

async fn cancel(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    state.registry.cancel(id)?;
    shown(&state, id)
}

async fn retry(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    state.accepts()?;
    state.painters.draw(state.registry.retry(id)?);
    Ok((StatusCode::ACCEPTED, shown(&state, id)?).into_response())
}

async fn animation(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    let open = |payload: &Presentation| payload.open_gif().map_err(ApiError::unreadable);
    let (kind, name) = ("image/gif", format!("{id}.gif"));
    Download { kind, name }
        .send(&state.registry, id, open)
        .await
}

async fn picture(
    State(state): State<AppState>,
    Path((id, slide)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    let number = slide.parse().unwrap_or(0);
    let open = move |payload: &Presentation| match payload.slides() {
        slides if (1..=slides).contains(&number) => {
            payload.open_png(number).map_err(ApiError::unreadable)
        }
        slides => Err(ApiError::unknown_slide(slides)),
    };
    let (kind, name) = ("image/png", format!("{id}-{number}.png"));
    Download { kind, name }
        .send(&state.registry, id, open)
        .await
}

/// The full view of a presentation, with its version.
fn shown(state: &AppState, id: JobId) -> Result<Response, ApiError> {
    let view = View::of(&state.registry, id)?;
    Ok(([etag(&view.version)], Json(view)).into_response())
}

/// A malformed id is answered like an unknown one.
pub(crate) fn parse(id: &str) -> Result<JobId, ApiError> {
    id.parse().map_err(|_| ApiError::unknown_id())
}

/// The version as a weak validator, because it does not count heartbeats.
fn etag(version: &str) -> (header::HeaderName, String) {
    (header::ETAG, format!("W/\"{version}\""))
}

/// Whether the client has this version, by `If-None-Match`.
fn has_version(headers: &HeaderMap, version: &str) -> bool {
    let current = format!("\"{version}\"");
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value: &HeaderValue| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current)
}
