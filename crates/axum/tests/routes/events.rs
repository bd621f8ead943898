//! Streams of events.

use crate::common::{PATIENCE, Service, Stream, bytes};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use expect_test::expect;
use job_registry::{Job, Progress, Version};
use std::fmt::Write;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

fn path(service: &Service, job: &Job<String>) -> String {
    format!("{}/events", service.routes.path(job.id()))
}

async fn follow(service: &Service, job: &Job<String>) -> Stream {
    Stream::of(service.get(&path(service, job)).await)
}

#[tokio::test]
async fn a_stream_is_the_states_of_a_job_to_its_end() {
    let service = Service::with(
        |builder| builder,
        |routes| routes.show(|record| record.payload.clone()),
    );
    let job = service.register("deck");
    let answer = service.get(&path(&service, &job)).await;
    let mut text = String::new();
    for name in ["content-type", "cache-control", "x-accel-buffering"] {
        writeln!(text, "{name}: {}", answer.headers()[name].to_str().unwrap()).unwrap();
    }
    let mut stream = Stream::of(answer);
    let steps: [&dyn Fn(); 5] = [
        &|| {},
        &|| job.start().unwrap(),
        &|| {
            job.report(Progress::of(1, 2), "slide 1 of 2\nof all")
                .unwrap();
        },
        &|| job.update(|payload| payload.push('!')).unwrap(),
        &|| job.complete().unwrap(),
    ];
    for step in steps {
        step();
        let block = stream.block().await.unwrap();
        writeln!(text, "\n{}", service.plain(&block, &[job.id()])).unwrap();
    }
    assert_eq!(stream.block().await, None);
    expect![[r#"
        content-type: text/event-stream
        cache-control: no-cache
        x-accel-buffering: no

        event: state
        id: VERSION
        data: {"id":"ID","status":"pending","progress":0.0,"attempt":1,"version":"VERSION","note":null,"reason":null,"registered_at":"+0s","started_at":null,"ended_at":null,"removal_at":null,"last_heartbeat":"+0s","payload":"deck"}

        event: state
        id: VERSION
        data: {"id":"ID","status":"running","progress":0.0,"attempt":1,"version":"VERSION","note":null,"reason":null,"registered_at":"+0s","started_at":"+0s","ended_at":null,"removal_at":null,"last_heartbeat":"+0s","payload":"deck"}

        event: state
        id: VERSION
        data: {"id":"ID","status":"running","progress":50.0,"attempt":1,"version":"VERSION","note":"slide 1 of 2\nof all","reason":null,"registered_at":"+0s","started_at":"+0s","ended_at":null,"removal_at":null,"last_heartbeat":"+0s","payload":"deck"}

        event: state
        id: VERSION
        data: {"id":"ID","status":"running","progress":50.0,"attempt":1,"version":"VERSION","note":"slide 1 of 2\nof all","reason":null,"registered_at":"+0s","started_at":"+0s","ended_at":null,"removal_at":null,"last_heartbeat":"+0s","payload":"deck!"}

        event: state
        id: VERSION
        data: {"id":"ID","status":"completed","progress":100.0,"attempt":1,"version":"VERSION","note":"slide 1 of 2\nof all","reason":null,"registered_at":"+0s","started_at":"+0s","ended_at":"+0s","removal_at":"+60s","last_heartbeat":"+0s","payload":"deck!"}
    "#]].assert_eq(&text);
}

/// A slow client gets the latest state, and in any case the end.
#[tokio::test]
async fn states_between_two_reads_are_skipped() {
    let service = Service::new();
    let job = service.register("");
    let mut stream = follow(&service, &job).await;
    stream.next().await.unwrap();
    job.start().unwrap();
    for step in 1..=100 {
        job.advance(Progress::of(step, 100)).unwrap();
    }
    let latest = stream.next().await.unwrap();
    assert_eq!(latest.json()["progress"], 100.0);
    job.note("done").unwrap();
    job.complete().unwrap();
    assert_eq!(stream.next().await.unwrap().json()["status"], "completed");
    assert_eq!(stream.next().await, None);
}

/// P9, scenario 39: a late client gets the end.
#[tokio::test]
async fn a_stream_of_an_ended_job_is_its_end() {
    let service = Service::new();
    let job = service.register("");
    job.fail("no fonts").unwrap();
    let mut stream = follow(&service, &job).await;
    assert_eq!(stream.next().await.unwrap().json()["reason"], "no fonts");
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_client_that_has_seen_the_end_does_not_reconnect() {
    let service = Service::new();
    let job = service.register("");
    job.fail("no fonts").unwrap();
    let end = follow(&service, &job)
        .await
        .next()
        .await
        .unwrap()
        .id
        .unwrap();
    let again = [("last-event-id", &*end)];
    let answer = service
        .call(Method::GET, &path(&service, &job), &again)
        .await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    // After a retry, it would be wrong.
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(bytes(answer).await, b"");

    // After a retry there is more to see.
    let next = job.retry().unwrap();
    let answer = service
        .call(Method::GET, &path(&service, &job), &again)
        .await;
    let mut stream = Stream::of(answer);
    assert_eq!(stream.next().await.unwrap().json()["attempt"], 2);
    next.cancel().unwrap();
    assert_eq!(stream.next().await.unwrap().json()["status"], "cancelled");
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_state_that_the_client_has_is_not_sent_again() {
    let service = Service::new();
    let job = service.register("");
    job.start().unwrap();
    let seen = job.snapshot().unwrap().version();
    let again = [("last-event-id", &*seen.to_string())];
    let answer = service
        .call(Method::GET, &path(&service, &job), &again)
        .await;
    let mut stream = Stream::of(answer);
    job.note("slide 1").unwrap();
    let event = stream.next().await.unwrap();
    assert_eq!(event.json()["note"], "slide 1");
    assert!(event.id.unwrap().parse::<Version>().unwrap() > seen);
}

#[tokio::test]
async fn a_forged_last_event_id_gets_the_present_state() {
    let service = Service::new();
    let job = service.register("");
    let far = {
        let other = service.register("");
        other.start().unwrap();
        other.complete().unwrap();
        other.snapshot().unwrap().version().to_string()
    };
    for forged in [
        "x",
        "",
        "0",
        "ffffffffffffffff",
        "\u{ff}",
        &far,
        &"9".repeat(5_000),
    ] {
        let answer = service
            .call(
                Method::GET,
                &path(&service, &job),
                &[("last-event-id", forged)],
            )
            .await;
        let mut stream = Stream::of(answer);
        assert_eq!(stream.next().await.unwrap().json()["status"], "pending");
    }
}

/// Scenario 40 of a stream: an attempt is retried before its end is read.
#[tokio::test]
async fn a_stream_follows_an_attempt_that_was_retried_before_its_end_was_read() {
    let service = Service::new();
    let job = service.register("");
    let mut stream = follow(&service, &job).await;
    stream.next().await.unwrap();
    job.fail("no fonts").unwrap();
    let next = job.retry().unwrap();
    assert_eq!(stream.next().await.unwrap().json()["attempt"], 2);
    next.start().unwrap();
    next.complete().unwrap();
    assert_eq!(stream.next().await.unwrap().json()["status"], "completed");
    assert_eq!(stream.next().await, None);
}

/// Scenario 28: a job is removed before its end was read.
#[tokio::test]
async fn the_last_event_of_a_removed_job_is_its_removal() {
    let service = Service::new();
    let job = service.register("");
    let mut stream = follow(&service, &job).await;
    let first = stream.next().await.unwrap();
    job.start().unwrap();
    job.complete().unwrap();
    job.remove().unwrap();
    let last = stream.next().await.unwrap();
    assert_eq!(
        (&*last.name, &last.json()["status"]),
        ("removed", &"completed".into())
    );
    let version =
        |event: &crate::common::Event| event.id.as_deref().unwrap().parse::<Version>().unwrap();
    assert!(version(&last) > version(&first));
    assert_eq!(stream.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_have_no_id_and_come_between_comments() {
    let service = Service::with(
        |builder| builder,
        |routes| routes.keep_alive(Duration::from_secs(5)),
    );
    let job = service.register("");
    job.start().unwrap();
    let mut stream = follow(&service, &job).await;
    let began = tokio::time::Instant::now();
    let mut blocks = vec![stream.block().await.unwrap()];
    blocks.push(stream.block().await.unwrap());
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    service.clock.advance(Duration::from_secs(7));
    job.heartbeat().unwrap();
    blocks.push(stream.block().await.unwrap());
    blocks.push(stream.block().await.unwrap());
    assert_eq!(began.elapsed(), Duration::from_secs(15));
    // A change postpones the next keep-alive.
    tokio::time::sleep(Duration::from_secs(4)).await;
    job.note("slide 1").unwrap();
    blocks.push(stream.block().await.unwrap());
    let changed = tokio::time::Instant::now();
    blocks.push(stream.block().await.unwrap());
    assert_eq!(changed.elapsed(), Duration::from_secs(5));
    let ids: Vec<_> = blocks
        .iter()
        .map(|block| block.contains("\nid: "))
        .collect();
    assert_eq!(ids, [true, false, false, false, true, false]);
    let text = service.plain(&blocks[1..4].join("\n\n"), &[]);
    expect![[r#"
        : 

        event: heartbeat
        data: {"last_heartbeat":"+7s"}

        : "#]]
    .assert_eq(&text);
}

/// Scenario 38: the shutdown is announced before it cancels, and no stream outlives its job.
#[tokio::test]
async fn a_shutdown_is_announced_once_and_before_the_end() {
    for waits in [false, true] {
        let token = CancellationToken::new();
        let stop = token.clone();
        let service = Service::with(|builder| builder, |routes| routes.announce(token));
        let job = service.register("");
        job.start().unwrap();
        let mut stream = follow(&service, &job).await;
        stream.next().await.unwrap();
        // The stream waits for an event, or learns of both at once.
        let (event, ()) = tokio::join!(stream.next(), async {
            if waits {
                tokio::task::yield_now().await;
            }
            stop.cancel();
            job.cancel().unwrap();
        });
        let event = event.unwrap();
        assert_eq!((&*event.name, event.id.as_deref()), ("shutdown", None));
        assert_eq!(event.data, r#"{"message":"the service is shutting down"}"#);
        assert_eq!(stream.next().await.unwrap().json()["status"], "cancelled");
        assert_eq!(stream.next().await, None);
    }
}

/// Scenario 38: a job that always changes keeps no stream open.
#[tokio::test]
async fn streams_of_a_busy_job_end_when_they_are_told_to() {
    let token = CancellationToken::new();
    let service = Service::with(
        |builder| builder,
        |routes| routes.end_streams(token.clone()),
    );
    let job = service.register("");
    let mut stream = follow(&service, &job).await;
    for _ in 0..3 {
        job.note("a change").unwrap();
        assert_eq!(stream.next().await.unwrap().name, "state");
    }
    job.note("another change").unwrap();
    token.cancel();
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn an_interval_of_any_length_is_accepted() {
    for interval in [Duration::ZERO, Duration::MAX] {
        let service = Service::with(|builder| builder, |routes| routes.keep_alive(interval));
        let job = service.register("");
        let mut stream = follow(&service, &job).await;
        assert_eq!(stream.next().await.unwrap().name, "state");
        job.cancel().unwrap();
        assert_eq!(stream.next().await.unwrap().json()["status"], "cancelled");
    }
}

/// Scenario 38: the order holds even if the cancel comes while the stream checks for changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_is_announced_before_the_end_that_it_causes() {
    let service = Service::new();
    for round in 0..3_000 {
        let stopping = CancellationToken::new();
        let job = service.register("");
        let announced = service.routes.clone().announce(stopping.clone());
        let request = Request::get(path(&service, &job)).body(Body::empty());
        let router: Router = announced.router();
        let answer = router.oneshot(request.unwrap()).await.unwrap();
        let mut stream = Stream::of(answer);
        stream.next().await.unwrap();
        let follow = tokio::spawn(async move {
            let mut names = Vec::new();
            while let Some(event) = stream.next().await {
                names.push(event.name);
            }
            names
        });
        // Like a service, the test announces the shutdown before it cancels.
        let stop = tokio::task::spawn_blocking(move || {
            stopping.cancel();
            job.cancel().unwrap();
        });
        stop.await.unwrap();
        assert_eq!(
            follow.await.unwrap(),
            ["shutdown", "state"],
            "round {round}"
        );
    }
}

#[tokio::test]
async fn streams_end_when_they_are_told_to() {
    let token = CancellationToken::new();
    let service = Service::with(
        |builder| builder,
        |routes| routes.announce(token.clone()).end_streams(token.clone()),
    );
    let job = service.register("");
    let mut stream = follow(&service, &job).await;
    assert_eq!(stream.next().await.unwrap().name, "state");
    // A change that has not been read is not sent any more.
    job.start().unwrap();
    token.cancel();
    assert_eq!(stream.next().await.unwrap().name, "shutdown");
    let end = tokio::time::timeout(PATIENCE, stream.next()).await;
    assert_eq!(end.unwrap(), None);
    // A stream that begins later says so, too.
    let mut late = follow(&service, &job).await;
    assert_eq!(late.next().await.unwrap().name, "shutdown");
}

/// A service ends its streams once its jobs have ended. The end of a job may not have been read.
#[tokio::test]
async fn streams_that_are_told_to_end_send_the_end_of_the_job() {
    let token = CancellationToken::new();
    let service = Service::with(
        |builder| builder,
        |routes| routes.end_streams(token.clone()),
    );
    let job = service.register("");
    let mut stream = follow(&service, &job).await;
    assert_eq!(stream.next().await.unwrap().name, "state");
    job.cancel().unwrap();
    token.cancel();
    assert_eq!(stream.next().await.unwrap().json()["status"], "cancelled");
    assert_eq!(stream.next().await, None);
}
