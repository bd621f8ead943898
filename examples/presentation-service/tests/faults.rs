//! Faults around a presentation: disconnecting clients, missing and undeletable files, a full disk,
//! and floods of requests.

mod common;

use common::{PATIENCE, RETENTION, Service, frames, gated, presentation, quick, refused};
use futures_util::stream::{self, StreamExt};
use job_registry::Progress;
use presentation_service::files::Trash;
use presentation_service::views::Listing;
use reqwest::{Client, StatusCode};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

async fn listing(service: &Service) -> Listing {
    service
        .get("/api/presentations")
        .await
        .json()
        .await
        .unwrap()
}

/// Sends a request up to the end of `text`, and disconnects.
async fn hang_up_after(service: &Service, text: &str, read: usize) {
    let mut stream = TcpStream::connect(service.server.address()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = vec![0; read];
    stream.read_exact(&mut answer).await.unwrap();
    // This sends an RST instead of an orderly close.
    stream.set_zero_linger().unwrap();
}

/// P6, scenario 36: clients disconnect during a submission, a poll, a stream and a download.
#[tokio::test]
async fn disconnecting_clients_do_not_affect_the_service() {
    let (studio, mut gate) = gated();
    let service = Service::start(studio).await;
    let body = json!({"title": "Half", "deck": "# One"}).to_string();
    let head = |length: usize| {
        format!(
            "POST /api/presentations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    // Half a body is not a submission.
    hang_up_after(&service, &format!("{}{}", head(body.len()), &body[..10]), 0).await;
    let path = service.submit(2).await;
    assert_eq!(gate.arrived().await, 0);
    assert_eq!(listing(&service).await.jobs.len(), 1);

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

/// P2, scenario 36: a client that disconnects after a complete submission has submitted it or not.
/// No presentation is left undrawn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submission_without_a_waiting_client_is_drawn_or_never_registered() {
    let service = Service::with(quick(), |config| config.capacity = 1000).await;
    let body = json!({"title": "Whole", "deck": "# One"}).to_string();
    let request = format!(
        "POST /api/presentations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for _ in 0..200 {
        hang_up_after(&service, &request, 0).await;
    }
    // The last client waits for an answer, and comes after the others.
    hang_up_after(&service, &request, 20).await;
    let registry = &service.state.registry;
    let deadline = Instant::now() + PATIENCE;
    while registry.iter().any(|seen| !seen.status().is_ended()) {
        assert!(Instant::now() < deadline, "{:?}", registry.counts());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let counts = registry.counts();
    assert!(counts.completed > 0);
    assert_eq!(counts.completed, registry.len(), "{counts:?}");
}

/// P6, scenario 36: an aborted download keeps no file open.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_aborted_download_closes_its_file() {
    let service = Service::start(quick()).await;
    let path = service.submit(1).await;
    service.ended(&path).await;
    let [directory] = &service.directories()[..] else {
        panic!("one presentation has one directory");
    };
    // The file is larger than all buffers, and takes no space on the disk.
    let gif = std::fs::File::options()
        .write(true)
        .open(directory.join("deck.gif"));
    gif.unwrap().set_len(1 << 30).unwrap();
    let is_open = || {
        let files = std::fs::read_dir("/proc/self/fd").unwrap();
        files
            .filter_map(|file| std::fs::read_link(file.unwrap().path()).ok())
            .any(|file| file.starts_with(directory))
    };
    let request = format!("GET {path}/file HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut stream = TcpStream::connect(service.server.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 1000]).await.unwrap();
    assert!(is_open(), "the rest is still to come");
    stream.set_zero_linger().unwrap();
    drop(stream);
    let deadline = Instant::now() + PATIENCE;
    while is_open() {
        assert!(Instant::now() < deadline, "the file is open still");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    service.clock.advance(RETENTION);
    service.gone(&path).await;
    service.no_files_left().await;
}

/// Upper bound for the bytes that an idle reader's connection holds: the kernel's buffers, and one
/// of the server.
const BUFFERS: usize = 8 << 20;

/// P9: the service writes only as much to an idle reader as its connection holds. It does not delay
/// other readers, and finally the idle reader gets the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_reader_causes_no_further_writes() {
    const STEPS: usize = 3000;
    let service = Service::start(quick()).await;
    let title = "A title ".repeat(1000);
    let job = service.state.registry.register(presentation(&title));
    let job = job.unwrap();
    job.start().unwrap();
    let path = format!("/api/presentations/{}/events", job.id());

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut idle = socket.connect(service.server.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    idle.write_all(request.as_bytes()).await.unwrap();

    let mut reader = service.get(&path).await;
    let mut read = String::new();
    for step in 1..=STEPS {
        job.advance(Progress::ratio(step as u64, STEPS as u64).unwrap())
            .unwrap();
        let version = format!("id: {}\n", job.snapshot().unwrap().version());
        while !read.contains(&version) {
            let chunk = tokio::time::timeout(PATIENCE, reader.chunk()).await;
            let chunk = chunk.expect("an event comes").unwrap().unwrap();
            read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        read.clear();
    }
    job.complete().unwrap();
    assert!(STEPS * title.len() > 2 * BUFFERS, "it could all be held");
    let mut late = String::new();
    let rest = tokio::time::timeout(PATIENCE, idle.read_to_string(&mut late)).await;
    rest.expect("the stream ends").unwrap();
    assert!(late.len() < BUFFERS, "{} bytes were held", late.len());
    assert!(late.contains(r#""status":"completed""#));
}

/// P6: deleted files are no error of the cleanup, and a download states that they are missing.
#[tokio::test]
async fn missing_files_are_no_cleanup_error() {
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

/// P6: a directory that cannot be deleted is reported and tried again, and delays no other removal.
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
    // A file replaces the directory, which then cannot be deleted on any system, by any user.
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

/// P6: far more submissions come than the service accepts. Refused ones leave nothing, and accepted
/// ones end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_refused_and_everything_accepted_ends() {
    const CAPACITY: usize = 1000;
    let service = Service::with(quick(), |config| config.capacity = CAPACITY).await;
    let (http, url) = (Client::new(), service.url("/api/presentations"));
    let body = json!({"title": "One of many", "deck": "# One"});
    let answers: BTreeMap<u16, usize> = stream::iter(0..4_000)
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
    // The clock stands still, so nothing is removed to make room.
    assert_eq!(answers, BTreeMap::from([(202, CAPACITY), (429, 3_000)]));
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
    // There is room again.
    let path = service.submit(1).await;
    assert_eq!(service.ended(&path).await.status, "completed");
}

/// With a stopped clock, everything works except for timeouts and removals.
#[tokio::test]
async fn everything_works_with_a_stopped_clock() {
    let service = Service::start(quick()).await;
    let path = service.submit(3).await;
    let view = service.ended(&path).await;
    assert_eq!((&*view.status, view.progress), ("completed", 100.0));
    assert_eq!(view.registered_at, view.ended_at.unwrap());
    service.state.registry.sweep();
    assert_eq!(service.view(&path).await.status, "completed");
}
