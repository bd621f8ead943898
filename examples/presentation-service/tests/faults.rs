//! What goes wrong around a presentation: clients that hang up, files that are gone or stay, a disk that is full, a
//! flood.

mod common;

use common::{PATIENCE, RETENTION, Service, frames, gated, quick, refused};
use futures_util::stream::{self, StreamExt};
use presentation_service::files::Trash;
use presentation_service::views::Listing;
use reqwest::{Client, StatusCode};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn listing(service: &Service) -> Listing {
    service
        .get("/api/presentations")
        .await
        .json()
        .await
        .unwrap()
}

/// Sends a request as far as `text` goes, and hangs up.
async fn hang_up_after(service: &Service, text: &str, read: usize) {
    let mut stream = TcpStream::connect(service.server.address()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = vec![0; read];
    stream.read_exact(&mut answer).await.unwrap();
    // An RST instead of an orderly end.
    stream.set_zero_linger().unwrap();
}

/// Scenario 13.
#[tokio::test]
async fn clients_that_hang_up_disturb_nobody() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let body = json!({"title": "Half", "deck": "# One"}).to_string();
    let head = |length: usize| {
        format!(
            "POST /api/presentations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    // During a submit: half a body is no submission. A whole one is, also when nobody reads the answer.
    hang_up_after(&service, &format!("{}{}", head(body.len()), &body[..10]), 0).await;
    let path = service.submit(2).await;
    assert_eq!(gate.arrived().await, 0);
    assert_eq!(listing(&service).await.presentations.len(), 1);

    // During a poll and a stream.
    for part in ["", "/events"] {
        let request = format!("GET {path}{part} HTTP/1.1\r\nHost: x\r\n\r\n");
        hang_up_after(&service, &request, 0).await;
        hang_up_after(&service, &request, 100).await;
    }
    gate.pass();
    assert_eq!(gate.arrived().await, 1);
    gate.pass();
    assert_eq!(service.ended(&path).await.status, "completed");

    // During a download.
    let request = format!("GET {path}/file HTTP/1.1\r\nHost: x\r\n\r\n");
    hang_up_after(&service, &request, 20).await;
    let file = service.get(&format!("{path}/file")).await;
    assert_eq!(frames(&file.bytes().await.unwrap()), 2);
    service.clock.advance(RETENTION);
    service.gone(&path).await;
    service.no_files_left().await;
}

/// Files that somebody else has deleted are no error of the cleanup; a download says what happened.
#[tokio::test]
async fn files_that_are_already_gone_are_not_missed() {
    let service = Service::start(quick()).await;
    let (path, other) = tokio::join!(service.submit(1), service.submit(1));
    service.ended(&path).await;
    service.ended(&other).await;
    for directory in service.directories() {
        std::fs::remove_dir_all(directory).unwrap();
    }
    let file = service.get(&format!("{path}/file")).await;
    let error = refused(file, StatusCode::INTERNAL_SERVER_ERROR).await;
    assert!(!error.contains("presentation-"), "tells a path: {error}");
    service.clock.advance(RETENTION);
    service.gone(&path).await;
    service.gone(&other).await;
    assert_eq!(service.state.trash.left(), Vec::<std::path::PathBuf>::new());
}

/// A directory that cannot be deleted is reported, holds up nobody else's removal, and is tried again.
#[tokio::test]
async fn files_that_cannot_be_deleted_are_tried_again() {
    let change = |config: &mut presentation_service::state::Config| {
        config.delete_again = Duration::from_millis(5);
    };
    let service = Service::with(quick(), change).await;
    let stuck = service.submit(1).await;
    service.ended(&stuck).await;
    let [directory] = &service.directories()[..] else {
        panic!("one presentation has one directory");
    };
    // A file in its place: no directory to delete, on any system and for any user.
    std::fs::remove_dir_all(directory).unwrap();
    std::fs::write(directory, "in the way").unwrap();
    let other = service.submit(1).await;
    service.ended(&other).await;

    service.clock.advance(RETENTION);
    service.gone(&stuck).await;
    service.gone(&other).await;
    let trash: &Trash = &service.state.trash;
    let deadline = Instant::now() + PATIENCE;
    while service.directories() != [directory.clone()] || trash.left() != [directory.clone()] {
        assert!(Instant::now() < deadline, "left: {:?}", trash.left());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(service.state.registry.len(), 0);

    std::fs::remove_file(directory).unwrap();
    while !trash.left().is_empty() {
        assert!(Instant::now() < deadline, "left: {:?}", trash.left());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// P9: far more than the service takes, as fast as possible. What is refused leaves nothing, what is accepted ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_refused_and_everything_accepted_ends() {
    const CAPACITY: usize = 1000;
    let service = Service::with(quick(), |config| config.capacity = CAPACITY).await;
    let (http, url) = (Client::new(), service.url("/api/presentations"));
    let body = json!({"title": "One of many", "deck": "# One"});
    let answers: BTreeMap<u16, usize> = stream::iter(0..10_000)
        .map(|_| http.post(&url).json(&body).send())
        .buffer_unordered(64)
        .map(|response| {
            let response = response.unwrap();
            let status = response.status();
            if status == StatusCode::TOO_MANY_REQUESTS {
                assert!(response.headers().contains_key("retry-after"));
            }
            status.as_u16()
        })
        .fold(BTreeMap::new(), async |mut counts, status| {
            *counts.entry(status).or_default() += 1;
            counts
        })
        .await;
    // Time stands still, so nothing is removed and nothing makes room.
    assert_eq!(answers, BTreeMap::from([(202, CAPACITY), (429, 9000)]));
    let deadline = Instant::now() + PATIENCE;
    while service.state.registry.counts().completed < CAPACITY {
        assert!(
            Instant::now() < deadline,
            "{:?}",
            service.state.registry.counts()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(service.state.registry.len(), CAPACITY);

    service.clock.advance(RETENTION);
    service.no_files_left().await;
    assert_eq!(service.state.registry.len(), 0);
    // And there is room again.
    let path = service.submit(1).await;
    assert_eq!(service.ended(&path).await.status, "completed");
}

/// Without time, everything works but what time alone brings.
#[tokio::test]
async fn a_clock_that_stands_still_keeps_nobody_from_working() {
    let service = Service::start(quick()).await;
    let path = service.submit(3).await;
    let view = service.ended(&path).await;
    assert_eq!((&*view.status, view.progress), ("completed", 100.0));
    assert_eq!(view.registered_at, view.ended_at.unwrap());
    service.state.registry.sweep();
    assert_eq!(service.view(&path).await.status, "completed");
}
