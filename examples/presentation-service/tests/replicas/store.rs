//! A Redis server that a test starts, and replicas on it.

use crate::common::PATIENCE;
use presentation_service::render::Studio;
use presentation_service::replica::{Replica, Sharing};
use presentation_service::server::{Server, Stop, Stopped};
use presentation_service::state::{AppState, Config};
use presentation_service::views::View;
use redis::Connection;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::json;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::sleep;

pub(crate) const NAMESPACE: &str = "tests";

/// A server in a temporary folder, and a folder for files. The server is ended when this is
/// dropped.
pub(crate) struct Store {
    child: Child,
    port: u16,
    folder: TempDir,
    pub(crate) files: TempDir,
}

impl Store {
    pub(crate) fn start() -> Self {
        let (folder, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // Another process may take the port before the server does.
        for _ in 0..10 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let mut child = launch(&folder, port);
            if is_ready(&mut child, port) {
                return Self {
                    child,
                    port,
                    folder,
                    files,
                };
            }
        }
        panic!("the server does not start");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn admin(&self) -> Connection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_connection().unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn restart(&mut self) {
        self.child = launch(&self.folder, self.port);
        assert!(is_ready(&mut self.child, self.port), "it does not restart");
    }

    pub(crate) async fn replica(&self, studio: Arc<dyn Studio>) -> Served {
        self.replica_with(studio, |_| {}).await
    }

    /// Starts a replica in this process, with changed defaults.
    pub(crate) async fn replica_with(
        &self,
        studio: Arc<dyn Studio>,
        change: impl FnOnce(&mut Config),
    ) -> Served {
        self.replica_of(self.sharing(), studio, change).await
    }

    pub(crate) fn sharing(&self) -> Sharing {
        Sharing {
            url: self.url(),
            namespace: NAMESPACE.to_owned(),
            stall_after: Duration::from_secs(60),
            give_up_after: Duration::from_secs(3600),
        }
    }

    pub(crate) async fn replica_of(
        &self,
        sharing: Sharing,
        studio: Arc<dyn Studio>,
        change: impl FnOnce(&mut Config),
    ) -> Served {
        let mut config = Config {
            heartbeat: Duration::from_millis(200),
            painters: 2,
            delete_again: Duration::from_millis(50),
            files: self.files.path().to_owned(),
            ..Config::default()
        };
        change(&mut config);
        let state = AppState::connect(sharing, config, studio).await.unwrap();
        let server = Server::start(0, state).await.unwrap();
        let (url, http) = (format!("http://{}", server.address()), Client::new());
        Served { server, url, http }
    }

    /// Returns the names in the folder of the files, in order.
    pub(crate) fn directories(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.files.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Waits until the folder has these directories.
    pub(crate) async fn has(&self, expected: &[String]) {
        let deadline = Instant::now() + PATIENCE;
        while self.directories() != expected {
            let found = self.directories();
            assert!(Instant::now() < deadline, "{found:?} and not {expected:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(folder: &TempDir, port: u16) -> Child {
    let started = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .args(["--save", "", "--dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    started.expect("these tests need a server of Redis: `apt-get install redis-server` has it")
}

/// Returns whether the server accepts commands. It does not if its port was taken.
fn is_ready(child: &mut Child, port: u16) -> bool {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
        let answer = client
            .get_connection_with_timeout(Duration::from_millis(500))
            .and_then(|mut connection| redis::cmd("PING").query::<String>(&mut connection));
        if answer.is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// A replica, and a client for it.
pub(crate) struct Served {
    server: Server<Replica>,
    url: String,
    http: Client,
}

impl Served {
    pub(crate) async fn ask(&self, method: Method, path: &str) -> Response {
        let request = self.http.request(method, format!("{}{path}", self.url));
        request.send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path).await
    }

    /// Submits a deck of so many slides with a key, and returns its path.
    pub(crate) async fn submit(&self, slides: usize, key: &str) -> String {
        let deck = vec!["# A slide"; slides].join("\n\n---\n\n");
        let request = self.http.post(format!("{}/api/presentations", self.url));
        let request = request.header("idempotency-key", key);
        let request = request.json(&json!({"title": "A deck", "deck": deck}));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        response.headers()["location"].to_str().unwrap().to_owned()
    }

    pub(crate) async fn view(&self, path: &str) -> View {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }

    /// Returns the presentation once it has this status.
    pub(crate) async fn until(&self, path: &str, status: &str) -> View {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let view = self.view(path).await;
            if view.status == status {
                return view;
            }
            assert!(Instant::now() < deadline, "not {status}: {view:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the answer has this status code.
    pub(crate) async fn answers(&self, path: &str, status: StatusCode) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path).await.status();
            if answer == status {
                return;
            }
            assert!(Instant::now() < deadline, "{path}: {answer}, not {status}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Downloads the animation.
    pub(crate) async fn file(&self, path: &str) -> Vec<u8> {
        let response = self.get(&format!("{path}/file")).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.bytes().await.unwrap().into()
    }

    pub(crate) async fn stop(self, deadline: Duration) -> Stopped {
        let drain = false;
        self.server.stop(Stop { deadline, drain }).await.unwrap()
    }
}

/// Returns the id in a path.
pub(crate) fn id(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}
