//! A service in its own process, and its clients.

use presentation_service::views::View;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Time limit for events that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_presentation-service");

/// A process that is killed with its test. A surviving one would keep the test program's output
/// open.
pub(crate) struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both calls fail if the process has ended, as it should have.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A service in its own process.
pub(crate) struct Process {
    pub(crate) child: Killed,
    pub(crate) out: BufReader<ChildStdout>,
    pub(crate) url: String,
    pub(crate) files: TempDir,
    pub(crate) http: Client,
}

impl Process {
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::by(Command::new(PROGRAM), options)
    }

    /// Starts a service that cannot write more than a few kilobytes to a file. Its log is such a
    /// file.
    pub(crate) fn with_small_files(options: &[&str]) -> Self {
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

    /// Starts a service whose files are on a private disk of less than a hundred kilobytes.
    pub(crate) fn on_a_small_disk(options: &[&str]) -> Self {
        let mut unshare = Command::new("unshare");
        unshare.args(["-rm", "sh", "-c"]);
        // The fifth argument is the directory that `by` chooses for the files.
        unshare.arg("mount -t tmpfs -o size=96k tmpfs \"$5\" && exec \"$0\" \"$@\"");
        unshare.arg(PROGRAM);
        Self::by(unshare, options)
    }

    pub(crate) fn by(mut command: Command, options: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        command.args(["serve", "--port", "0", "--output"]);
        command.arg(files.path()).args(options);
        let mut child = Killed(command.stdout(Stdio::piped()).spawn().unwrap());
        let mut out = BufReader::new(child.0.stdout.take().unwrap());
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
    pub(crate) async fn submit(&self, slides: usize) -> String {
        let deck = vec!["# A slide"; slides].join("\n\n---\n\n");
        let request = self.http.post(format!("{}/api/presentations", self.url));
        let response = request.json(&json!({"title": "A deck", "deck": deck}));
        let response = response.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        response.headers()["location"].to_str().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        let request = self.http.get(format!("{}{path}", self.url));
        request.send().await.unwrap()
    }

    /// Returns the presentation once the condition holds.
    pub(crate) async fn until(&self, path: &str, is: impl Fn(&View) -> bool) -> View {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let response = self.get(path).await;
            assert_eq!(response.status(), StatusCode::OK);
            let view: View = response.json().await.unwrap();
            if is(&view) {
                return view;
            }
            assert!(Instant::now() < deadline, "{view:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn gone(&self, path: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.get(path).await.status() != StatusCode::GONE {
            assert!(Instant::now() < deadline, "{path} is not removed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn send(&self, signal: &str) {
        let pid = self.child.0.id().to_string();
        let kill = Command::new("kill").args([signal, &pid]).status();
        assert!(kill.unwrap().success());
    }

    /// Waits for the end of the process. Returns its exit status and its last output.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String, TempDir) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.0.try_wait().unwrap() {
                Some(status) => break status,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
            assert!(Instant::now() < deadline, "the process does not end");
        };
        let last = self.out.lines().map(Result::unwrap).last();
        (status, last.unwrap_or_default(), self.files)
    }
}

pub(crate) fn line(out: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Returns the name and data of each event of an ended stream.
pub(crate) fn events(text: &str) -> Vec<(String, Value)> {
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
