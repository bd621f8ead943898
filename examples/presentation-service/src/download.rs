//! Streams a presentation's files to a client.

use crate::errors;
use crate::jobs::Presentation;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use job_registry::{JobId, JobRegistry, Status};
use job_registry_axum::Problem;
use std::fs::File;
use tokio_util::io::ReaderStream;

/// A file's media type and name.
#[derive(Debug)]
pub(crate) struct Download {
    /// Its media type.
    pub(crate) kind: &'static str,
    /// The name under which a client saves it.
    pub(crate) name: String,
}

impl Download {
    /// Streams the file that `open` opens. It is opened under the job's lock, where the job cannot be
    /// removed; once it is open its bytes stay until the last reader is done, whatever happens to its
    /// name.
    pub(crate) async fn send(
        self,
        registry: &JobRegistry<Presentation>,
        id: JobId,
        open: impl FnOnce(&Presentation) -> Result<File, Problem> + Send + 'static,
    ) -> Result<Response, Problem> {
        let registry = registry.clone();
        let opened = move || {
            registry.read(id, |record| match record.snapshot.status() {
                Status::Completed => open(record.payload),
                status => Err(errors::no_file(status)),
            })
        };
        let opened = tokio::task::spawn_blocking(opened).await;
        let file = opened.map_err(errors::unreadable)???;
        let file = tokio::fs::File::from_std(file);
        let length = file.metadata().await.map_err(errors::unreadable)?.len();
        let headers = [
            (header::CONTENT_TYPE, self.kind.to_owned()),
            (header::CONTENT_LENGTH, length.to_string()),
            (
                header::CONTENT_DISPOSITION,
                format!("inline; filename=\"{}\"", self.name),
            ),
        ];
        Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
    }
}
