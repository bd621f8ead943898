//! Golden texts of every refusal.

use crate::common::{Service, json, refused};
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use expect_test::expect;
use job_registry::{Error, Progress, RegisterError, Status};
use job_registry_axum::Problem;
use std::fmt::Write;
use std::time::Duration;

/// Every error of the library has a status, a type, a title and a detail.
#[tokio::test]
async fn every_error_of_the_registry_is_a_problem() {
    let errors = [
        Error::NotFound,
        Error::Gone,
        Error::Superseded,
        Error::NotStarted,
        Error::AlreadyStarted,
        Error::Stopping,
        Error::Ended(Status::Completed),
        Error::Busy,
        Error::Live,
        Error::NotRetryable(Status::Running),
        Error::AttemptsExhausted,
        Error::Full,
        Error::Closed,
        Error::WouldDeadlock,
        Error::NotAnId,
        Error::NotAJob,
        Error::NotAVersion,
        Error::NotACursor,
        Error::NotANumber,
        Error::OutOfRange,
    ];
    let mut text = String::new();
    for error in errors {
        let response = Problem::from(error).into_response();
        let after = response.headers().get("retry-after").cloned();
        let body = json(response).await;
        write!(text, "{body}").unwrap();
        if let Some(after) = after {
            write!(text, " Retry-After: {}", after.to_str().unwrap()).unwrap();
        }
        text.push('\n');
    }
    expect![[r#"
        {"detail":"no job has this id","status":404,"title":"No job has this id","type":"urn:problem-type:job-registry:not_found"}
        {"detail":"the job has been removed","status":410,"title":"The job was removed","type":"urn:problem-type:job-registry:gone"}
        {"detail":"a later attempt of the job has begun","status":409,"title":"The job does not permit this","type":"urn:problem-type:job-registry:superseded"}
        {"detail":"the job has not been started","status":409,"title":"The job does not permit this","type":"urn:problem-type:job-registry:not_started"}
        {"detail":"the job has been started already","status":409,"title":"The job does not permit this","type":"urn:problem-type:job-registry:already_started"}
        {"detail":"the job has been asked to stop","status":409,"title":"The job is stopping","type":"urn:problem-type:job-registry:stopping"}
        {"detail":"the job has already ended (completed)","job_status":"completed","status":409,"title":"The job has ended","type":"urn:problem-type:job-registry:ended"}
        {"detail":"another caller holds the job's lock","status":503,"title":"The job is in use","type":"urn:problem-type:job-registry:busy"} Retry-After: 5
        {"detail":"the job has not ended","status":409,"title":"The job does not permit this","type":"urn:problem-type:job-registry:live"}
        {"detail":"the job is running: only a failed, cancelled or stalled one is retried","job_status":"running","status":409,"title":"The job cannot be retried now","type":"urn:problem-type:job-registry:not_retryable"}
        {"detail":"the job has no attempts left","status":409,"title":"The job has no attempts left","type":"urn:problem-type:job-registry:attempts_exhausted"}
        {"detail":"the registry is full","status":429,"title":"The service is full","type":"urn:problem-type:job-registry:full"} Retry-After: 5
        {"detail":"the registry accepts no more jobs","status":503,"title":"The service is shutting down","type":"urn:problem-type:job-registry:closed"} Retry-After: 5
        {"detail":"this thread holds a job's lock already","status":500,"title":"The service made a mistake","type":"urn:problem-type:job-registry:would_deadlock"}
        {"detail":"not a job id: expected 22 letters and digits","status":404,"title":"The id is not valid","type":"urn:problem-type:job-registry:not_an_id"}
        {"detail":"the parts are not those of a job","status":500,"title":"The service made a mistake","type":"urn:problem-type:job-registry:not_a_job"}
        {"detail":"not a version of a job","status":400,"title":"The version is not valid","type":"urn:problem-type:job-registry:not_a_version"}
        {"detail":"not a cursor: expected the text of one","status":400,"title":"The cursor is not valid","type":"urn:problem-type:job-registry:not_a_cursor"}
        {"detail":"progress is not a number","status":400,"title":"The progress is not valid","type":"urn:problem-type:job-registry:not_a_number"}
        {"detail":"progress is outside of 0 to 100 percent","status":400,"title":"The progress is not valid","type":"urn:problem-type:job-registry:out_of_range"}
    "#]].assert_eq(&text);
}

#[tokio::test]
async fn a_problem_of_the_service_has_its_own_members() {
    let problem = Problem::new(
        StatusCode::IM_A_TEAPOT,
        "no_tea",
        "There is no tea",
        "it is gone",
    )
    .with("remedy", "drink water")
    .with("cups", 3)
    // The members of the standard cannot be replaced by accident.
    .with("status", 200)
    .with("type", "about:blank")
    .with("title", "another")
    .with("detail", "another")
    .with("instance", "another")
    .retry_after(Duration::from_millis(2_001));
    assert_eq!(problem.to_string(), "There is no tea: it is gone");
    let service = Service::new();
    let body = crate::common::bytes(problem.clone().into_response()).await;
    let body = String::from_utf8(body).unwrap();
    // A member that comes twice is one of two for a client, depending on its parser.
    assert!(!body.contains("another"), "{body}");
    let text = service.text(problem.into_response(), &[]).await;
    expect![[r#"
        418 I'm a teapot
        cache-control: no-store
        content-type: application/problem+json
        retry-after: 3
        {
          "cups": 3,
          "detail": "it is gone",
          "remedy": "drink water",
          "status": 418,
          "title": "There is no tea",
          "type": "urn:problem-type:job-registry:no_tea"
        }"#]]
    .assert_eq(&text);
}

#[test]
fn every_error_type_becomes_the_problem_of_its_name() {
    let jobs = job_registry::JobRegistry::builder().capacity(1).build();
    let job = jobs.register(()).unwrap();
    let problems: [Problem; 6] = [
        job.advance(Progress::ZERO).unwrap_err().into(),
        jobs.retry(job.id()).unwrap_err().into(),
        jobs.register(()).unwrap_err().into(),
        "x".parse::<job_registry::JobId>().unwrap_err().into(),
        Progress::percent(f64::NAN).unwrap_err().into(),
        jobs.remove(job.id()).unwrap_err().into(),
    ];
    let names = problems.each_ref().map(Problem::name);
    let expected = [
        "not_started",
        "not_retryable",
        "full",
        "not_an_id",
        "not_a_number",
        "live",
    ];
    assert_eq!(names, expected);
    assert_eq!(Problem::from(RegisterError::Closed(())).name(), "closed");
}

/// P4: ids of other registries, removed jobs and malformed texts.
#[tokio::test]
async fn an_id_is_unknown_or_gone_on_every_route() {
    let service = Service::with(|builder| builder, |routes| routes.retry(drop));
    let other = Service::new().register("").id().to_string();
    let job = service.register("");
    job.cancel().unwrap();
    job.remove().unwrap();
    let gone = job.id().to_string();
    let long = "A".repeat(4_000);
    let unknown = [
        "AAAAAAAAAAAAAAAAAAAAAA",
        &other,
        "1",
        "%20",
        "%FF",
        "..%2Fetc",
        "%D1%97",
        &long,
    ];
    let all = unknown
        .into_iter()
        .map(|id| (id, StatusCode::NOT_FOUND, "not_found"));
    for (id, status, name) in all.chain([(&*gone, StatusCode::GONE, "gone")]) {
        for (method, rest) in [
            (Method::GET, ""),
            (Method::GET, "/events"),
            (Method::DELETE, ""),
            (Method::DELETE, "?force"),
            (Method::POST, "/retry"),
        ] {
            for headers in [&[][..], &[("if-none-match", "*"), ("prefer", "wait=9")]] {
                let path = format!("/jobs/{id}{rest}");
                let answer = service.call(method.clone(), &path, headers).await;
                refused(answer, status, name).await;
            }
        }
    }
}

#[tokio::test]
async fn a_query_that_is_not_valid_is_refused() {
    let service = Service::new();
    let job = service.register("");
    job.start().unwrap();
    for query in [
        "limit=0",
        "limit=-1",
        "limit=x",
        "limit=",
        "pageSize=1e3",
        "limit=99999999999999999999",
    ] {
        let answer = service.get(&format!("/jobs?{query}")).await;
        refused(answer, StatusCode::BAD_REQUEST, "bad_query").await;
    }
    for query in [
        "cursor=x",
        "cursor=-1",
        "pageToken=01",
        "cursor=99999999999",
    ] {
        let answer = service.get(&format!("/jobs?{query}")).await;
        refused(answer, StatusCode::BAD_REQUEST, "not_a_cursor").await;
    }
    for query in [
        "",
        "cursor=",
        "limit=1",
        "limit=1000000",
        "x",
        "&&",
        "=",
        "limit=5&y=%",
    ] {
        let answer = service.get(&format!("/jobs?{query}")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{query}");
    }
    let path = service.routes.path(job.id());
    for query in ["force=yes", "force=1", "force=TRUE"] {
        let answer = service.delete(&format!("{path}?{query}")).await;
        refused(answer, StatusCode::BAD_REQUEST, "bad_query").await;
    }
    // Nothing has changed.
    assert_eq!(job.snapshot().unwrap().status(), Status::Running);
}

/// A payload that cannot be serialized is a refusal, not an empty answer.
#[tokio::test]
async fn a_payload_that_cannot_be_shown_is_a_problem() {
    let nameless = std::collections::BTreeMap::from([(vec![1], 2)]);
    let service = Service::with(
        |builder| builder,
        |routes| routes.show(move |_| nameless.clone()),
    );
    let job = service.register("");
    let answer = service.get(&service.routes.path(job.id())).await;
    refused(answer, StatusCode::INTERNAL_SERVER_ERROR, "not_shown").await;
}

#[test]
fn a_base_that_is_no_path_panics() {
    for base in ["", "/", "jobs", "/jobs/", "/{tenant}/jobs", "/jobs?x"] {
        let service = Service::new();
        let jobs = service.jobs.clone();
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            job_registry_axum::JobRoutes::new(jobs, base)
        }));
        assert!(made.is_err(), "{base}");
    }
}
