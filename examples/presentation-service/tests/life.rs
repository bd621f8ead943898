//! The lifecycle of a presentation: cancelled, failed, panicked, removed, shut down.

mod common;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use common::{PATIENCE, RETENTION, Scripted, Service, gated, picture, quick, refused};
use presentation_service::api::router;
use reqwest::StatusCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tower::ServiceExt;

/// P2, scenario 13: the painter notices the cancel before the next slide.
#[tokio::test]
async fn a_cancelled_presentation_is_drawn_no_further() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let path = service.submit(3).await;
    assert_eq!(gate.arrived().await, 0);
    gate.pass();
    assert_eq!(gate.arrived().await, 1);

    let response = service.delete(&path).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(service.view(&path).await.status, "stopping");
    let response = service.delete(&path).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(service.view(&path).await.status, "cancelled");
    let error = refused(service.delete(&path).await, StatusCode::CONFLICT).await;
    assert!(error.contains("cancelled"), "{error}");
    refused(
        service.get(&format!("{path}/file")).await,
        StatusCode::CONFLICT,
    )
    .await;

    // The painter may draw the second slide; the third is never requested.
    gate.pass();
    let clock = service.clock.clone();
    clock.advance(RETENTION);
    service.gone(&path).await;
    service.no_files_left().await;
    let drained = service.server.shutdown(PATIENCE);
    drained.await.unwrap();
    assert_eq!(gate.asked.load(Ordering::SeqCst), 2);
}

/// P13: the painter ends what it was asked to stop, before the next slide.
#[tokio::test]
async fn a_stopped_presentation_is_ended_by_its_painter() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let path = service.submit(3).await;
    gate.arrived().await;
    let response = service.delete(&path).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    gate.pass();
    let ended = service.ended(&path).await;
    assert_eq!(ended.status, "cancelled");
    assert_eq!(ended.reason.as_deref(), Some("stopped by a client"));
    assert_eq!(gate.asked.load(Ordering::SeqCst), 1);
}

/// P2, scenario 13: a cancel after the completion is refused.
#[tokio::test]
async fn a_completed_presentation_is_not_cancelled() {
    let service = Service::start(quick()).await;
    let path = service.submit(1).await;
    let before = service.ended(&path).await;
    let error = refused(service.delete(&path).await, StatusCode::CONFLICT).await;
    assert!(error.contains("completed"), "{error}");
    let after = service.view(&path).await;
    assert_eq!(
        (after.status, after.version),
        (before.status, before.version)
    );
}

/// P11, scenario 23: another presentation, submitted at the same time, completes.
#[tokio::test]
async fn a_panic_while_drawing_fails_one_presentation_and_no_other() {
    let studio = Scripted::studio(|slide| {
        assert!(slide != 2, "no ink for slide {slide}");
        Ok(picture(slide))
    });
    let service = Service::start(studio).await;
    let (short, long) = tokio::join!(service.submit(2), service.submit(3));
    let failed = service.ended(&long).await;
    assert_eq!(failed.status, "failed");
    assert_eq!(
        failed.reason.as_deref(),
        Some("panicked: no ink for slide 2")
    );
    assert!(failed.progress < 100.0);
    refused(
        service.get(&format!("{long}/file")).await,
        StatusCode::CONFLICT,
    )
    .await;
    assert_eq!(service.ended(&short).await.status, "completed");

    service.clock.advance(RETENTION);
    service.gone(&long).await;
    service.gone(&short).await;
    service.no_files_left().await;
}

#[tokio::test]
async fn a_slide_that_cannot_be_drawn_fails_the_presentation() {
    let studio = Scripted::studio(|slide| match slide {
        0 => Ok(picture(0)),
        _ => Err("out of paper".into()),
    });
    let service = Service::start(studio).await;
    let path = service.submit(2).await;
    let view = service.ended(&path).await;
    assert_eq!((&*view.status, view.progress), ("failed", 50.0));
    assert_eq!(
        view.reason.as_deref(),
        Some("slide 2 cannot be drawn: out of paper")
    );
    service.clock.advance(RETENTION);
    service.gone(&path).await;
    service.no_files_left().await;
}

/// P5 and P6, scenario 25: the presentation is there until its deadline, and gone afterwards.
#[tokio::test]
async fn a_presentation_stays_exactly_as_long_as_its_retention() {
    let service = Service::start(quick()).await;
    let path = service.submit(1).await;
    service.ended(&path).await;
    let last = Duration::from_millis(1);
    service.clock.advance(RETENTION.saturating_sub(last));
    service.state.registry.sweep();
    assert_eq!(service.view(&path).await.status, "completed");
    assert_eq!(service.directories().len(), 1);

    service.clock.advance(last);
    service.gone(&path).await;
    service.no_files_left().await;
    refused(service.get(&path).await, StatusCode::GONE).await;
    refused(service.get(&format!("{path}/file")).await, StatusCode::GONE).await;
    refused(service.delete(&path).await, StatusCode::GONE).await;
    assert_eq!(
        service.get_unless(&path, "*").await.status(),
        StatusCode::GONE
    );
}

