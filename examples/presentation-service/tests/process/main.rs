//! The real process: its reaction to signals, its log and metrics, and full disks.

#![cfg(unix)]

mod child;

use child::{PATIENCE, PROGRAM, Process, events};
use job_registry::JobId;
use presentation_service::views::Listing;
use reqwest::{Client, Response, StatusCode};
use serde_json::json;
use std::io::Read;
use std::process::Command;
use std::time::Instant;

/// Prepares presentations in every state: one is drawn, several wait for a painter, and one waits
/// for its removal. Each has an open stream, and one more connection is idle.
async fn busy(process: &Process) -> Vec<(String, Response)> {
    let completed = process.submit(1).await;
    process
        .until(&completed, |view| view.status == "completed")
        .await;
    let idle = process.get("/").await;
    assert_eq!(idle.status(), StatusCode::OK);
    let mut live = vec![process.submit(100).await];
    process.until(&live[0], |view| view.progress > 0.0).await;
    for _ in 0..4 {
        live.push(process.submit(100).await);
    }
    let mut streams = Vec::new();
    for path in live {
        let stream = process.get(&format!("{path}/events")).await;
        assert_eq!(stream.status(), StatusCode::OK);
        streams.push((path, stream));
    }
    let listing = process.get("/api/presentations").await;
    let listing: Listing = listing.json().await.unwrap();
    assert_eq!(listing.counts.completed, 1);
    assert!(listing.counts.pending > 0, "{:?}", listing.counts);
    streams
}

async fn stops_at(signal: &str) {
    // The deadline is long, because the time for a slide depends on the machine.
    let process = Process::start(&["--painters", "1", "--retention", "1h", "--deadline", "1m"]);
    let streams = busy(&process).await;
    let (http, url) = (process.http.clone(), process.url.clone());
    process.send(signal);
    for (path, stream) in streams {
        let text = tokio::time::timeout(PATIENCE, stream.text());
        let text = text.await.expect("the stream ends").unwrap();
        let events = events(&text);
        let shutdown = events.iter().position(|(name, _)| name == "shutdown");
        let (name, last) = events.last().unwrap();
        assert!(
            shutdown.is_some_and(|shutdown| shutdown < events.len() - 1),
            "{path}: {text}"
        );
        assert!(
            (name == "state" || name == "removed") && last["status"] == "cancelled",
            "{path}: {text}"
        );
    }
    let (status, last, files) = process.ended().await;
    assert_eq!(status.code(), Some(0), "{last}");
    assert_eq!(
        last,
        "stopped: 5 cancelled, 0 still being drawn, no requests still open, 0 directories left"
    );
    assert_eq!(std::fs::read_dir(files.path()).unwrap().count(), 0);
    assert!(http.get(&url).send().await.is_err(), "it still listens");
}

/// P6, scenario 38: SIGTERM stops the service in order.
#[tokio::test]
async fn sigterm_stops_the_service() {
    stops_at("-TERM").await;
}

/// P6, scenario 38: SIGINT stops the service in order.
#[tokio::test]
async fn ctrl_c_stops_the_service() {
    stops_at("-INT").await;
}

/// Each number counts past events, and no label names a presentation.
#[tokio::test]
async fn metrics_count_what_has_happened() {
    let process = Process::start(&["--log", "trace"]);
    let path = process.submit(1).await;
    process
        .until(&path, |view| view.status == "completed")
        .await;
    let refused = process.http.delete(format!("{}{path}", process.url));
    assert_eq!(refused.send().await.unwrap().status(), StatusCode::CONFLICT);
    let metrics = process.get("/metrics").await;
    assert_eq!(
        metrics.headers()["content-type"],
        "text/plain; version=0.0.4"
    );
    let text = metrics.text().await.unwrap();
    for line in [
        "# TYPE job_registry_transitions_total counter",
        "job_registry_transitions_total{status=\"pending\"} 1",
        "job_registry_transitions_total{status=\"completed\"} 1",
        "job_registry_refused_total{call=\"request_stop\",reason=\"ended\"} 1",
        "job_registry_jobs{status=\"completed\"} 1",
        "job_registry_jobs{status=\"running\"} 0",
        "job_registry_time_in_status_seconds_count{status=\"running\"} 1",
    ] {
        assert!(text.lines().any(|seen| seen == line), "no {line} in {text}");
    }
    let id = path.rsplit('/').next().unwrap();
    assert!(!text.contains(id), "{text}");
    process.send("-TERM");
    assert_eq!(process.ended().await.0.code(), Some(0));
}

/// P6 and P11: a full disk fails the presentation with the reason, and nothing else.
#[tokio::test]
async fn a_file_that_cannot_be_written_fails_its_presentation() {
    let process = Process::with_small_files(&["--retention", "5s"]);
    let path = process.submit(3).await;
    let view = process.until(&path, |view| view.status == "failed").await;
    let error = view.reason.unwrap();
    assert!(error.starts_with("a file cannot be written: "), "{error}");
    // It is removed like any other.
    process.gone(&path).await;
    process.send("-TERM");
    let (status, _, files) = process.ended().await;
    assert_eq!(status.code(), Some(0));
    assert_eq!(std::fs::read_dir(files.path()).unwrap().count(), 0);
}

