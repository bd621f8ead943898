//! Stops, cancels and retries.

use crate::common::{Service, header, json, refused};
use axum::http::{Method, StatusCode};
use job_registry::{Progress, Status};
use std::sync::{Arc, Mutex};

/// P13: the first request asks the worker, and the second one does not wait for it.
#[tokio::test]
async fn a_second_delete_cancels_what_the_first_has_asked_to_stop() {
    let service = Service::new();
    let job = service.register("");
    job.start().unwrap();
    let path = service.routes.path(job.id());
    let first = service.delete(&path).await;
    assert_eq!(first.status(), StatusCode::ACCEPTED);
    assert_eq!(header(first.headers(), "location"), Some(&*path));
    let first = json(first).await;
    assert_eq!(
        (&first["status"], &first["reason"]),
        (&"stopping".into(), &"stopped by a client".into())
    );
    assert!(job.is_stop_requested());

    let second = service.delete(&path).await;
    assert_eq!(second.status(), StatusCode::OK);
    assert_eq!(json(second).await["status"], "cancelled");
    let third = service.delete(&path).await;
    let third = refused(third, StatusCode::CONFLICT, "ended").await;
    assert_eq!(third["job_status"], "cancelled");
}

#[tokio::test]
async fn a_forced_delete_cancels_at_once() {
    for query in ["?force", "?force=true", "?x&force"] {
        let service = Service::new();
        let job = service.register("");
        job.start().unwrap();
        let path = service.routes.path(job.id());
        let answer = service.delete(&format!("{path}{query}")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let answer = json(answer).await;
        assert_eq!(
            (&answer["status"], &answer["reason"]),
            (&"cancelled".into(), &"cancelled by a client".into())
        );
        assert!(job.advance(Progress::of(1, 2)).is_err());
    }
    let service = Service::new();
    let job = service.register("");
    job.start().unwrap();
    let path = format!("{}?force=false", service.routes.path(job.id()));
    assert_eq!(service.delete(&path).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_pending_job_is_cancelled_by_the_first_delete() {
    let service = Service::new();
    let job = service.register("");
    let answer = service.delete(&service.routes.path(job.id())).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(json(answer).await["status"], "cancelled");
}

/// P2: an ending that came first stands.
#[tokio::test]
async fn a_delete_after_the_end_changes_nothing() {
    let service = Service::new();
    let job = service.register("");
    job.start().unwrap();
    job.complete().unwrap();
    let before = job.snapshot().unwrap();
    for query in ["", "?force"] {
        let answer = service
            .delete(&format!("{}{query}", service.routes.path(job.id())))
            .await;
        let body = refused(answer, StatusCode::CONFLICT, "ended").await;
        assert_eq!(body["job_status"], "completed");
    }
    assert_eq!(job.snapshot().unwrap(), before);
}

/// A change is made only if its condition holds.
#[tokio::test]
async fn a_condition_that_fails_changes_nothing() {
    let service = Service::with(|builder| builder, |routes| routes.retry(drop));
    let live = service.register("");
    let failed = service.register("");
    failed.fail("no fonts").unwrap();
    for (job, method, rest) in [
        (&live, Method::DELETE, ""),
        (&live, Method::DELETE, "?force"),
        (&failed, Method::POST, "/retry"),
    ] {
        let before = job.snapshot().unwrap();
        let weak = format!("W/\"{}\"", before.version());
        let path = format!("{}{rest}", service.routes.path(job.id()));
        let failing = [
            ("if-match", &*weak),
            ("if-match", "\"x\""),
            ("if-none-match", &weak),
            ("if-none-match", "*"),
        ];
        for condition in failing {
            let answer = service.call(method.clone(), &path, &[condition]).await;
            let status = StatusCode::PRECONDITION_FAILED;
            refused(answer, status, "precondition_failed").await;
            assert_eq!(job.snapshot().unwrap(), before);
        }
    }
    let path = service.routes.path(live.id());
    let holds = [("if-match", "*"), ("if-none-match", "\"x\"")];
    let answer = service.call(Method::DELETE, &path, &holds).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

/// P10: a retry gives the owner of the next attempt to the service.
#[tokio::test]
async fn a_retry_begins_the_next_attempt() {
    let begun = Arc::new(Mutex::new(Vec::new()));
    let retried = Arc::clone(&begun);
    let service = Service::with(
        |builder| builder,
        |routes| {
            routes.retry(move |job| {
                job.start().unwrap();
                retried.lock().unwrap().push(job);
            })
        },
    );
    let job = service.register("");
    let path = format!("{}/retry", service.routes.path(job.id()));
    let answer = service.call(Method::POST, &path, &[]).await;
    let body = refused(answer, StatusCode::CONFLICT, "not_retryable").await;
    assert_eq!(body["job_status"], "pending");

    job.fail("no fonts").unwrap();
    let answer = service.call(Method::POST, &path, &[]).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    for name in ["location", "retry-after", "etag"] {
        assert!(answer.headers().contains_key(name), "{name}");
    }
    let answer = json(answer).await;
    assert_eq!(
        (&answer["status"], &answer["attempt"]),
        (&"running".into(), &2.into())
    );
    assert_eq!(begun.lock().unwrap().len(), 1);
    let answer = service.call(Method::POST, &path, &[]).await;
    refused(answer, StatusCode::CONFLICT, "not_retryable").await;

    service.jobs.close();
    begun.lock().unwrap()[0].fail("again").unwrap();
    let answer = service.call(Method::POST, &path, &[]).await;
    assert!(answer.headers().contains_key("retry-after"));
    refused(answer, StatusCode::SERVICE_UNAVAILABLE, "closed").await;
}

/// P11: a retry whose work cannot begin fails its job, instead of leaving it pending.
#[tokio::test]
async fn a_retry_that_is_lost_fails_its_job() {
    let service = Service::with(|builder| builder, |routes| routes.retry(drop));
    let job = service.register("");
    job.cancel().unwrap();
    let path = service.routes.path(job.id());
    let answer = service
        .call(Method::POST, &format!("{path}/retry"), &[])
        .await;
    let answer = json(answer).await;
    assert_eq!(
        (&answer["status"], &answer["attempt"]),
        (&"failed".into(), &2.into())
    );
}

#[tokio::test]
async fn a_retry_exists_only_if_the_service_has_one() {
    let service = Service::new();
    let job = service.register("");
    job.fail("no fonts").unwrap();
    let path = format!("{}/retry", service.routes.path(job.id()));
    let answer = service.call(Method::POST, &path, &[]).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        service.jobs.snapshot(job.id()).unwrap().status(),
        Status::Failed
    );
}
