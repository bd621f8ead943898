//! Golden texts of every form, in every status.

#![allow(clippy::too_many_lines, reason = "golden texts are long")]

use crate::common::Service;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request};
use expect_test::{Expect, expect};
use job_registry::Progress;
use job_registry_axum::Form;
use serde_json::json;
use std::fmt::Write;
use std::time::Duration;
use tower::ServiceExt;

fn service(form: Form) -> Service {
    Service::with(
        |builder| builder.stop_grace(Duration::from_secs(10)),
        |routes| {
            routes
                .form(form)
                .show(|record| json!({"deck": record.payload}))
                .poll_interval(Duration::from_millis(1_500))
        },
    )
}

/// The answers of one job in every status, each after its status.
async fn every_status(form: Form) -> String {
    let service = service(form);
    let mut text = String::new();
    for ending in ["completed", "failed", "cancelled"] {
        let job = service.register("a deck");
        let path = service.routes.path(job.id());
        let mut answers = Vec::new();
        if ending == "completed" {
            answers.push(service.get(&path).await);
        }
        service.clock.advance(Duration::from_secs(1));
        job.start().unwrap();
        job.report(Progress::of(3, 12), "slide 3 of 12").unwrap();
        if ending == "completed" {
            answers.push(service.get(&path).await);
        }
        if ending == "cancelled" {
            answers.push(service.delete(&path).await);
        }
        service.clock.advance(Duration::from_millis(250));
        match ending {
            "completed" => job.complete().unwrap(),
            "failed" => job.fail("the fonts are lost").unwrap(),
            _ => job.cancel().unwrap(),
        }
        answers.push(service.get(&path).await);
        for answer in answers {
            let answer = service.text(answer, &[job.id()]).await;
            // The body alone; a test of its own has the headers.
            let body = answer.split_once("\n{").map(|(_, body)| body).unwrap();
            writeln!(text, "{{{body}").unwrap();
        }
        service.clock.advance(Duration::from_millis(750));
    }
    text
}

async fn check(form: Form, expected: Expect) {
    expected.assert_eq(&every_status(form).await);
}

