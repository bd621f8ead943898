//! `GET /api/presentations/{id}/events`: the events of early, late, slow and returning subscribers.

#[path = "../common/mod.rs"]
mod common;
mod stream;

use axum::body::HttpBody;
use common::{Gate, PATIENCE, RETENTION, Service, body, gated, presentation, quick, refused};
use job_registry::{Progress, Version};
use reqwest::StatusCode;
use serde_json::Value;
use std::future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stream::{Events, subscribe};
use tokio::time::timeout;

/// Lets the painter draw so many slides.
async fn draw(gate: &mut Gate, slides: usize) {
    for _ in 0..slides {
        gate.arrived().await;
        gate.pass();
    }
}

/// P1 and P9: a subscriber gets the current state, each change, and the end, in order.
#[tokio::test]
async fn a_subscriber_sees_the_state_as_it_is_each_change_and_the_end() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let path = service.submit(3).await;
    gate.arrived().await;

    let mut events = Events::of(&service, &path).await;
    let first = events.next_step().await.unwrap().view();
    assert_eq!((&*first.status, first.progress), ("running", 0.0));
    gate.pass();
    draw(&mut gate, 2).await;
    let views = events.rest().await;
    let last = views.last().expect("the end is an event");
    assert_eq!((&*last.status, last.progress), ("completed", 100.0));
    assert!(last.payload.file.is_some());
    let versions: Vec<Version> = std::iter::once(&first)
        .chain(&views)
        .map(|view| view.version.parse().unwrap())
        .collect();
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
}

/// P9, scenario 39: a subscriber that comes after the end gets it at once.
#[tokio::test]
async fn a_late_subscriber_gets_the_end_and_nothing_else() {
    let service = Service::start(quick()).await;
    let path = service.submit(2).await;
    let ended = service.ended(&path).await;
    let views = Events::of(&service, &path).await.rest().await;
    assert_eq!(views.len(), 1);
    assert_eq!(views[0].version, ended.version);

    service.clock.advance(RETENTION);
    service.gone(&path).await;
    refused(subscribe(&service, &path, None).await, StatusCode::GONE).await;
    let forged = "/api/presentations/nobody";
    refused(
        subscribe(&service, forged, None).await,
        StatusCode::NOT_FOUND,
    )
    .await;
}

/// P9: a returning client gets no event twice. A client that has seen the end is told not to come
/// back.
#[tokio::test]
async fn a_stream_is_resumed_after_the_last_event() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let path = service.submit(2).await;
    gate.arrived().await;
    let mut events = Events::of(&service, &path).await;
    let seen = events.next_step().await.unwrap().view();
    drop(events);

    let mut resumed = Events::from(subscribe(&service, &path, Some(&seen.version)).await);
    gate.pass();
    let next = resumed.next_step().await.unwrap().view();
    assert!(next.version.parse::<Version>().unwrap() > seen.version.parse().unwrap());
    draw(&mut gate, 1).await;
    let ended = service.ended(&path).await;

    let again = subscribe(&service, &path, Some(&ended.version)).await;
    assert_eq!(again.status(), StatusCode::NO_CONTENT);
    // The client missed the end, or sends an impossible version, or none.
    for last in [&*seen.version, "18446744073709551615", "-1", "\u{20}", "x"] {
        let views = Events::from(subscribe(&service, &path, Some(last)).await)
            .rest()
            .await;
        assert_eq!(views.len(), 1, "{last}");
        assert_eq!(views[0].version, ended.version);
    }
}

