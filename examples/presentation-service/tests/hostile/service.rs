//! The service that receives hostile requests.

use crate::common::{presentation, quick};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use presentation_service::api::router;
use presentation_service::state::{AppState, Config};
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt;

pub(crate) const LIST: &str = "/api/presentations";

/// A service without a socket, for many requests.
pub(crate) struct Hostile {
    pub(crate) runtime: Runtime,
    pub(crate) state: AppState,
    pub(crate) routes: Router,
    pub(crate) files: tempfile::TempDir,
}

impl Hostile {
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let files = tempfile::tempdir().unwrap();
        let config = Config {
            files: files.path().to_owned(),
            capacity: 100_000,
            ..Config::default()
        };
        let entered = runtime.enter();
        let state = AppState::new(config, quick());
        let routes = router(state.clone());
        drop(entered);
        Self {
            runtime,
            state,
            routes,
            files,
        }
    }

    pub(crate) fn ask(&self, request: Request<Body>) -> Response<Body> {
        let answer = self.routes.clone().oneshot(request);
        self.runtime.block_on(answer).unwrap()
    }

    pub(crate) fn get(
        &self,
        path: &str,
        header: header::HeaderName,
        value: HeaderValue,
    ) -> Response<Body> {
        let request = Request::get(path).header(header, value);
        self.ask(request.body(Body::empty()).unwrap())
    }

    pub(crate) fn post(&self, body: impl Into<Body>) -> Response<Body> {
        let request = Request::post(LIST).header("content-type", "application/json");
        self.ask(request.body(body.into()).unwrap())
    }

    pub(crate) fn json(&self, response: Response<Body>) -> Value {
        let body = to_bytes(response.into_body(), usize::MAX);
        serde_json::from_slice(&self.runtime.block_on(body).unwrap()).unwrap()
    }

    /// Registers a job without a worker.
    pub(crate) fn live(
        &self,
    ) -> (
        job_registry::Job<presentation_service::jobs::Presentation>,
        String,
    ) {
        let job = self.state.registry.register(presentation("Live")).unwrap();
        let path = format!("{LIST}/{}", job.id());
        (job, path)
    }

    /// Checks that a refusal states a reason.
    pub(crate) fn check_refusal(&self, response: Response<Body>, statuses: &[StatusCode]) {
        assert!(statuses.contains(&response.status()), "{response:?}");
        let body = self.json(response);
        for text in ["type", "title", "detail"] {
            assert!(
                body[text].as_str().is_some_and(|text| !text.is_empty()),
                "{body}"
            );
        }
    }
}
