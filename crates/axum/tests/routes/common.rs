//! A registry with a manual clock, its routes, and answers as text.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use job_registry::{Builder, Job, JobId, JobRegistry, ManualClock};
use job_registry_axum::JobRoutes;
use serde_json::Value;
use std::fmt::Write;
use std::time::{Duration, SystemTime};
use tower::ServiceExt;

/// Time limit for what must happen, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Jobs = JobRegistry<String>;
pub(crate) type Routes = JobRoutes<Jobs>;

/// A service of routes alone.
pub(crate) struct Service {
    pub(crate) jobs: Jobs,
    pub(crate) clock: ManualClock,
    pub(crate) routes: Routes,
}

impl Service {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder, |routes| routes)
    }

    /// Returns a service with changed options.
    pub(crate) fn with(
        build: impl FnOnce(Builder<String>) -> Builder<String>,
        change: impl FnOnce(Routes) -> Routes,
    ) -> Self {
        let clock = ManualClock::new();
        let builder = JobRegistry::builder()
            .clock(clock.clone())
            .retention(Duration::from_secs(60));
        let jobs = build(builder).build();
        let routes = change(JobRoutes::new(jobs.clone(), "/jobs"));
        Self {
            jobs,
            clock,
            routes,
        }
    }

    pub(crate) fn register(&self, payload: &str) -> Job<String> {
        self.jobs.register(payload.to_owned()).unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        let router: Router = self.routes.router();
        router.oneshot(request).await.unwrap()
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Body> {
        self.call(Method::GET, path, &[]).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Response<Body> {
        self.call(Method::DELETE, path, &[]).await
    }

    /// The answer as text. An id is `ID`, a version `VERSION`, and a time is relative to the start.
    pub(crate) async fn text(&self, response: Response<Body>, ids: &[JobId]) -> String {
        let mut text = format!("{}\n", response.status());
        let headers = response.headers().clone();
        let mut names: Vec<_> = headers.keys().collect();
        names.sort_by_key(|name| name.as_str());
        for name in names {
            for value in headers.get_all(name) {
                writeln!(text, "{name}: {}", value.to_str().unwrap()).unwrap();
            }
        }
        let body = bytes(response).await;
        if let Ok(json) = serde_json::from_slice::<Value>(&body) {
            text.push_str(&serde_json::to_string_pretty(&json).unwrap());
        } else {
            text.push_str(std::str::from_utf8(&body).unwrap());
        }
        self.plain(&text, ids)
    }

    /// Replaces what differs between two runs.
    pub(crate) fn plain(&self, text: &str, ids: &[JobId]) -> String {
        let start = self.jobs.system_time(Duration::ZERO);
        let mut text = text.to_owned();
        for (number, id) in ids.iter().enumerate() {
            let name = if ids.len() == 1 {
                "ID".to_owned()
            } else {
                format!("ID{}", number + 1)
            };
            text = text.replace(&id.to_string(), &name);
            if let Ok(seen) = self.jobs.snapshot(*id) {
                text = text.replace(&seen.version().to_string(), "VERSION");
            }
        }
        text.split_inclusive(['"', ' '])
            .map(|word| relative(word, start))
            .collect()
    }
}

/// A time of the form `2026-01-01T00:00:00.000Z"` becomes the seconds since the start.
fn relative(word: &str, start: SystemTime) -> String {
    let time = word.trim_end_matches(['"', ' ']);
    let Ok(at) = humantime::parse_rfc3339(time) else {
        return word.to_owned();
    };
    // The text of a time has milliseconds alone.
    let since = at.duration_since(start - Duration::from_millis(1)).unwrap();
    let after = &word[time.len()..];
    // Hundredths of a second, because the start is rounded.
    let since = Duration::from_millis(u64::try_from(since.as_millis() / 10 * 10).unwrap());
    format!("+{}s{after}", since.as_secs_f64())
}

pub(crate) async fn bytes(response: Response<Body>) -> Vec<u8> {
    let body = response.into_body().collect().await.unwrap();
    body.to_bytes().to_vec()
}

pub(crate) async fn json(response: Response<Body>) -> Value {
    serde_json::from_slice(&bytes(response).await).unwrap()
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

/// Checks a refusal, and returns its body.
pub(crate) async fn refused(response: Response<Body>, status: StatusCode, name: &str) -> Value {
    assert_eq!(response.status(), status);
    let kind = header(response.headers(), "content-type");
    assert_eq!(kind, Some("application/problem+json"));
    let body = json(response).await;
    assert_eq!(body["status"], status.as_u16());
    assert_eq!(
        body["type"],
        format!("urn:problem-type:job-registry:{name}")
    );
    for text in ["title", "detail"] {
        assert!(!body[text].as_str().unwrap().is_empty());
    }
    body
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

/// A stream of events that is read one by one.
pub(crate) struct Stream {
    body: Body,
    read: String,
}

impl Stream {
    pub(crate) fn of(response: Response<Body>) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        let kind = header(response.headers(), "content-type");
        assert_eq!(kind, Some("text/event-stream"));
        Self {
            body: response.into_body(),
            read: String::new(),
        }
    }

    /// Returns the next block of lines, which is an event or a comment. `None` at the end.
    pub(crate) async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.read = rest;
                return Some(block);
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let Some(frame) = frame.expect("an event comes") else {
                assert_eq!(self.read, "", "the stream ends within an event");
                return None;
            };
            let data = frame.unwrap().into_data().unwrap();
            self.read.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// Returns the next event, and skips comments. `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            let mut event = Event {
                name: "message".to_owned(),
                id: None,
                data: String::new(),
            };
            let mut is_comment = true;
            for line in block.lines() {
                let (field, value) = line.split_once(':').unwrap();
                let value = value.strip_prefix(' ').unwrap_or(value);
                is_comment &= field.is_empty();
                match field {
                    "" => {}
                    "event" => value.clone_into(&mut event.name),
                    "id" => event.id = Some(value.to_owned()),
                    "data" => event.data.push_str(value),
                    other => panic!("an unknown field {other:?}"),
                }
            }
            if !is_comment {
                return Some(event);
            }
        }
    }
}
