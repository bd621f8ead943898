//! A registry of another crate, which may be out of reach.

use crate::common::{Jobs, Service, Stream, json, refused};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use job_registry::{Counts, Cursor, Details, Error, Job, JobId, Record, Snapshot, Watch};
use job_registry_axum::{Form, JobRoutes, Part, Problem, Registry, WallClock};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tower::ServiceExt;

type Meanwhile = Box<dyn FnOnce() + Send>;

/// A registry whose jobs cannot be read while it is out of reach, and in which something may happen
/// right before a job is read.
#[derive(Clone)]
struct Remote {
    jobs: Jobs,
    reachable: Arc<AtomicBool>,
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
}

enum Refusal {
    Unreachable,
    Of(Error),
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Of(error) => error.into(),
            Refusal::Unreachable => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unreachable",
                "The registry is out of reach",
                "the registry does not answer",
            ),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Of(error)
    }
}

impl Remote {
    fn new(jobs: &Jobs) -> Self {
        Self {
            jobs: jobs.clone(),
            reachable: Arc::new(AtomicBool::new(true)),
            meanwhile: Arc::default(),
        }
    }

    fn before_the_next_read(&self, happens: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some(Box::new(happens));
    }

    fn reach(&self) -> Result<&Jobs, Refusal> {
        if self.reachable.load(Ordering::Relaxed) {
            Ok(&self.jobs)
        } else {
            Err(Refusal::Unreachable)
        }
    }
}

impl Registry for Remote {
    type Payload = String;
    type Job = Job<String>;
    type Watch = Watch<String>;
    type Cursor = Cursor;
    type Error = Refusal;

    async fn snapshot(&self, id: JobId) -> Result<Snapshot, Refusal> {
        Ok(Registry::snapshot(self.reach()?, id).await?)
    }

    async fn details(&self, id: JobId) -> Result<Details, Refusal> {
        let happens = self.meanwhile.lock().unwrap().take();
        if let Some(happens) = happens {
            happens();
        }
        Ok(Registry::details(self.reach()?, id).await?)
    }

    async fn read<R: Send + 'static>(
        &self,
        id: JobId,
        f: impl FnOnce(Record<&String>) -> R + Send,
    ) -> Result<R, Refusal> {
        Ok(Registry::read(self.reach()?, id, f).await?)
    }

    async fn watch(&self, id: JobId) -> Result<Watch<String>, Refusal> {
        Ok(Registry::watch(self.reach()?, id).await?)
    }

    async fn page(&self, cursor: Cursor, n: usize) -> Result<Part<Cursor>, Refusal> {
        // The index is read from elsewhere.
        Ok(Registry::page(&self.jobs, cursor, n).await?)
    }

    async fn counts(&self) -> Result<Counts, Refusal> {
        Ok(Registry::counts(&self.jobs).await?)
    }

    async fn stop(&self, id: JobId, reason: &str) -> Result<(), Refusal> {
        Ok(Registry::stop(self.reach()?, id, reason).await?)
    }

    async fn cancel(&self, id: JobId, reason: &str) -> Result<(), Refusal> {
        Ok(Registry::cancel(self.reach()?, id, reason).await?)
    }

    async fn retry(&self, id: JobId) -> Result<Job<String>, Refusal> {
        Ok(Registry::retry(self.reach()?, id).await?)
    }

    fn clock(&self) -> WallClock {
        self.jobs.clock()
    }
}

async fn call(routes: &JobRoutes<Remote>, method: Method, path: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path);
    let service: Router = routes.router();
    service
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap()
}

/// Nothing is lost silently: a job that cannot be read is not left out of the list.
#[tokio::test]
async fn a_registry_that_is_out_of_reach_is_a_refusal() {
    for form in [Form::Plain, Form::Operation, Form::McpTask] {
        let jobs = Service::new().jobs;
        let job = jobs.register(String::new()).unwrap();
        let remote = Remote::new(&jobs);
        let reachable = Arc::clone(&remote.reachable);
        let routes = JobRoutes::new(remote, "/jobs")
            .form(form)
            .visible(|_, _| true)
            .retry(drop);
        let path = routes.path(job.id());
        let calls = [
            (Method::GET, "/jobs".to_owned()),
            (Method::GET, path.clone()),
            (Method::GET, format!("{path}/events")),
            (Method::DELETE, path.clone()),
            (Method::POST, format!("{path}/retry")),
        ];
        reachable.store(false, Ordering::Relaxed);
        for (method, path) in &calls {
            let answer = call(&routes, method.clone(), path).await;
            refused(answer, StatusCode::SERVICE_UNAVAILABLE, "unreachable").await;
        }
        reachable.store(true, Ordering::Relaxed);
        for (method, path) in &calls[..3] {
            let answer = call(&routes, method.clone(), path).await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
        }
    }
}

/// P1: a job that changes between the wake and the read. The event's id is the version of its data.
#[tokio::test]
async fn an_event_has_the_version_of_its_data() {
    let jobs = Service::new().jobs;
    let job = Arc::new(jobs.register(String::new()).unwrap());
    let remote = Remote::new(&jobs);
    let routes = JobRoutes::new(remote.clone(), "/jobs");
    let path = format!("{}/events", routes.path(job.id()));
    let mut stream = Stream::of(call(&routes, Method::GET, &path).await);
    for step in 0..3 {
        let later = Arc::clone(&job);
        remote.before_the_next_read(move || later.note(format!("later {step}")).unwrap());
        let event = stream.next().await.unwrap();
        assert_eq!(event.json()["version"], *event.id.unwrap());
        job.note(format!("step {step}")).unwrap();
    }
}

/// P10: an attempt ends and is retried between the wake and the read of its end.
#[tokio::test]
async fn a_stream_goes_on_with_an_attempt_that_begins_while_its_end_is_read() {
    let jobs = Service::new().jobs;
    let job = jobs.register(String::new()).unwrap();
    let remote = Remote::new(&jobs);
    let routes = JobRoutes::new(remote.clone(), "/jobs");
    let path = format!("{}/events", routes.path(job.id()));
    let mut stream = Stream::of(call(&routes, Method::GET, &path).await);
    stream.next().await.unwrap();
    job.fail("no fonts").unwrap();
    let (next, retried) = std::sync::mpsc::channel();
    remote.before_the_next_read(move || next.send(job.retry().unwrap()).unwrap());
    let event = stream.next().await.unwrap().json();
    assert_eq!(
        (&event["status"], &event["attempt"]),
        (&"pending".into(), &2.into())
    );
    let second = retried.recv().unwrap();
    second.cancel().unwrap();
    let event = stream.next().await.unwrap().json();
    assert_eq!(
        (&event["status"], &event["attempt"]),
        (&"cancelled".into(), &2.into())
    );
    assert_eq!(stream.next().await, None);
}

/// A poll that waits reads the job again, so that its answer is not older than its `ETag`.
#[tokio::test]
async fn an_answer_has_the_version_of_its_etag() {
    let jobs = Service::new().jobs;
    let job = jobs.register(String::new()).unwrap();
    let remote = Remote::new(&jobs);
    let routes = JobRoutes::new(remote.clone(), "/jobs");
    let path = routes.path(job.id());
    remote.before_the_next_read(move || job.note("later").unwrap());
    let answer = call(&routes, Method::GET, &path).await;
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    let body = json(answer).await;
    assert_eq!(tag, format!("W/\"{}\"", body["version"].as_str().unwrap()));
}
