//! Two replicas of a service over HTTP, with one namespace.

use super::server::{Server, with, with_server};
use crate::script::Parts;
use crate::{JobRegistry, Keys};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::FromRequestParts;
use axum::http::{Method, Request, Response, StatusCode};
use futures_util::StreamExt;
use job_registry::{KeyLife, Options, Progress};
use job_registry_axum::{IdempotencyKey, JobRoutes, Registry};
use serde_json::Value;
use std::future::{Future, poll_fn};
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tower::ServiceExt;

type Deck = Vec<String>;

fn routes(jobs: JobRegistry<Deck>) -> JobRoutes<JobRegistry<Deck>> {
    JobRoutes::new(jobs, "/jobs").show(|record| record.payload.clone())
}

async fn call(
    replica: &JobRoutes<JobRegistry<Deck>>,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let service: Router = replica.router();
    service
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap()
}

async fn json(response: Response<Body>) -> Value {
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// A client polls, follows, stops and retries a job at a replica that does not work on it.
#[test]
fn a_job_of_one_replica_is_served_by_another() {
    with_server(async |server| {
        let (ours, theirs) = (server.jobs("decks").await, server.jobs("decks").await);
        let (retried, next) = mpsc::channel();
        let replica = routes(theirs).retry(move |job| retried.send(job).unwrap());
        let job = ours.register(&vec!["intro".to_owned()]).await.unwrap();
        let path = replica.path(job.id());
        job.start().await.unwrap();
        job.report(Progress::of(1, 4), "slide 1 of 4")
            .await
            .unwrap();

        let answer = call(&replica, Method::GET, &path, &[]).await;
        let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
        let seen = json(answer).await;
        assert_eq!(
            (&seen["status"], &seen["progress"]),
            (&"running".into(), &25.0.into())
        );
        assert_eq!(
            (&seen["note"], &seen["payload"][0]),
            (&"slide 1 of 4".into(), &"intro".into())
        );
        let known = [("if-none-match", &*tag)];
        let answer = call(&replica, Method::GET, &path, &known).await;
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
        let list = json(call(&replica, Method::GET, "/jobs", &[]).await).await;
        assert_eq!(
            (&list["jobs"][0]["id"], &list["counts"]["running"]),
            (&seen["id"], &1.into())
        );

        let events = call(&replica, Method::GET, &format!("{path}/events"), &[]).await;
        let mut events = events.into_body().into_data_stream();
        let mut read = String::new();
        let chunk = events.next().await.unwrap().unwrap();
        read.push_str(std::str::from_utf8(&chunk).unwrap());
        assert!(read.contains(r#""status":"running""#), "{read}");
        let answer = call(&replica, Method::DELETE, &path, &[]).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let refused = job.advance(Progress::of(2, 4)).await.unwrap_err();
        assert_eq!(refused.name(), "stopping");
        job.cancel().await.unwrap();
        while let Some(chunk) = events.next().await {
            read.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
        assert_eq!(read.matches(r#""status":"cancelled""#).count(), 1, "{read}");

        let answer = call(&replica, Method::POST, &format!("{path}/retry"), &[]).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        assert_eq!(json(answer).await["attempt"], 2);
        let second = next.recv().unwrap();
        let superseded = job.note("late").await.unwrap_err();
        assert_eq!(superseded.name(), "superseded");
        second.cancel().await.unwrap();
        ours.remove(job.id()).await.unwrap();
        let answer = call(&replica, Method::GET, &path, &[]).await;
        assert_eq!(answer.status(), StatusCode::GONE);
        let unknown = "/jobs/AAAAAAAAAAAAAAAAAAAAAA";
        let answer = call(&replica, Method::GET, unknown, &[]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    });
}

/// A client that disconnects while its retry is under way leaves no attempt without an owner, which
/// nothing would ever end.
#[test]
fn a_retry_without_a_client_is_carried_out_and_abandoned() {
    with_server(async |server| {
        let jobs = server.jobs("decks").await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        let id = job.id();
        job.cancel().await.unwrap();
        let mut attempt = 1;
        loop {
            let mut retry = Box::pin(Registry::retry(&jobs, id));
            attempt += 1;
            match poll_fn(|cx| Poll::Ready(retry.as_mut().poll(cx))).await {
                Poll::Pending => break,
                // The other thread was faster.
                Poll::Ready(retried) => retried.unwrap().cancel().await.unwrap(),
            }
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let seen = jobs.details(id).await.unwrap();
            if (seen.snapshot.attempt(), seen.reason.as_deref()) == (attempt, Some("abandoned")) {
                break;
            }
            assert!(Instant::now() < deadline, "{:?}", seen.snapshot);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

/// Returns the key of a request.
async fn key(text: &str) -> IdempotencyKey {
    let request = Request::get("/").header("idempotency-key", text);
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let key = IdempotencyKey::from_request_parts(&mut parts, &()).await;
    key.unwrap()
}

#[test]
fn a_request_is_submitted_once_for_its_key_at_all_replicas() {
    with_server(async |server| {
        let replica = async || Keys::new(server.jobs("decks").await, KeyLife::UntilRemoved);
        let (here, there) = (replica().await, replica().await);
        let (owners, jobs) = mpsc::channel();
        let submit = async |keys: &Keys<_>, text: &str, body: &[u8]| {
            let owners = owners.clone();
            let begin = move |job| owners.send(job).unwrap();
            let (key, options) = (key(text).await, Options::new());
            keys.submit(&key, body, Vec::new(), options, begin).await
        };
        let id = submit(&here, "one", b"deck").await.unwrap();
        let job = jobs.try_recv().unwrap();
        assert_eq!(job.id(), id);
        assert_eq!(submit(&there, "one", b"deck").await.unwrap(), id);
        let reused = submit(&there, "one", b"other").await.unwrap_err();
        assert_eq!(reused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(jobs.try_recv().is_err(), "a job is begun twice");
        here.registry().close();
        let closed = submit(&here, "two", b"deck").await.unwrap_err();
        assert_eq!(closed.status(), StatusCode::SERVICE_UNAVAILABLE);
        // A client that disconnects at once has its job begun all the same.
        let mut gone = Box::pin(submit(&there, "three", b"deck"));
        let _ = poll_fn(|cx| Poll::Ready(gone.as_mut().poll(cx))).await;
        drop(gone);
        let begun = move || jobs.recv_timeout(Duration::from_secs(20)).unwrap();
        let begun = tokio::task::spawn_blocking(begun).await.unwrap();
        begun.cancel().await.unwrap();
        job.cancel().await.unwrap();
    });
}

/// A store that does not answer is 503, and never 404.
/// Scenario 46.
#[test]
fn a_store_that_is_gone_is_no_statement_about_the_job() {
    with(Server::lasting(), async |server| {
        let builder = server.builder("decks", &Parts::default());
        let builder = builder.call_within(Duration::from_secs(1));
        let jobs = builder.connect().await.unwrap();
        let job = jobs.register(&Vec::new()).await.unwrap();
        let replica = routes(jobs);
        let path = replica.path(job.detach());
        assert_eq!(
            call(&replica, Method::GET, &path, &[]).await.status(),
            StatusCode::OK
        );
        server.kill();
        for path in ["/jobs", &path, &format!("{path}/events")] {
            let answer = call(&replica, Method::GET, path, &[]).await;
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert!(answer.headers().contains_key("retry-after"));
        }
        server.restart();
    });
}
