//! `Idempotency-Key`: a submission that is repeated is carried out once.

use crate::common::{json, refused};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use axum::routing::post;
use job_registry::{Job, JobRegistry, KeyLife, Keys};
use job_registry_axum::{IdempotencyKey, JobRoutes, Problem};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use tower::ServiceExt;

/// A service whose work never ends by itself.
#[derive(Clone)]
struct App {
    keys: Keys<String>,
    routes: JobRoutes<JobRegistry<String>>,
    begun: Arc<Mutex<Vec<Job<String>>>>,
}

impl App {
    fn new(capacity: usize) -> Self {
        let jobs = JobRegistry::builder().capacity(capacity).build();
        Self {
            routes: JobRoutes::new(jobs.clone(), "/jobs"),
            keys: Keys::new(jobs, KeyLife::UntilRemoved),
            begun: Arc::default(),
        }
    }

    async fn submit(&self, keys: &[&str], tenant: &str, body: &str) -> Response<Body> {
        let mut request = Request::post("/jobs").header("x-tenant", tenant);
        for key in keys {
            request = request.header("idempotency-key", *key);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let router: Router = Router::new()
            .route("/jobs", post(submit))
            .with_state(self.clone())
            .merge(self.routes.router());
        router.oneshot(request).await.unwrap()
    }

    async fn id(&self, keys: &[&str], tenant: &str, body: &str) -> String {
        let answer = self.submit(keys, tenant, body).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        json(answer).await["id"].as_str().unwrap().to_owned()
    }
}

async fn submit(
    State(app): State<App>,
    key: IdempotencyKey,
    headers: HeaderMap,
    body: String,
) -> Result<Response<Body>, Problem> {
    let key = key.scope(headers["x-tenant"].to_str().unwrap());
    let begin = |job| app.begun.lock().unwrap().push(job);
    let id = key.submit(&app.keys, body.as_bytes(), body.clone(), begin)?;
    Ok(app.routes.accepted(&headers, id).await)
}

/// Two submissions with one key are one job.
#[tokio::test]
async fn a_repeated_submission_gets_the_same_job() {
    let app = App::new(100);
    let first = app.id(&["\"a\""], "t", "deck").await;
    // Quoted and bare texts of a key are the same key.
    assert_eq!(app.id(&["\"a\""], "t", "deck").await, first);
    assert_eq!(app.id(&["a"], "t", "deck").await, first);
    assert_eq!(app.begun.lock().unwrap().len(), 1);

    let mut ids = HashSet::from([first]);
    for (key, tenant) in [
        (&["\"b\""][..], "t"),
        (&["\"a\""], "u"),
        (&[], "t"),
        (&[], "t"),
    ] {
        let id = app.id(key, tenant, "deck").await;
        assert!(ids.insert(id), "{key:?} of {tenant}");
    }
    assert_eq!(app.begun.lock().unwrap().len(), 5);
}

/// Scopes and keys whose texts run together are told apart.
#[tokio::test]
async fn a_scope_is_not_a_part_of_the_key() {
    let app = App::new(100);
    let ids = [
        ("1:a", "b"),
        ("1", "a:b"),
        ("", "1:1ab"),
        ("1a", "b"),
        ("1", "ab"),
    ];
    let mut seen = HashSet::new();
    for (tenant, key) in ids {
        let id = app.id(&[key], tenant, "deck").await;
        assert!(seen.insert(id), "{tenant:?} {key:?}");
    }
}

#[tokio::test]
async fn a_key_with_another_body_is_refused() {
    let app = App::new(100);
    app.id(&["a"], "t", "deck").await;
    let answer = app.submit(&["a"], "t", "another deck").await;
    refused(
        answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency_key_reused",
    )
    .await;
    assert_eq!(app.begun.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_malformed_key_registers_nothing() {
    let app = App::new(100);
    let long = "k".repeat(256);
    for keys in [
        &[""][..],
        &["\"\""],
        &["\"a"],
        &["a", "a"],
        &[&long],
        &["\u{e9}"],
    ] {
        let answer = app.submit(keys, "t", "deck").await;
        refused(answer, StatusCode::BAD_REQUEST, "bad_idempotency_key").await;
    }
    assert!(app.keys.registry().is_empty());
}

/// A refused submission leaves no key: it succeeds once there is room.
#[tokio::test]
async fn a_full_service_refuses_and_remembers_nothing() {
    let app = App::new(1);
    app.id(&[], "t", "deck").await;
    let answer = app.submit(&["a"], "t", "deck").await;
    assert!(answer.headers().contains_key("retry-after"));
    refused(answer, StatusCode::TOO_MANY_REQUESTS, "full").await;
    let job = app.begun.lock().unwrap().pop().unwrap();
    job.cancel().unwrap();
    job.remove().unwrap();
    let first = app.id(&["a"], "t", "deck").await;

    // A known key is answered also after the close.
    app.keys.registry().close();
    assert_eq!(app.id(&["a"], "t", "deck").await, first);
    let answer = app.submit(&["b"], "t", "deck").await;
    assert!(answer.headers().contains_key("retry-after"));
    refused(answer, StatusCode::SERVICE_UNAVAILABLE, "closed").await;
}

/// One of many concurrent submissions with one key is carried out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submissions_at_once_with_one_key_are_carried_out_once() {
    for round in 0..20 {
        let app = App::new(100);
        let submissions: Vec<_> = (0..16)
            .map(|_| {
                let app = app.clone();
                tokio::spawn(async move { app.id(&["a"], "t", "deck").await })
            })
            .collect();
        let mut ids = HashSet::new();
        for submission in submissions {
            ids.insert(submission.await.unwrap());
        }
        assert_eq!(
            (ids.len(), app.begun.lock().unwrap().len()),
            (1, 1),
            "round {round}"
        );
    }
}
