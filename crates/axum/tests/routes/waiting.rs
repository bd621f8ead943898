//! `ETag`, `If-None-Match`, and `Prefer: wait`.

use crate::common::{Service, bytes, header, json};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use job_registry::Progress;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

async fn poll(
    service: &Service,
    path: &str,
    headers: &[(&str, &str)],
) -> Response<axum::body::Body> {
    service.call(Method::GET, path, headers).await
}

/// P9: every change that a client can see is a new `ETag`.
#[tokio::test]
async fn an_etag_is_valid_until_the_next_change() {
    let service = Service::with(
        |builder| builder,
        |routes| routes.show(|record| record.payload.clone()),
    );
    let job = service.register("a");
    let path = service.routes.path(job.id());
    let mut tags = Vec::new();
    let steps: [&dyn Fn(); 8] = [
        &|| {},
        &|| job.start().unwrap(),
        &|| _ = job.advance(Progress::of(1, 4)).unwrap(),
        &|| job.note("slide 1").unwrap(),
        &|| job.update(|payload| payload.push('b')).unwrap(),
        &|| job.lock().unwrap().push('c'),
        &|| _ = job.request_stop("enough").unwrap(),
        &|| job.cancel().unwrap(),
    ];
    for (step, change) in steps.iter().enumerate() {
        change();
        let answer = poll(&service, &path, &[]).await;
        let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
        assert!(!tags.contains(&tag), "step {step} is not seen");
        for old in &tags {
            let answer = poll(&service, &path, &[("if-none-match", old)]).await;
            assert_eq!(answer.status(), StatusCode::OK);
        }
        let lines = [("if-none-match", "\"x\""), ("if-none-match", &tag)];
        let answer = poll(&service, &path, &lines).await;
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(header(answer.headers(), "etag"), Some(&*tag));
        // As in the answer that it stands for.
        let cache = header(answer.headers(), "cache-control");
        assert_eq!(cache, Some("private, no-cache"));
        assert_eq!(bytes(answer).await, b"");
        tags.push(tag);
    }
}

