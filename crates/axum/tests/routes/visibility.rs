//! Visibility of jobs: by the request and the payload.

use crate::common::{Service, bytes, json, refused};
use axum::http::{Method, StatusCode};
use job_registry::Status;
use job_registry_axum::Form;
use std::time::Duration;

/// A service in which a job's payload is the name of its owner, who sends it as a header.
fn service(form: Form) -> Service {
    Service::with(
        |builder| builder,
        |routes| {
            let routes = routes.form(form).retry(drop);
            routes.visible(|parts, record| {
                parts
                    .headers
                    .get("x-user")
                    .is_some_and(|user| user == &**record.payload)
            })
        },
    )
}

/// The time is stopped: no answer may wait either.
#[tokio::test(start_paused = true)]
async fn a_job_that_is_not_visible_is_answered_like_an_unknown_id() {
    let began = tokio::time::Instant::now();
    let service = service(Form::Plain);
    let job = service.register("ada");
    job.start().unwrap();
    let path = service.routes.path(job.id());
    let before = job.snapshot().unwrap();
    let unknown = service.get("/jobs/AAAAAAAAAAAAAAAAAAAAAA").await;
    let unknown = (unknown.headers().clone(), bytes(unknown).await);
    for headers in [
        &[][..],
        &[("x-user", "bob")],
        &[("x-user", "bob"), ("if-none-match", "*")],
        &[("x-user", "bob"), ("prefer", "wait=30")],
        &[
            ("x-user", "bob"),
            ("prefer", "wait=30"),
            ("if-none-match", "\"x\""),
        ],
        &[
            ("x-user", "bob"),
            ("last-event-id", &before.version().to_string()),
        ],
    ] {
        for (method, rest) in [
            (Method::GET, ""),
            (Method::GET, "/events"),
            (Method::DELETE, ""),
            (Method::DELETE, "?force"),
            (Method::POST, "/retry"),
        ] {
            let answer = service
                .call(method, &format!("{path}{rest}"), headers)
                .await;
            let answer = (answer.headers().clone(), bytes(answer).await);
            assert_eq!(answer, unknown);
        }
    }
    assert_eq!(job.snapshot().unwrap(), before);
    assert_eq!(began.elapsed(), Duration::ZERO);

    let owner = [("x-user", "ada")];
    let answer = service.call(Method::GET, &path, &owner).await;
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(json(answer).await["status"], "running");
    let known = [("x-user", "ada"), ("if-none-match", &*tag)];
    let answer = service.call(Method::GET, &path, &known).await;
    assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
    let answer = service.call(Method::DELETE, &path, &owner).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    assert_eq!(job.snapshot().unwrap().status(), Status::Stopping);
}

#[tokio::test]
async fn a_list_has_the_visible_jobs_and_no_counts() {
    for (form, all) in [
        (Form::Plain, "jobs"),
        (Form::Operation, "operations"),
        (Form::McpTask, "tasks"),
    ] {
        let service = service(form);
        let owners = ["bob", "bob", "bob", "ada", "ada"];
        let jobs = owners.map(|owner| service.register(owner));
        let mut seen = 0;
        let mut path = "/jobs?limit=2".to_owned();
        loop {
            let answer = service.call(Method::GET, &path, &[("x-user", "ada")]).await;
            let text = String::from_utf8(bytes(answer).await).unwrap();
            for (job, owner) in jobs.iter().zip(owners) {
                let id = job.id().to_string();
                assert!(owner == "ada" || !text.contains(&id), "{text}");
            }
            let body: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(body.get("counts").is_none_or(serde_json::Value::is_null));
            seen += body[all].as_array().unwrap().len();
            let next = ["next", "nextPageToken", "nextCursor"].map(|name| body[name].as_str());
            match next.into_iter().flatten().next() {
                Some(next) if !next.is_empty() => path = format!("/jobs?limit=2&cursor={next}"),
                _ => break,
            }
        }
        assert_eq!(seen, 2);
    }
}

/// A removed job has no payload that says who may see it.
#[tokio::test]
async fn a_removed_job_is_gone_for_everybody() {
    let service = service(Form::Plain);
    let job = service.register("ada");
    job.cancel().unwrap();
    job.remove().unwrap();
    let path = service.routes.path(job.id());
    for user in ["ada", "bob"] {
        let answer = service.call(Method::GET, &path, &[("x-user", user)]).await;
        refused(answer, StatusCode::GONE, "gone").await;
    }
}

/// A stream ends when its job is no longer visible, without showing what came after.
#[tokio::test]
async fn a_stream_ends_when_its_job_is_handed_to_somebody_else() {
    let service = service(Form::Plain);
    let job = service.register("ada");
    let path = format!("{}/events", service.routes.path(job.id()));
    let answer = service.call(Method::GET, &path, &[("x-user", "ada")]).await;
    let mut stream = crate::common::Stream::of(answer);
    assert_eq!(stream.next().await.unwrap().json()["status"], "pending");
    job.update(|owner| "bob".clone_into(owner)).unwrap();
    assert_eq!(stream.next().await, None);
}
