//! Streams a presentation's files to a client.

use crate::errors;
use crate::run::{GIF, png};
use crate::store::{Contents, Store};
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use job_registry::JobId;
use job_registry_axum::Problem;
use tokio_util::io::ReaderStream;

/// A file of a presentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The animation.
    Animation,
    /// The picture with this number, counted from 1.
    Picture(usize),
}

impl Part {
    /// Returns the name of the file among those of a presentation.
    pub(crate) fn name(self, payload: &impl Contents) -> Result<String, Problem> {
        match (self, payload.slides()) {
            (Self::Animation, _) => Ok(GIF.to_owned()),
            (Self::Picture(number), slides) if (1..=slides).contains(&number) => Ok(png(number)),
            (Self::Picture(_), slides) => Err(errors::unknown_slide(slides)),
        }
    }

    /// Returns the media type, and the name under which a client saves the file.
    fn kind(self, id: JobId) -> (&'static str, String) {
        match self {
            Self::Animation => ("image/gif", format!("{id}.gif")),
            Self::Picture(number) => ("image/png", format!("{id}-{number}.png")),
        }
    }
}

/// Streams a file of a presentation.
pub(crate) async fn send(store: &impl Store, id: JobId, part: Part) -> Result<Response, Problem> {
    let file = tokio::fs::File::from_std(store.open(id, part).await?);
    let length = file.metadata().await.map_err(errors::unreadable)?.len();
    let (kind, name) = part.kind(id);
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (
            header::CONTENT_DISPOSITION,
            format!("inline; filename=\"{name}\""),
        ),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}
