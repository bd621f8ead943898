//! Requests with any path, headers and body: the answer is a refusal with a reason, or the
//! requested data.
#![no_main]

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use job_registry::JobId;
use libfuzzer_sys::fuzz_target;
use presentation_service::api::router;
use presentation_service::deck::{Deck, DeckLimits};
use presentation_service::jobs::Presentation;
use presentation_service::render::{Canvas, PageSize, Painter, Studio};
use presentation_service::state::{AppState, Config};
use std::error::Error;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::runtime::Runtime;
use tower::ServiceExt;

const LIST: &str = "/api/presentations";

/// Draws blank pages.
struct Blank;

impl Studio for Blank {
    fn painter(&self) -> Box<dyn Painter> {
        Box::new(Self)
    }
}

impl Painter for Blank {
    fn paint(&mut self, _: &Deck, _: usize) -> Result<Canvas, Box<dyn Error + Send + Sync>> {
        let size = PageSize {
            width: 8,
            height: 8,
        };
        Ok(Canvas::new(size, [0; 3]))
    }
}

struct Service {
    runtime: Runtime,
    routes: Router,
    /// The id of a presentation that is never drawn.
    live: JobId,
    _files: tempfile::TempDir,
}

static SERVICE: LazyLock<Service> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let files = tempfile::tempdir().unwrap();
    let config = Config {
        files: files.path().to_owned(),
        capacity: 1_000,
        // An accepted presentation makes room for the next.
        retention: Duration::ZERO,
        ..Config::default()
    };
    let entered = runtime.enter();
    let state = AppState::new(config, Arc::new(Blank));
    let routes = router(state.clone());
    drop(entered);
    let deck = Deck::parse("Live", "# One", &DeckLimits::default()).unwrap();
    let live = state.registry.register(Presentation::new(deck)).unwrap();
    Service {
        runtime,
        routes,
        live: live.detach(),
        _files: files,
    }
});

fuzz_target!(|input: (u8, &str, &[u8], &[u8])| {
    let (kind, text, value, body) = input;
    let service = &*SERVICE;
    let live = service.live;
    let (method, path) = match kind % 8 {
        0 => (Method::POST, LIST.to_owned()),
        1 => (Method::GET, format!("{LIST}/{live}")),
        2 => (Method::GET, format!("{LIST}/{live}/events")),
        3 => (Method::GET, format!("{LIST}/{live}/{text}")),
        4 => (Method::GET, format!("{LIST}/{text}")),
        5 => (Method::DELETE, format!("{LIST}/{text}")),
        6 => (Method::POST, format!("{LIST}/{text}/retry")),
        _ => (Method::GET, format!("/{text}")),
    };
    let (Ok(uri), Ok(value)) = (
        path.parse::<axum::http::Uri>(),
        HeaderValue::from_bytes(value),
    ) else {
        return;
    };
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::IF_NONE_MATCH, value.clone())
        .header("last-event-id", value.clone())
        .header("idempotency-key", value.clone())
        .header("prefer", value)
        .body(Body::from(body.to_vec()))
        .unwrap();
    let answer = service.routes.clone().oneshot(request);
    let response = service.runtime.block_on(answer).unwrap();
    let status = response.status();
    let is_full = status == StatusCode::SERVICE_UNAVAILABLE;
    assert!(!status.is_server_error() || is_full, "{response:?}");
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"));
    assert!(is_problem || !status.is_client_error(), "{response:?}");
    if is_problem {
        let body = to_bytes(response.into_body(), usize::MAX);
        let body = service.runtime.block_on(body).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        for text in ["type", "title", "detail"] {
            assert!(
                body[text].as_str().is_some_and(|text| !text.is_empty()),
                "{body}"
            );
        }
    }
});