/// P6 and P11: a full file system fails the presentations that do not fit. Their files are deleted
/// on time, which makes room for the next. (Without the permission to mount, the test only says
/// so.)
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_fails_only_presentations_that_do_not_fit() {
    let mut probe = Command::new("unshare");
    probe.args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
    if !probe.status().is_ok_and(|status| status.success()) {
        eprintln!("not tested: no file system can be mounted here");
        return;
    }
    let process = Process::on_a_small_disk(&["--painters", "1", "--retention", "5s"]);
    let small = process.submit(1).await;
    process
        .until(&small, |view| view.status == "completed")
        .await;
    let large = process.submit(100).await;
    let view = process.until(&large, |view| view.status == "failed").await;
    let error = view.reason.unwrap();
    assert!(error.contains("No space left on device"), "{error}");
    assert!(view.progress > 0.0, "the disk was full from the beginning");
    process.gone(&small).await;
    process.gone(&large).await;
    let next = process.submit(1).await;
    process
        .until(&next, |view| view.status == "completed")
        .await;
    process.send("-TERM");
    let (status, last, _) = process.ended().await;
    assert_eq!(status.code(), Some(0), "{last}");
    assert!(last.ends_with("0 directories left"), "{last}");
}

/// P4, scenario 19: an id from before a restart was never issued by the new process.
#[tokio::test]
async fn ids_from_before_a_restart_are_not_found() {
    let before = Process::start(&[]);
    let old = before.submit(1).await;
    before.until(&old, |view| view.status == "completed").await;
    before.send("-TERM");
    assert_eq!(before.ended().await.0.code(), Some(0));
    // Its first job has the slot of the old one.
    let after = Process::start(&[]);
    let new = after.submit(1).await;
    for part in ["", "/events", "/file", "/slides/1"] {
        let answer = after.get(&format!("{old}{part}")).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{part}");
    }
    let cancel = after.http.delete(format!("{}{old}", after.url));
    assert_eq!(cancel.send().await.unwrap().status(), StatusCode::NOT_FOUND);
    after.until(&new, |view| view.status == "completed").await;
    after.send("-TERM");
    assert_eq!(after.ended().await.0.code(), Some(0));
}

/// The log has the guide's three kinds of lines: status updates, heartbeats with their count, and
/// cleanups with the deleted files.
#[tokio::test]
async fn the_log_follows_a_presentation_to_its_cleanup() {
    let mut log = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new(PROGRAM);
    command.stderr(log.reopen().unwrap());
    let options = ["--log", "trace", "--heartbeat", "1ms", "--retention", "5s"];
    let process = Process::by(command, &options);
    let path = process.submit(3).await;
    process
        .until(&path, |view| view.status == "completed")
        .await;
    process.gone(&path).await;
    process.send("-TERM");
    assert_eq!(process.ended().await.0.code(), Some(0));
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    let id: JobId = path.rsplit('/').next().unwrap().parse().unwrap();
    let id = &*format!("id={}", id.short());
    for parts in [
        &["INFO", "status update", id, "status=pending"][..],
        &["INFO", "status update", id, "status=running"],
        &["DEBUG", "status update", id, "percent=50"],
        &["INFO", "status update", id, "status=completed", "took="],
        &["TRACE", "heartbeat", id, "count=2"],
        &["INFO", "cleanup", id, "status=completed", "kept="],
        &["INFO", "cleanup", "files=4", "bytes="],
        &["DEBUG", "cleanup", "removed=1"],
    ] {
        let is_there = |line: &str| parts.iter().all(|part| line.contains(part));
        assert!(text.lines().any(is_there), "no {parts:?} in {text}");
    }
}

/// P2, scenario 38: running presentations may end. New ones are refused meanwhile, on old
/// connections and on new ones.
#[tokio::test]
async fn a_drain_lets_presentations_end() {
    let process = Process::start(&["--painters", "1", "--drain", "--deadline", "2m"]);
    let mut streams = Vec::new();
    for slides in [3, 3, 1] {
        let path = process.submit(slides).await;
        streams.push(process.get(&format!("{path}/events")).await);
    }
    process.send("-TERM");
    // The last one waits for the others, so that the signal comes before its end.
    let mut last = streams.pop().unwrap();
    let mut text = String::new();
    while !text.contains("event: shutdown\n") {
        let chunk = tokio::time::timeout(PATIENCE, last.chunk()).await;
        let chunk = chunk.expect("an event comes").unwrap();
        text.push_str(
            std::str::from_utf8(&chunk.expect("the announcement, and then the end")).unwrap(),
        );
    }
    for http in [process.http.clone(), Client::new()] {
        let late = http.post(format!("{}/api/presentations", process.url));
        let late = late.json(&json!({"title": "Late", "deck": "# One"}));
        // Usually the listener is closed by now.
        if let Ok(answer) = late.send().await {
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
    }
    let rest = tokio::time::timeout(PATIENCE, last.text()).await;
    text.push_str(&rest.expect("the stream ends").unwrap());
    assert_eq!(events(&text).last().unwrap().1["status"], "completed");
    for stream in streams {
        let text = tokio::time::timeout(PATIENCE, stream.text());
        let text = text.await.expect("the stream ends").unwrap();
        assert_eq!(
            events(&text).last().unwrap().1["status"],
            "completed",
            "{text}"
        );
    }
    let (status, last, files) = process.ended().await;
    assert_eq!(status.code(), Some(0), "{last}");
    assert!(last.starts_with("stopped: 0 cancelled"), "{last}");
    assert_eq!(std::fs::read_dir(files.path()).unwrap().count(), 0);
}

/// The deadline holds although a painter is busy and a client does not read its answer.
#[tokio::test]
async fn the_deadline_is_kept() {
    let process = Process::start(&["--painters", "1", "--drain", "--deadline", "500ms"]);
    let streams = busy(&process).await;
    process.send("-TERM");
    let began = Instant::now();
    let (status, last, files) = process.ended().await;
    // A painter may still be busy, depending on the machine, but the queue of 500 slides is
    // abandoned.
    assert!(began.elapsed() < PATIENCE / 2, "{last}");
    assert_eq!(status.code(), Some(0), "{last}");
    assert_eq!(std::fs::read_dir(files.path()).unwrap().count(), 0);
    drop(streams);
}
