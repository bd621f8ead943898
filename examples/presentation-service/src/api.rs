//! The routes: those of `job-registry-axum`, and what the service adds to them.

use crate::deck::Deck;
use crate::download::{self, Part};
use crate::errors;
use crate::metrics::metrics;
use crate::page;
use crate::state::{AppState, BASE};
use crate::store::{Store, Submitted};
use crate::views::{About, Shown};
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use job_registry::JobId;
use job_registry_axum::{IdempotencyKey, Problem};
use serde::{Deserialize, Serialize};
use utoipa::openapi::OpenApi;
use utoipa::{OpenApi as _, PartialSchema, ToSchema};

/// The service's routes.
pub fn router<S: Store>(state: AppState<S>) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/metrics", get(metrics::<S>))
        .route("/api/openapi.json", get(openapi::<S>))
        .route("/api/service", get(about::<S>))
        .route(BASE, post(submit::<S>))
        .route("/api/presentations/{id}/file", get(animation::<S>))
        .route("/api/presentations/{id}/slides/{number}", get(picture::<S>))
        .merge(state.routes.router())
        .fallback(async || errors::unknown_path())
        .method_not_allowed_fallback(async || errors::method())
        .layer(DefaultBodyLimit::max(state.config.body))
        .with_state(state)
}

/// The description of all routes.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Presentations",
        description = "Renders Markdown decks to PNG and animated GIF."
    ),
    paths(about, submit, animation, picture),
    components(schemas(Shown))
)]
struct Description;

async fn openapi<S: Store>(State(state): State<AppState<S>>) -> Json<OpenApi> {
    let mut description = Description::openapi();
    // The title is the service's own.
    description.merge(state.routes.openapi(Some(Shown::schema())));
    Json(description)
}

/// Describes the service.
#[utoipa::path(get, path = "/api/service", responses((status = 200, body = About)))]
async fn about<S: Store>(State(state): State<AppState<S>>) -> Json<About> {
    Json(state.store.about())
}

/// A deck to be drawn.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Submission {
    /// The presentation's title. Without one, that of the deck's front matter is used.
    #[serde(default)]
    title: String,
    /// Markdown; slides are separated by lines `---`.
    deck: String,
}

/// Submits a deck.
#[utoipa::path(
    post,
    path = "/api/presentations",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A repeated submission with the same key gets the same presentation."),
        ("Prefer" = Option<String>, Header, description = "`wait=n` waits up to n seconds for the end.")
    ),
    request_body = Submission,
    responses(
        (status = 200, description = "The presentation has ended.", body = ref("#/components/schemas/Job")),
        (status = 202, description = "The presentation is drawn.", body = ref("#/components/schemas/Job"),
            headers(("Location"), ("Retry-After"), ("ETag"))),
        (status = 400, description = "The body is not JSON, or the key is not valid.", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 413, description = "The deck is too large.", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON.", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 422, description = "The deck cannot be drawn, or the key was used for another one.", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 429, description = "The service is full.", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 503, description = "The service is shutting down.", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json")
    )
)]
async fn submit<S: Store>(
    State(state): State<AppState<S>>,
    headers: HeaderMap,
    key: IdempotencyKey,
    submission: Result<Json<Submission>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(submission) = submission.map_err(|rejection| errors::bad_body(&rejection))?;
    let limits = state.config.deck;
    let read = move || {
        let deck = Deck::parse(&submission.title, &submission.deck, &limits);
        // Two texts, which are always JSON.
        let body = serde_json::to_vec(&submission).unwrap_or_default();
        (deck, submission.deck, body)
    };
    let read = tokio::task::spawn_blocking(read).await;
    let read = read.map_err(|error| errors::internal("a deck cannot be read", &error))?;
    let (deck, markdown, body) = read;
    let submitted = Submitted {
        deck: deck?,
        markdown,
        body,
        key,
    };
    let id = state.store.submit(submitted).await;
    let (capacity, retention) = (state.config.capacity, state.config.retention);
    let id = id.map_err(|problem| errors::of_submission(problem, capacity, retention))?;
    Ok(state.routes.accepted(&headers, id).await)
}

/// Sends the animation of a presentation.
#[utoipa::path(
    get,
    path = "/api/presentations/{id}/file",
    params(("id" = String, Path, description = "The presentation's id.")),
    responses(
        (status = 200, description = "The animation.", body = String, content_type = "image/gif"),
        (status = 404, description = "No presentation has this id.", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 409, description = "The presentation is not completed.", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 410, description = "The presentation was removed.", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 500, description = "The file cannot be read.", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json")
    )
)]
async fn animation<S: Store>(
    State(state): State<AppState<S>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = path.map_err(|_| job_registry::Error::NotFound)?;
    let id = parse(&id)?;
    download::send(&state.store, id, Part::Animation).await
}

/// Sends one slide of a presentation.
#[utoipa::path(
    get,
    path = "/api/presentations/{id}/slides/{number}",
    params(
        ("id" = String, Path, description = "The presentation's id."),
        ("number" = usize, Path, description = "Number of the slide, counted from 1.")
    ),
    responses(
        (status = 200, description = "The slide.", body = String, content_type = "image/png"),
        (status = 404, description = "No presentation has this id, or no such slide.", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 409, description = "The presentation is not completed.", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 410, description = "The presentation was removed.", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 500, description = "The file cannot be read.", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json")
    )
)]
async fn picture<S: Store>(
    State(state): State<AppState<S>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let Path((id, slide)) = path.map_err(|_| job_registry::Error::NotFound)?;
    let id = parse(&id)?;
    let number = slide.parse().unwrap_or(0);
    download::send(&state.store, id, Part::Picture(number)).await
}

/// A malformed id is answered like one that was never issued.
fn parse(id: &str) -> Result<JobId, Problem> {
    id.parse().map_err(|_| job_registry::Error::NotFound.into())
}