/// P9: events are generated on demand, so a reader that pauses for a hundred steps gets one event
/// with the latest state.
#[tokio::test]
async fn a_slow_reader_gets_only_the_latest_state() {
    let service = Service::start(quick()).await;
    let job = service.state.registry.register(presentation("A deck"));
    let job = job.unwrap();
    let path = format!("/api/presentations/{}", job.id());
    let mut follower = body(&service.state, &format!("{path}/events")).await;
    let mut read = async || {
        let frame = timeout(
            PATIENCE,
            future::poll_fn(|cx| Pin::new(&mut follower).poll_frame(cx)),
        );
        let frame = frame.await.expect("an event comes")?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    };
    assert!(read().await.unwrap().contains(r#""status":"pending""#));
    job.start().unwrap();
    for step in 0..=100 {
        let progress = Progress::ratio(step, 200).unwrap();
        job.advance(progress).unwrap();
    }
    assert!(read().await.unwrap().contains(r#""progress":50.0"#));
    job.complete().unwrap();
    assert!(read().await.unwrap().contains(r#""status":"completed""#));
    assert_eq!(read().await, None);
}

/// P8: a heartbeat is no new version.
#[tokio::test]
async fn heartbeats_are_events_without_an_id() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let path = service.submit(1).await;
    gate.arrived().await;
    let mut events = Events::of(&service, &path).await;
    let first = events.next_step().await.unwrap().view();
    service.clock.advance(Duration::from_secs(1));
    let beat = events.next().await.unwrap();
    assert_eq!((&*beat.name, beat.id), ("heartbeat", None));
    let data: Value = serde_json::from_str(&beat.data).unwrap();
    assert!(data["last_heartbeat"].as_str().unwrap() > &*first.last_heartbeat);
    gate.pass();
    assert_eq!(events.rest().await.last().unwrap().status, "completed");
}

/// P9: a subscriber follows the current attempt. If it came for the previous one, it learns how
/// that ended.
#[tokio::test]
async fn a_retry_is_followed() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let path = service.submit(1).await;
    gate.arrived().await;
    service.delete(&format!("{path}?force")).await;
    let ends = Events::of(&service, &path).await.rest().await;
    assert_eq!(ends.last().unwrap().status, "cancelled");
    let retried = service.retry(&path).await;
    assert_eq!(retried.status(), StatusCode::ACCEPTED);
    let mut events = Events::from(subscribe(&service, &path, Some(&ends[0].version)).await);
    assert_eq!(events.next_step().await.unwrap().view().attempt, 2);
    gate.pass();
    draw(&mut gate, 1).await;
    let last = events.rest().await.pop().unwrap();
    assert_eq!((&*last.status, last.attempt), ("completed", 2));
    refused(service.retry(&path).await, StatusCode::CONFLICT).await;
}

/// P6: a disconnected subscriber leaves nothing behind, and the job continues.
#[tokio::test]
async fn disconnected_subscribers_leave_nothing_behind() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let path = service.submit(1).await;
    gate.arrived().await;
    // Each stream and each connection holds the service's state, so that its references count them.
    let holders = || Arc::strong_count(&service.state.config);
    let before = holders();
    let mut subscribers = Vec::new();
    for _ in 0..100 {
        let mut events = Events::of(&service, &path).await;
        events.next_step().await.unwrap();
        subscribers.push(events);
    }
    assert!(holders() >= before + 100, "they are not counted");
    drop(subscribers);
    let deadline = Instant::now() + PATIENCE;
    while holders() > before {
        assert!(Instant::now() < deadline, "{} are left", holders() - before);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    gate.pass();
    assert_eq!(service.ended(&path).await.status, "completed");
}

/// P9, scenario 38: the stream announces the shutdown, then the job's end, and ends.
#[tokio::test]
async fn a_shutdown_ends_every_stream() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let path = service.submit(1).await;
    gate.arrived().await;
    let mut events = Events::of(&service, &path).await;
    events.next_step().await.unwrap();
    let follow = async {
        let announced = events.next_step().await.unwrap();
        assert_eq!((&*announced.name, announced.id), ("shutdown", None));
        // The end comes as a state, or after a fast removal as its remaining snapshot.
        let end = events.last().await;
        assert!(matches!(&*end.name, "state" | "removed"), "{end:?}");
        let end: Value = serde_json::from_str(&end.data).unwrap();
        assert_eq!(end["status"], "cancelled");
    };
    let stopped = service.server.shutdown(Duration::from_secs(2));
    let (stopped, ()) = tokio::join!(stopped, follow);
    let stopped = stopped.unwrap();
    assert!(!stopped.requests, "{stopped}");
    drop(gate);
}