#[tokio::test]
async fn a_plain_job_has_every_field_under_its_name() {
    check(
        Form::Plain,
        expect![[r#"
        {
          "attempt": 1,
          "ended_at": null,
          "id": "ID",
          "last_heartbeat": "+0s",
          "note": null,
          "payload": {
            "deck": "a deck"
          },
          "progress": 0.0,
          "reason": null,
          "registered_at": "+0s",
          "removal_at": null,
          "started_at": null,
          "status": "pending",
          "version": "900000-0"
        }
        {
          "attempt": 1,
          "ended_at": null,
          "id": "ID",
          "last_heartbeat": "+1s",
          "note": "slide 3 of 12",
          "payload": {
            "deck": "a deck"
          },
          "progress": 25.0,
          "reason": null,
          "registered_at": "+0s",
          "removal_at": null,
          "started_at": "+1s",
          "status": "running",
          "version": "a3d090-0"
        }
        {
          "attempt": 1,
          "ended_at": "+1.25s",
          "id": "ID",
          "last_heartbeat": "+1s",
          "note": "slide 3 of 12",
          "payload": {
            "deck": "a deck"
          },
          "progress": 100.0,
          "reason": null,
          "registered_at": "+0s",
          "removal_at": "+61.25s",
          "started_at": "+1s",
          "status": "completed",
          "version": "VERSION"
        }
        {
          "attempt": 1,
          "ended_at": "+3.25s",
          "id": "ID",
          "last_heartbeat": "+3s",
          "note": "slide 3 of 12",
          "payload": {
            "deck": "a deck"
          },
          "progress": 25.0,
          "reason": "the fonts are lost",
          "registered_at": "+2s",
          "removal_at": "+63.25s",
          "started_at": "+3s",
          "status": "failed",
          "version": "VERSION"
        }
        {
          "attempt": 1,
          "ended_at": null,
          "id": "ID",
          "last_heartbeat": "+5s",
          "note": "slide 3 of 12",
          "payload": {
            "deck": "a deck"
          },
          "progress": 25.0,
          "reason": "stopped by a client",
          "registered_at": "+4s",
          "removal_at": null,
          "started_at": "+5s",
          "status": "stopping",
          "version": "b3d090-0"
        }
        {
          "attempt": 1,
          "ended_at": "+5.25s",
          "id": "ID",
          "last_heartbeat": "+5s",
          "note": "slide 3 of 12",
          "payload": {
            "deck": "a deck"
          },
          "progress": 25.0,
          "reason": "stopped by a client",
          "registered_at": "+4s",
          "removal_at": "+65.25s",
          "started_at": "+5s",
          "status": "cancelled",
          "version": "VERSION"
        }
    "#]],
    )
    .await;
}

#[tokio::test]
async fn an_operation_is_that_of_googles_apis() {
    check(
        Form::Operation,
        expect![[r#"
        {
          "done": false,
          "metadata": {
            "attempt": 1,
            "createTime": "+0s",
            "endTime": null,
            "expireTime": null,
            "progressPercent": 0.0,
            "startTime": null,
            "state": "pending",
            "statusMessage": null,
            "updateTime": "+0s",
            "version": "900000-0"
          },
          "name": "jobs/ID"
        }
        {
          "done": false,
          "metadata": {
            "attempt": 1,
            "createTime": "+0s",
            "endTime": null,
            "expireTime": null,
            "progressPercent": 25.0,
            "startTime": "+1s",
            "state": "running",
            "statusMessage": "slide 3 of 12",
            "updateTime": "+1s",
            "version": "a3d090-0"
          },
          "name": "jobs/ID"
        }
        {
          "done": true,
          "metadata": {
            "attempt": 1,
            "createTime": "+0s",
            "endTime": "+1.25s",
            "expireTime": "+61.25s",
            "progressPercent": 100.0,
            "startTime": "+1s",
            "state": "completed",
            "statusMessage": "slide 3 of 12",
            "updateTime": "+1.25s",
            "version": "VERSION"
          },
          "name": "jobs/ID",
          "response": {
            "deck": "a deck"
          }
        }
        {
          "done": true,
          "error": {
            "code": 2,
            "message": "the fonts are lost"
          },
          "metadata": {
            "attempt": 1,
            "createTime": "+2s",
            "endTime": "+3.25s",
            "expireTime": "+63.25s",
            "progressPercent": 25.0,
            "startTime": "+3s",
            "state": "failed",
            "statusMessage": "slide 3 of 12",
            "updateTime": "+3.25s",
            "version": "VERSION"
          },
          "name": "jobs/ID"
        }
        {
          "done": false,
          "metadata": {
            "attempt": 1,
            "createTime": "+4s",
            "endTime": null,
            "expireTime": null,
            "progressPercent": 25.0,
            "startTime": "+5s",
            "state": "stopping",
            "statusMessage": "stopped by a client",
            "updateTime": "+5s",
            "version": "b3d090-0"
          },
          "name": "jobs/ID"
        }
        {
          "done": true,
          "error": {
            "code": 1,
            "message": "stopped by a client"
          },
          "metadata": {
            "attempt": 1,
            "createTime": "+4s",
            "endTime": "+5.25s",
            "expireTime": "+65.25s",
            "progressPercent": 25.0,
            "startTime": "+5s",
            "state": "cancelled",
            "statusMessage": "slide 3 of 12",
            "updateTime": "+5.25s",
            "version": "VERSION"
          },
          "name": "jobs/ID"
        }
    "#]],
    )
    .await;
}

#[tokio::test]
async fn an_mcp_task_is_that_of_the_protocol() {
    check(
        Form::McpTask,
        expect![[r#"
        {
          "createdAt": "+0s",
          "lastUpdatedAt": "+0s",
          "pollInterval": 1500,
          "status": "working",
          "taskId": "ID",
          "ttl": null
        }
        {
          "createdAt": "+0s",
          "lastUpdatedAt": "+1s",
          "pollInterval": 1500,
          "status": "working",
          "statusMessage": "slide 3 of 12",
          "taskId": "ID",
          "ttl": null
        }
        {
          "createdAt": "+0s",
          "lastUpdatedAt": "+1.25s",
          "pollInterval": 1500,
          "status": "completed",
          "statusMessage": "slide 3 of 12",
          "taskId": "ID",
          "ttl": 61250
        }
        {
          "createdAt": "+2s",
          "lastUpdatedAt": "+3.25s",
          "pollInterval": 1500,
          "status": "failed",
          "statusMessage": "the fonts are lost",
          "taskId": "ID",
          "ttl": 61250
        }
        {
          "createdAt": "+4s",
          "lastUpdatedAt": "+5s",
          "pollInterval": 1500,
          "status": "working",
          "statusMessage": "stopped by a client",
          "taskId": "ID",
          "ttl": null
        }
        {
          "createdAt": "+4s",
          "lastUpdatedAt": "+5.25s",
          "pollInterval": 1500,
          "status": "cancelled",
          "statusMessage": "stopped by a client",
          "taskId": "ID",
          "ttl": 61250
        }
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_job_comes_with_its_headers() {
    let service = service(Form::Plain);
    let job = service.register("a deck");
    let answer = service.get(&service.routes.path(job.id())).await;
    let answer = service.text(answer, &[job.id()]).await;
    let head = answer.split_once("\n{").unwrap().0;
    expect![[r#"
        200 OK
        cache-control: private, no-cache
        content-length: 291
        content-type: application/json
        etag: W/"VERSION""#]]
    .assert_eq(head);
}

/// Without a payload that is shown, no answer has one, and none waits for the job's lock.
#[tokio::test]
async fn no_payload_is_shown_unless_it_is_asked_for() {
    for form in [Form::Plain, Form::Operation, Form::McpTask] {
        let service = Service::with(|builder| builder, |routes| routes.form(form));
        let job = service.register("a secret");
        job.start().unwrap();
        let path = service.routes.path(job.id());
        let guard = job.lock().unwrap();
        let (one, all) = (service.get(&path).await, service.get("/jobs").await);
        drop(guard);
        job.complete().unwrap();
        for answer in [one, all, service.get(&path).await] {
            let text = service.text(answer, &[job.id()]).await;
            assert!(text.starts_with("200 OK"), "{text}");
            assert!(
                !text.contains("secret") && !text.contains("payload"),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn a_submission_is_accepted_in_every_form() {
    let mut text = String::new();
    for form in [Form::Plain, Form::Operation, Form::McpTask] {
        let service = service(form);
        let job = service.register("a deck");
        let answer = service.routes.accepted(&HeaderMap::new(), job.id()).await;
        let answer = service.text(answer, &[job.id()]).await;
        writeln!(text, "{}", answer.split_once("\n{").unwrap().0).unwrap();
    }
    expect![[r#"
        202 Accepted
        cache-control: private, no-cache
        content-type: application/json
        etag: W/"VERSION"
        location: /jobs/ID
        retry-after: 2
        202 Accepted
        cache-control: private, no-cache
        content-type: application/json
        etag: W/"VERSION"
        location: /jobs/ID
        retry-after: 2
        202 Accepted
        cache-control: private, no-cache
        content-type: application/json
        etag: W/"VERSION"
        location: /jobs/ID
        retry-after: 2
    "#]]
    .assert_eq(&text);
}

/// The list of three jobs, in two parts.
async fn list(form: Form) -> String {
    let service = service(form);
    let jobs: Vec<_> = (0..3).map(|_| service.register("a deck")).collect();
    let ids: Vec<_> = jobs.iter().map(job_registry::Job::id).collect();
    let mut text = String::new();
    let (limit, cursor, next) = match form {
        Form::Operation => ("pageSize", "pageToken", "nextPageToken"),
        Form::McpTask => ("limit", "cursor", "nextCursor"),
        _ => ("limit", "cursor", "next"),
    };
    let mut path = format!("/jobs?{limit}=2");
    loop {
        let answer = service.get(&path).await;
        let answer = service.text(answer, &ids).await;
        writeln!(text, "{answer}").unwrap();
        let body = &answer[answer.find("\n{").unwrap()..];
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        match body[next].as_str() {
            Some(after) if !after.is_empty() => path = format!("/jobs?{limit}=2&{cursor}={after}"),
            _ => return text,
        }
    }
}

#[tokio::test]
async fn a_plain_list_comes_in_parts_with_counts() {
    expect![[r#"
        200 OK
        cache-control: private, no-cache
        content-length: 427
        content-type: application/json
        {
          "counts": {
            "cancelled": 0,
            "completed": 0,
            "failed": 0,
            "pending": 3,
            "running": 0,
            "stopping": 0
          },
          "jobs": [
            {
              "attempt": 1,
              "id": "ID1",
              "last_heartbeat": "+0s",
              "progress": 0.0,
              "status": "pending",
              "version": "VERSION"
            },
            {
              "attempt": 1,
              "id": "ID2",
              "last_heartbeat": "+0s",
              "progress": 0.0,
              "status": "pending",
              "version": "VERSION"
            }
          ],
          "next": "2",
          "now": "+0s"
        }
        200 OK
        cache-control: private, no-cache
        content-length: 285
        content-type: application/json
        {
          "counts": {
            "cancelled": 0,
            "completed": 0,
            "failed": 0,
            "pending": 3,
            "running": 0,
            "stopping": 0
          },
          "jobs": [
            {
              "attempt": 1,
              "id": "ID3",
              "last_heartbeat": "+0s",
              "progress": 0.0,
              "status": "pending",
              "version": "VERSION"
            }
          ],
          "next": null,
          "now": "+0s"
        }
    "#]]
    .assert_eq(&list(Form::Plain).await);
}

#[tokio::test]
async fn a_list_of_operations_comes_in_parts() {
    expect![[r#"
        200 OK
        cache-control: private, no-cache
        content-length: 614
        content-type: application/json
        {
          "nextPageToken": "2",
          "operations": [
            {
              "done": false,
              "metadata": {
                "attempt": 1,
                "createTime": "+0s",
                "endTime": null,
                "expireTime": null,
                "progressPercent": 0.0,
                "startTime": null,
                "state": "pending",
                "statusMessage": null,
                "updateTime": "+0s",
                "version": "VERSION"
              },
              "name": "jobs/ID1"
            },
            {
              "done": false,
              "metadata": {
                "attempt": 1,
                "createTime": "+0s",
                "endTime": null,
                "expireTime": null,
                "progressPercent": 0.0,
                "startTime": null,
                "state": "pending",
                "statusMessage": null,
                "updateTime": "+0s",
                "version": "VERSION"
              },
              "name": "jobs/ID2"
            }
          ]
        }
        200 OK
        cache-control: private, no-cache
        content-length: 324
        content-type: application/json
        {
          "nextPageToken": "",
          "operations": [
            {
              "done": false,
              "metadata": {
                "attempt": 1,
                "createTime": "+0s",
                "endTime": null,
                "expireTime": null,
                "progressPercent": 0.0,
                "startTime": null,
                "state": "pending",
                "statusMessage": null,
                "updateTime": "+0s",
                "version": "VERSION"
              },
              "name": "jobs/ID3"
            }
          ]
        }
    "#]]
    .assert_eq(&list(Form::Operation).await);
}

#[tokio::test]
async fn a_list_of_mcp_tasks_comes_in_parts() {
    expect![[r#"
        200 OK
        cache-control: private, no-cache
        content-length: 364
        content-type: application/json
        {
          "nextCursor": "2",
          "tasks": [
            {
              "createdAt": "+0s",
              "lastUpdatedAt": "+0s",
              "pollInterval": 1500,
              "status": "working",
              "taskId": "ID1",
              "ttl": null
            },
            {
              "createdAt": "+0s",
              "lastUpdatedAt": "+0s",
              "pollInterval": 1500,
              "status": "working",
              "taskId": "ID2",
              "ttl": null
            }
          ]
        }
        200 OK
        cache-control: private, no-cache
        content-length: 179
        content-type: application/json
        {
          "tasks": [
            {
              "createdAt": "+0s",
              "lastUpdatedAt": "+0s",
              "pollInterval": 1500,
              "status": "working",
              "taskId": "ID3",
              "ttl": null
            }
          ]
        }
    "#]]
    .assert_eq(&list(Form::McpTask).await);
}

/// The payload of a task is not shown, so it may be one that cannot be.
#[tokio::test]
async fn an_mcp_task_asks_for_no_payload() {
    let service = Service::with(
        |builder| builder,
        |routes| {
            routes
                .form(Form::McpTask)
                .show(|_| -> u8 { panic!("nobody shows it") })
        },
    );
    let job = service.register("a deck");
    for path in ["/jobs".to_owned(), service.routes.path(job.id())] {
        assert_eq!(service.get(&path).await.status(), 200);
    }
}

/// The routes work below a path that has parameters of its own.
#[tokio::test]
async fn routes_can_be_nested_below_a_parameter() {
    let service = Service::new();
    let job = service.register("a deck");
    let router: Router = Router::new().nest("/tenants/{tenant}", service.routes.router());
    for rest in ["", "/events"] {
        let path = format!("/tenants/7{}{rest}", service.routes.path(job.id()));
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 200, "{rest}");
    }
}

/// A head has the headers of the answer, and no body.
#[tokio::test]
async fn a_head_has_the_headers_of_the_answer() {
    let service = Service::new();
    let job = service.register("a deck");
    let path = service.routes.path(job.id());
    let (get, head) = (
        service.get(&path).await,
        service.call(Method::HEAD, &path, &[]).await,
    );
    assert_eq!(
        (get.status(), get.headers()["etag"].clone()),
        (head.status(), head.headers()["etag"].clone())
    );
    assert_eq!(crate::common::bytes(head).await, b"");
}
