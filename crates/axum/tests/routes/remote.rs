//! A registry of another crate, which may be out of reach.

use crate::common::{Jobs, Service, refused};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use job_registry::{Counts, Cursor, Details, Error, Job, JobId, Page, Record, Snapshot, Watch};
use job_registry_axum::{Form, JobRoutes, Problem, Registry, WallClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tower::ServiceExt;

/// A registry whose jobs cannot be read while it is out of reach.
#[derive(Clone)]
struct Remote {
    jobs: Jobs,
    reachable: Arc<AtomicBool>,
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
    type Error = Refusal;

    async fn snapshot(&self, id: JobId) -> Result<Snapshot, Refusal> {
        Ok(Registry::snapshot(self.reach()?, id).await?)
    }

    async fn details(&self, id: JobId) -> Result<Details, Refusal> {
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

    async fn page(&self, cursor: Cursor, n: usize) -> Result<Page, Refusal> {
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
    let router: Router = routes.router();
    router
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
        let reachable = Arc::new(AtomicBool::new(true));
        let remote = Remote {
            jobs,
            reachable: Arc::clone(&reachable),
        };
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
