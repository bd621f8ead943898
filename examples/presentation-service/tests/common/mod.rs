//! A service on a free port with a scripted painter, and a client for it.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test file uses a part of this one"
)]

use axum::body::Body;
use axum::http::Request;
use job_registry::{JobRegistry, ManualClock};
use presentation_service::api::router;
use presentation_service::deck::{Deck, DeckLimits};
use presentation_service::jobs::Presentation;
use presentation_service::render::{Canvas, PageSize, Painter, Studio};
use presentation_service::server::Server;
use presentation_service::state::{AppState, Config};
use presentation_service::views::View;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::mpsc as async_mpsc;
use tower::ServiceExt;

/// Time limit for events that must happen, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const RETENTION: Duration = Duration::from_secs(300);

pub type Painting = Result<Canvas, Box<dyn Error + Send + Sync>>;

/// A studio whose painters call a function with the number of the slide.
pub struct Scripted<F>(pub Arc<F>);

impl<F: Fn(usize) -> Painting + Send + Sync + 'static> Scripted<F> {
    pub fn studio(paint: F) -> Arc<dyn Studio> {
        Arc::new(Self(Arc::new(paint)))
    }
}

impl<F: Fn(usize) -> Painting + Send + Sync + 'static> Studio for Scripted<F> {
    fn painter(&self) -> Box<dyn Painter> {
        Box::new(Self(Arc::clone(&self.0)))
    }
}

impl<F: Fn(usize) -> Painting + Send + Sync + 'static> Painter for Scripted<F> {
    fn paint(&mut self, _: &Deck, slide: usize) -> Painting {
        (self.0)(slide)
    }
}

/// Returns a small picture that differs for each slide.
pub fn picture(slide: usize) -> Canvas {
    let size = PageSize {
        width: 32,
        height: 18,
    };
    Canvas::new(size, [u8::try_from(slide % 256).unwrap(), 100, 200])
}

/// Returns a presentation of one slide, for a job that the test drives itself.
pub fn presentation(title: &str) -> Presentation {
    let limits = DeckLimits {
        title_chars: usize::MAX,
        ..DeckLimits::default()
    };
    Presentation::new(Deck::parse(title, "# One", &limits).unwrap())
}

