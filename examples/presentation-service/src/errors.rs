//! The refusals of the service: a status, the reason, and a remedy for the client.

use crate::deck::DeckError;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use job_registry::{LookupError, ReadError, RetryError, Status, StepError};
use serde::Serialize;
use std::time::Duration;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    error: String,
    what_to_do: &'static str,
    retry_after: Option<Duration>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    what_to_do: &'a str,
}

impl ApiError {
    fn new(status: StatusCode, error: impl Into<String>, what_to_do: &'static str) -> Self {
        Self {
            status,
            error: error.into(),
            what_to_do,
            retry_after: None,
        }
    }

    /// 404: an id that was never issued, or is malformed.
    pub(crate) fn unknown_id() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "there is no presentation with this id",
            "use an id from the answer to POST /api/presentations",
        )
    }

    /// 404: a slide that the deck does not have.
    pub(crate) fn unknown_slide(slides: usize) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("there is no such slide: the deck has {slides}"),
            "use a number from 1 to the presentation's `slides`",
        )
    }

    /// 404: a path that does not exist.
    pub(crate) fn unknown_path() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "this path does not exist",
            "the service answers under /api/presentations, and has a page at /",
        )
    }

    /// 405.
    pub(crate) fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this path has no such method",
            "use one of the methods in the header Allow",
        )
    }

    /// 410: the presentation has been removed.
    pub(crate) fn gone() -> Self {
        Self::new(
            StatusCode::GONE,
            "the presentation and its files were removed",
            "submit the deck again",
        )
    }

    /// 409 for a cancel after the end.
    pub(crate) fn ended(status: Status) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            format!("the presentation has already ended: it is {status}"),
            "nothing: it is removed after the retention",
        )
    }

    /// 409 for the retry of a presentation that has neither failed nor been cancelled.
    pub(crate) fn not_retryable(status: Status) -> Self {
        let what_to_do = if status.is_ended() {
            "nothing: it has its files"
        } else {
            "wait for its end, or cancel it"
        };
        let error = format!("only a failed or cancelled presentation is retried; it is {status}");
        Self::new(StatusCode::CONFLICT, error, what_to_do)
    }

    /// 409 for a file that does not exist yet.
    pub(crate) fn no_file(status: Status) -> Self {
        let what_to_do = if status.is_ended() {
            "read the presentation's `error`, and retry it"
        } else {
            "ask again when the presentation's `status` is `completed`"
        };
        let error = format!("there is no file: the presentation is {status}");
        Self::new(StatusCode::CONFLICT, error, what_to_do)
    }

    /// 429: the service is at its capacity.
    pub(crate) fn full(capacity: usize, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!("the service is full: it has {capacity} presentations"),
                "submit again after the seconds in the header Retry-After",
            )
        }
    }

    /// 503: the service is shutting down.
    pub(crate) fn closed() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the service is shutting down",
            "submit again after the restart",
        )
    }

    /// 500: an existing file cannot be read.
    pub(crate) fn unreadable(error: impl std::fmt::Display) -> Self {
        Self::internal("a file cannot be read", &error)
    }

    /// 500, with a text that reveals nothing about the machine.
    pub(crate) fn internal(context: &str, error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "{context}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the service failed: {context}"),
            "try again; if it still fails, contact the operator of the service",
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Body {
            error: &self.error,
            what_to_do: self.what_to_do,
        };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(after) = self.retry_after {
            let seconds = HeaderValue::from(after.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<LookupError> for ApiError {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::NotFound => Self::unknown_id(),
            LookupError::Gone => Self::gone(),
            other => Self::internal("look-up of a presentation", &other),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound => Self::unknown_id(),
            ReadError::Gone => Self::gone(),
            other => Self::internal("read of a presentation", &other),
        }
    }
}

impl From<StepError> for ApiError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::NotFound => Self::unknown_id(),
            StepError::Gone => Self::gone(),
            StepError::Ended(status) => Self::ended(status),
            other => Self::internal("a step of a presentation", &other),
        }
    }
}

impl From<RetryError> for ApiError {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::NotFound => Self::unknown_id(),
            RetryError::Gone => Self::gone(),
            RetryError::NotRetryable(status) => Self::not_retryable(status),
            RetryError::AttemptsExhausted => Self::new(
                StatusCode::CONFLICT,
                error.to_string(),
                "submit the deck again",
            ),
            RetryError::Closed => Self::closed(),
            other => Self::internal("the retry of a presentation", &other),
        }
    }
}

impl From<DeckError> for ApiError {
    fn from(error: DeckError) -> Self {
        let what_to_do = match error {
            DeckError::NoTitle => "give the deck a title",
            DeckError::TitleTooLong { .. } => "shorten the title",
            DeckError::NoSlides => "write Markdown into `deck`, slides separated by lines `---`",
            DeckError::SlideTooLong { .. } => "shorten the slide, or put a line `---` into it",
            DeckError::TooManySlides { .. } => "split the deck and submit its parts",
        };
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            error.to_string(),
            what_to_do,
        )
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        let what_to_do = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "submit a smaller deck",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "send the header Content-Type: application/json",
            _ => r##"send JSON like {"title": "A title", "deck": "# First\n\n---\n\n# Second"}"##,
        };
        Self::new(rejection.status(), rejection.body_text(), what_to_do)
    }
}