/// P5: the retention counts from the end.
#[tokio::test]
async fn a_presentation_that_runs_longer_than_the_retention_is_not_removed() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let path = service.submit(1).await;
    gate.arrived().await;
    service.clock.advance(RETENTION * 10);
    service.state.registry.sweep();
    assert_eq!(service.view(&path).await.status, "running");
    gate.pass();
    assert_eq!(service.ended(&path).await.status, "completed");
}

/// P5, scenario 30: an open file can be read to its end.
#[tokio::test]
async fn a_download_that_began_survives_the_removal() {
    let service = Service::start(quick()).await;
    let path = service.submit(40).await;
    service.ended(&path).await;
    let whole = service
        .get(&format!("{path}/file"))
        .await
        .bytes()
        .await
        .unwrap();

    // Without a socket, the body is read only on request of the test.
    let request = Request::get(format!("{path}/file"))
        .body(Body::empty())
        .unwrap();
    let response = router(service.state.clone())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    service.clock.advance(RETENTION);
    service.gone(&path).await;
    service.no_files_left().await;
    let read = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert_eq!(read, whole);
}

/// P8: heartbeats are sent while a painter draws, and stop with the job.
#[tokio::test]
async fn heartbeats_are_sent_while_a_slide_is_drawn_and_stop_at_the_end() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let path = service.submit(1).await;
    gate.arrived().await;
    let mut before = service.view(&path).await.last_heartbeat;
    for _ in 0..2 {
        service.clock.advance(Duration::from_secs(1));
        let deadline = Instant::now() + PATIENCE;
        let mut now = before.clone();
        while now == before {
            assert!(Instant::now() < deadline, "the heartbeat stands still");
            tokio::time::sleep(Duration::from_millis(2)).await;
            now = service.view(&path).await.last_heartbeat;
        }
        assert!(now > before);
        before = now;
    }
    gate.pass();
    let ended = service.ended(&path).await;
    service.clock.advance(Duration::from_secs(1));
    // A heartbeat that outlived its job would show after several intervals.
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(
        service.view(&path).await.last_heartbeat,
        ended.last_heartbeat
    );
}

/// P6: a shutdown leaves no presentation and no file.
#[tokio::test]
async fn a_shutdown_cancels_every_presentation_and_deletes_every_file() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let completed = service.submit(1).await;
    gate.arrived().await;
    gate.pass();
    service.ended(&completed).await;
    let _running = service.submit(2).await;
    gate.arrived().await;
    assert_eq!(service.directories().len(), 2);

    let registry = service.state.registry.clone();
    let routes = router(service.state.clone());
    let stopping = tokio::spawn(service.server.shutdown(PATIENCE));
    // Once the registry is closed, the painter may continue; no further slide is requested.
    let deadline = Instant::now() + PATIENCE;
    while registry.counts().running > 0 {
        assert!(Instant::now() < deadline, "the shutdown cancels nothing");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let body = Body::from(r##"{"title": "late", "deck": "# late"}"##);
    let request = Request::post("/api/presentations").header("content-type", "application/json");
    let response = routes.oneshot(request.body(body).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    gate.pass();
    stopping.await.unwrap().unwrap();
    assert_eq!(gate.asked.load(Ordering::SeqCst), 2);
    assert_eq!(std::fs::read_dir(service.files.path()).unwrap().count(), 0);
    assert!(registry.is_empty());
}

/// P6, scenario 36: a runtime is dropped while one presentation is drawn and another waits for its
/// removal. No job stays running, and no file outlives its job.
#[test]
fn a_runtime_that_is_dropped_leaves_nothing_running_and_no_file() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (service, gate) = runtime.block_on(async {
        let (studio, mut gate) = gated();
        let service = Service::start(studio).await;
        let completed = service.submit(1).await;
        gate.arrived().await;
        gate.pass();
        service.ended(&completed).await;
        service.submit(2).await;
        gate.arrived().await;
        (service, gate)
    });
    assert_eq!(service.directories().len(), 2);
    drop(runtime);
    let counts = service.state.registry.counts();
    assert_eq!((counts.completed, counts.running), (1, 1));
    // The painter's thread continues with its job, and fails here.
    drop(gate);
    let deadline = Instant::now() + PATIENCE;
    while service.state.registry.counts().failed < 1 {
        assert!(Instant::now() < deadline, "a job runs for ever");
        std::thread::sleep(Duration::from_millis(2));
    }
    // The reaper needs no runtime.
    service.clock.advance(RETENTION);
    while !service.state.registry.is_empty() {
        assert!(Instant::now() < deadline, "a job is never removed");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(service.directories().len(), 0);
}