/// A heartbeat is no new version.
#[tokio::test]
async fn a_heartbeat_leaves_the_etag_as_it_was() {
    let service = Service::new();
    let job = service.register("");
    job.start().unwrap();
    let path = service.routes.path(job.id());
    let answer = poll(&service, &path, &[]).await;
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    service.clock.advance(Duration::from_secs(9));
    job.heartbeat().unwrap();
    let answer = poll(&service, &path, &[("if-none-match", &tag)]).await;
    assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_the_end() {
    let service = Service::new();
    let job = service.register("");
    let path = service.routes.path(job.id());
    let began = Instant::now();
    let worker = async {
        job.start().unwrap();
        for step in 1..=4 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            job.advance(Progress::of(step, 4)).unwrap();
        }
        job.complete().unwrap();
    };
    let (answer, ()) = tokio::join!(poll(&service, &path, &[("prefer", "wait=30")]), worker);
    assert_eq!(began.elapsed(), Duration::from_secs(4));
    assert_eq!(
        header(answer.headers(), "preference-applied"),
        Some("wait=30")
    );
    assert_eq!(json(answer).await["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn a_request_with_an_etag_waits_for_another_version() {
    let service = Service::new();
    let job = service.register("");
    job.start().unwrap();
    let path = service.routes.path(job.id());
    let tag = poll(&service, &path, &[]).await.headers()["etag"].clone();
    let headers = [
        ("prefer", "wait=30"),
        ("if-none-match", tag.to_str().unwrap()),
    ];
    let began = Instant::now();
    let worker = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        job.heartbeat().unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        job.note("slide 1").unwrap();
    };
    let (answer, ()) = tokio::join!(poll(&service, &path, &headers), worker);
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(json(answer).await["note"], "slide 1");

    // A client that lacks the version is answered at once.
    let began = Instant::now();
    let answer = poll(&service, &path, &headers).await;
    assert_eq!(
        (answer.status(), began.elapsed()),
        (StatusCode::OK, Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_bounded_and_says_so() {
    let service = Service::with(
        |builder| builder,
        |routes| routes.max_wait(Duration::from_millis(20_900)),
    );
    let job = service.register("");
    let path = service.routes.path(job.id());
    for (asked, waited) in [("wait=3", 3), ("wait=99999999999999", 20), ("wait=0", 0)] {
        let began = Instant::now();
        let answer = poll(&service, &path, &[("prefer", asked)]).await;
        assert_eq!(began.elapsed(), Duration::from_secs(waited), "{asked}");
        assert_eq!(answer.status(), StatusCode::OK);
        let applied = format!("wait={waited}");
        assert_eq!(
            header(answer.headers(), "preference-applied"),
            Some(&*applied)
        );
    }
    // With a known version, the answer after the wait is 304.
    let tag = poll(&service, &path, &[]).await.headers()["etag"].clone();
    let headers = [
        ("prefer", "wait=1"),
        ("if-none-match", tag.to_str().unwrap()),
    ];
    let answer = poll(&service, &path, &headers).await;
    assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(
        header(answer.headers(), "preference-applied"),
        Some("wait=1")
    );

    let short = Duration::from_millis(999);
    let service = Service::with(|builder| builder, |routes| routes.max_wait(short));
    let job = service.register("");
    let answer = poll(
        &service,
        &service.routes.path(job.id()),
        &[("prefer", "wait=9")],
    )
    .await;
    assert_eq!(header(answer.headers(), "preference-applied"), None);
}

/// Scenario 38: no request that waits delays the shutdown.
#[tokio::test(start_paused = true)]
async fn a_request_that_waits_is_answered_at_the_shutdown() {
    for announced in [true, false] {
        let token = CancellationToken::new();
        let stop = token.clone();
        let service = Service::with(
            |builder| builder,
            |routes| {
                if announced {
                    routes.announce(token)
                } else {
                    routes.end_streams(token)
                }
            },
        );
        let job = service.register("");
        let path = service.routes.path(job.id());
        let began = Instant::now();
        let shutdown = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            stop.cancel();
        };
        let (answer, ()) = tokio::join!(poll(&service, &path, &[("prefer", "wait=30")]), shutdown);
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        assert_eq!(json(answer).await["status"], "pending");
    }
}

/// A job that is removed while a client waits is gone.
#[tokio::test(start_paused = true)]
async fn a_removal_ends_the_wait() {
    let service = Service::new();
    let job = service.register("");
    let path = service.routes.path(job.id());
    let removal = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        job.cancel().unwrap();
        job.remove().unwrap();
    };
    let (answer, ()) = tokio::join!(poll(&service, &path, &[("prefer", "wait=30")]), removal);
    assert_eq!(answer.status(), StatusCode::GONE);
}

/// The answer to a submission: 202, or 200 if the client prefers to wait and the job ends in time.
#[tokio::test(start_paused = true)]
async fn a_submission_waits_as_the_client_prefers() {
    for (prefer, works, status, applied) in [
        (None, 5, StatusCode::ACCEPTED, None),
        (
            Some("respond-async"),
            5,
            StatusCode::ACCEPTED,
            Some("respond-async"),
        ),
        (Some("wait=2"), 5, StatusCode::ACCEPTED, Some("wait=2")),
        (Some("wait=9"), 5, StatusCode::OK, Some("wait=9")),
        (
            Some("respond-async, wait=9"),
            5,
            StatusCode::OK,
            Some("wait=9"),
        ),
        (
            Some("respond-async, wait=1"),
            5,
            StatusCode::ACCEPTED,
            Some("respond-async, wait=1"),
        ),
        (Some("return=minimal"), 5, StatusCode::ACCEPTED, None),
    ] {
        let service = Service::new();
        let job = service.register("");
        let id = job.id();
        let mut headers = HeaderMap::new();
        headers.extend(
            prefer.map(|prefer| ("prefer".parse().unwrap(), prefer.parse().unwrap()))
                as Option<(axum::http::HeaderName, axum::http::HeaderValue)>,
        );
        let work = async {
            job.start().unwrap();
            tokio::time::sleep(Duration::from_secs(works)).await;
            job.complete().unwrap();
        };
        let (answer, ()) = tokio::join!(service.routes.accepted(&headers, id), work);
        assert_eq!(answer.status(), status, "{prefer:?}");
        assert_eq!(
            header(answer.headers(), "preference-applied"),
            applied,
            "{prefer:?}"
        );
        let has_location = answer.headers().contains_key("location");
        assert_eq!(has_location, status == StatusCode::ACCEPTED);
    }
}

/// A wait that is not honoured is no wait: a repeated submission of an ended job is accepted.
#[tokio::test]
async fn a_submission_whose_wait_is_ignored_is_accepted() {
    let service = Service::with(|builder| builder, |routes| routes.max_wait(Duration::ZERO));
    let job = service.register("");
    job.cancel().unwrap();
    let headers = HeaderMap::from_iter([("prefer".parse().unwrap(), "wait=9".parse().unwrap())]);
    let answer = service.routes.accepted(&headers, job.id()).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    assert!(answer.headers().contains_key("location"));
    assert_eq!(header(answer.headers(), "preference-applied"), None);
}

/// P2, scenario 36: a client that disconnects while it waits ends nothing but its request.
#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_ends_only_its_request() {
    let service = Service::new();
    let job = service.register("");
    let path = service.routes.path(job.id());
    let request = poll(&service, &path, &[("prefer", "wait=30")]);
    let cut = tokio::time::timeout(Duration::from_secs(1), request).await;
    assert!(cut.is_err());
    job.start().unwrap();
    job.complete().unwrap();
    assert_eq!(json(service.get(&path).await).await["status"], "completed");
}
