//! The real process: what it does when it is told to stop.

#![cfg(unix)]

use presentation_service::views::{Listing, View};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long something may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

const PROGRAM: &str = env!("CARGO_BIN_EXE_presentation-service");

/// A service in a process of its own; killed if a test fails.
struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
    url: String,
    files: TempDir,
    http: Client,
}

impl Process {
    fn start(options: &[&str]) -> Self {
        Self::by(Command::new(PROGRAM), options)
    }

    /// One whose files can have a few kilobytes each, and an error for whoever writes more. Its log is such a file.
    fn with_small_files(options: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\"",
            PROGRAM,
        ]);
        let mut log = tempfile::tempfile().unwrap();
        log.write_all(&vec![b'\n'; 100_000]).unwrap();
        shell.stderr(log);
        Self::by(shell, options)
    }

    fn by(mut command: Command, options: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        command.args(["serve", "--port", "0", "--output"]);
        command.arg(files.path()).args(options);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let line = line(&mut out);
        let url = line.strip_prefix("listening on ").unwrap();
        let url = url.trim_end_matches('/').to_owned();
        let http = Client::new();
        Self {
            child,
            out,
            url,
            files,
            http,
        }
    }

    /// Submits a deck of so many slides.
    async fn submit(&self, slides: usize) -> String {
        let deck = vec!["# A slide"; slides].join("\n\n---\n\n");
        let request = self.http.post(format!("{}/api/presentations", self.url));
        let response = request.json(&json!({"title": "A deck", "deck": deck}));
        let response = response.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        response.headers()["location"].to_str().unwrap().to_owned()
    }

    async fn get(&self, path: &str) -> Response {
        let request = self.http.get(format!("{}{path}", self.url));
        request.send().await.unwrap()
    }

    async fn until(&self, path: &str, is: impl Fn(&View) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let view: View = self.get(path).await.json().await.unwrap();
            if is(&view) {
                return;
            }
            assert!(Instant::now() < deadline, "{view:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn send(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args([signal, &pid]).status();
        assert!(kill.unwrap().success());
    }

    /// Waits for the end of the process; returns how it ended and what it said last.
    async fn ended(mut self) -> (ExitStatus, String, TempDir) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                panic!("the process does not end");
            }
        };
        let last = self.out.lines().map(Result::unwrap).last();
        (status, last.unwrap_or_default(), self.files)
    }
}

fn line(out: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// The events of a stream, until it ends: name and data.
fn events(text: &str) -> Vec<(String, Value)> {
    let field = |event: &str, name: &str| {
        let value = event.lines().find_map(|line| line.strip_prefix(name));
        value.map(str::to_owned)
    };
    text.split("\n\n")
        .filter_map(|event| {
            let data = field(event, "data: ")?;
            Some((
                field(event, "event: ")?,
                serde_json::from_str(&data).unwrap(),
            ))
        })
        .collect()
}

/// One that is drawn, some that wait for a painter, one that waits for its removal, a stream of each, and a
/// connection that nobody uses.
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
    assert_eq!((listing.counts.completed, listing.open), (1, true));
    assert!(listing.counts.pending > 0, "{:?}", listing.counts);
    streams
}

async fn stops_at(signal: &str) {
    let process = Process::start(&["--painters", "1", "--retention", "1h"]);
    let streams = busy(&process).await;
    let (http, url) = (process.http.clone(), process.url.clone());
    process.send(signal);
    for (path, stream) in streams {
        let text = tokio::time::timeout(PATIENCE, stream.text());
        let text = text.await.expect("the stream ends").unwrap();
        let events = events(&text);
        let told = events.iter().position(|(name, _)| name == "shutdown");
        let (name, last) = events.last().unwrap();
        assert!(
            told.is_some_and(|told| told < events.len() - 1),
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

/// P6.
#[tokio::test]
async fn a_service_manager_stops_it() {
    stops_at("-TERM").await;
}

/// P6.
#[tokio::test]
async fn ctrl_c_stops_it() {
    stops_at("-INT").await;
}

/// Each number is of what has happened, and none of them names a presentation.
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
        "job_registry_refused_total{call=\"cancel\",reason=\"ended\"} 1",
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

/// A disk that takes no more: the presentation fails with the reason, and nothing else does.
#[tokio::test]
async fn a_file_that_cannot_be_written_fails_its_presentation() {
    let process = Process::with_small_files(&["--retention", "1s"]);
    let path = process.submit(3).await;
    process.until(&path, |view| view.status == "failed").await;
    let view: View = process.get(&path).await.json().await.unwrap();
    let error = view.error.unwrap();
    assert!(error.starts_with("a file cannot be written: "), "{error}");
    // It goes like any other.
    let began = Instant::now();
    while process.get(&path).await.status() != StatusCode::GONE {
        assert!(began.elapsed() < PATIENCE, "it is not removed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    process.send("-TERM");
    let (status, _, files) = process.ended().await;
    assert_eq!(status.code(), Some(0));
    assert_eq!(std::fs::read_dir(files.path()).unwrap().count(), 0);
}

/// What runs may come to its end; what is new is refused meanwhile.
#[tokio::test]
async fn a_drain_lets_presentations_end() {
    let process = Process::start(&["--painters", "2", "--drain", "--deadline", "1m"]);
    let mut streams = Vec::new();
    for _ in 0..3 {
        let path = process.submit(3).await;
        streams.push(process.get(&format!("{path}/events")).await);
    }
    process.send("-TERM");
    for stream in streams {
        let text = tokio::time::timeout(PATIENCE, stream.text());
        let text = text.await.expect("the stream ends").unwrap();
        let events = events(&text);
        assert!(events.iter().any(|(name, _)| name == "shutdown"), "{text}");
        assert_eq!(events.last().unwrap().1["status"], "completed", "{text}");
    }
    let (status, last, files) = process.ended().await;
    assert_eq!(status.code(), Some(0), "{last}");
    assert!(last.starts_with("stopped: 0 cancelled"), "{last}");
    assert_eq!(std::fs::read_dir(files.path()).unwrap().count(), 0);
}

/// The deadline is kept although a painter is busy and a client does not read what it asked for.
#[tokio::test]
async fn the_deadline_is_kept() {
    let process = Process::start(&["--painters", "1", "--drain", "--deadline", "500ms"]);
    let streams = busy(&process).await;
    process.send("-TERM");
    let began = Instant::now();
    let (status, last, files) = process.ended().await;
    // Whether a painter was still busy depends on the machine; that it was left behind does not.
    assert!(began.elapsed() < Duration::from_secs(10), "{last}");
    assert_eq!(status.code(), Some(0), "{last}");
    assert_eq!(std::fs::read_dir(files.path()).unwrap().count(), 0);
    drop(streams);
}