/// Returns the body of an answer that no connection reads.
pub async fn body(state: &AppState, path: &str) -> Body {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router(state.clone()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.into_body()
}

/// Returns a studio that draws without waiting.
pub fn quick() -> Arc<dyn Studio> {
    Scripted::studio(|slide| Ok(picture(slide)))
}

/// The test's side of a studio that asks before each slide.
pub struct Gate {
    arrived: async_mpsc::UnboundedReceiver<usize>,
    go: mpsc::Sender<()>,
    /// Number of slides that have been requested.
    pub asked: Arc<AtomicUsize>,
}

/// Returns a studio whose painter waits at every slide until the test lets it continue. A painter
/// that still waits when the test ends fails.
pub fn gated() -> (Arc<dyn Studio>, Gate) {
    let (arrive, arrived) = async_mpsc::unbounded_channel();
    let (go, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let studio = Scripted::studio(move |slide| {
        counter.fetch_add(1, Ordering::SeqCst);
        arrive.send(slide)?;
        wait.lock().unwrap().recv()?;
        Ok(picture(slide))
    });
    (studio, Gate { arrived, go, asked })
}

impl Gate {
    /// Waits until a painter is at a slide, and returns its number.
    pub async fn arrived(&mut self) -> usize {
        let arrived = tokio::time::timeout(PATIENCE, self.arrived.recv());
        arrived
            .await
            .expect("a painter arrives")
            .expect("the studio is there")
    }

    /// Lets the painter draw one slide.
    pub fn pass(&self) {
        self.go.send(()).expect("the studio is there");
    }
}

/// A running service, its clock, and the directory of its files.
pub struct Service {
    pub server: Server,
    pub state: AppState,
    pub clock: ManualClock,
    pub files: TempDir,
    http: reqwest::Client,
}

impl Service {
    pub async fn start(studio: Arc<dyn Studio>) -> Self {
        Self::with(studio, |_| {}).await
    }

    /// Starts a service with changed defaults. Its clock stands still until the test advances it.
    pub async fn with(studio: Arc<dyn Studio>, change: impl FnOnce(&mut Config)) -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut config = Config {
            retention: RETENTION,
            heartbeat: Duration::from_millis(5),
            files: files.path().to_owned(),
            ..Config::default()
        };
        change(&mut config);
        let clock = ManualClock::new();
        let registry: JobRegistry<Presentation> = JobRegistry::builder()
            .capacity(config.capacity)
            .retention(config.retention)
            .clock(clock.clone())
            .build();
        let state = AppState::with_registry(registry, config, studio);
        let server = Server::start(0, state.clone()).await.unwrap();
        let http = reqwest::Client::new();
        Self {
            server,
            state,
            clock,
            files,
            http,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    pub async fn post(&self, body: impl Into<reqwest::Body>) -> Response {
        let request = self.http.post(self.url("/api/presentations"));
        let request = request.header("content-type", "application/json");
        request.body(body).send().await.unwrap()
    }

    pub async fn post_deck(&self, title: &str, deck: &str) -> Response {
        self.post(json!({"title": title, "deck": deck}).to_string())
            .await
    }

    /// Submits a deck of so many slides, and returns its path.
    pub async fn submit(&self, slides: usize) -> String {
        let slides: Vec<String> = (1..=slides)
            .map(|slide| format!("# Slide {slide}"))
            .collect();
        let response = self.post_deck("A deck", &slides.join("\n\n---\n\n")).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        response.headers()["location"].to_str().unwrap().to_owned()
    }

    pub async fn retry(&self, path: &str) -> Response {
        let request = self.http.post(self.url(&format!("{path}/retry")));
        request.send().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Response {
        self.http.get(self.url(path)).send().await.unwrap()
    }

    pub async fn get_unless(&self, path: &str, version: &str) -> Response {
        let request = self.http.get(self.url(path));
        request
            .header("if-none-match", version)
            .send()
            .await
            .unwrap()
    }

    pub async fn delete(&self, path: &str) -> Response {
        self.http.delete(self.url(path)).send().await.unwrap()
    }

    pub async fn request(&self, method: reqwest::Method, path: &str) -> Response {
        self.http
            .request(method, self.url(path))
            .send()
            .await
            .unwrap()
    }

    pub async fn view(&self, path: &str) -> View {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }

    /// Waits until a presentation has ended.
    pub async fn ended(&self, path: &str) -> View {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let view = self.view(path).await;
            if view.ended_at.is_some() {
                return view;
            }
            assert!(Instant::now() < deadline, "{path} does not end: {view:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until a presentation is gone.
    pub async fn gone(&self, path: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.get(path).await.status() != StatusCode::GONE {
            assert!(Instant::now() < deadline, "{path} is not removed");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Returns the existing directories of presentations.
    pub fn directories(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.files.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Waits until no file is left. Clients see a removed job as gone slightly earlier.
    pub async fn no_files_left(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.directories().is_empty() {
            assert!(Instant::now() < deadline, "left: {:?}", self.directories());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Checks a refusal: its status, and the common JSON form of its body.
pub async fn refused(response: Response, status: StatusCode) -> String {
    assert_eq!(response.status(), status);
    let kind = &response.headers()["content-type"];
    assert_eq!(kind, "application/problem+json");
    let body: Value = response.json().await.expect("a refusal is JSON");
    assert_eq!(body["status"], status.as_u16());
    let text = |key: &str| {
        let text = body[key].as_str().expect("a refusal has this text");
        assert!(!text.is_empty());
        text.to_owned()
    };
    assert!(text("type").starts_with("urn:problem-type:job-registry:"));
    text("title");
    text("detail")
}

/// Returns the number of frames of an animation.
pub fn frames(file: &[u8]) -> usize {
    let mut reader = gif::DecodeOptions::new().read_info(file).unwrap();
    let mut frames = 0;
    while reader.read_next_frame().unwrap().is_some() {
        frames += 1;
    }
    frames
}
