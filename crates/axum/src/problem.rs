//! [`Problem`]: a refusal, as RFC 9457 describes it.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use job_registry::{
    Error, LockError, LookupError, ParseCursorError, ParseIdError, ParseVersionError, PartsError,
    ProgressError, ReadError, RegisterError, RemoveError, RetryError, StepError,
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Prefix of the `type` of every problem of this crate; the problem's name follows.
pub const PROBLEM_TYPE: &str = "urn:problem-type:job-registry:";

/// A refusal, as an answer of the type `application/problem+json`
/// ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
///
/// The members are `type`, `title`, `status` and `detail`, and those that [`with`](Self::with)
/// adds. The `type` of an error of a registry is [`PROBLEM_TYPE`] and the error's `name()`. The
/// handlers of a service return problems of their own by [`new`](Self::new).
///
/// | error | status |
/// |---|---|
/// | `not_found`, `not_an_id` | 404 |
/// | `gone` | 410 |
/// | `not_a_cursor`, `not_a_version`, `not_a_number`, `out_of_range` | 400 |
/// | `full` | 429, with `Retry-After` |
/// | `closed`, `busy` | 503, with `Retry-After` |
/// | `would_deadlock`, `not_a_job` | 500 |
/// | every other one | 409 |
///
/// A problem that the status of a job causes has it as `job_status`.
///
/// ```
/// use axum::http::StatusCode;
/// use job_registry::Error;
/// use job_registry_axum::Problem;
///
/// let problem = Problem::from(Error::Gone).with("remedy", "submit the deck again");
/// assert_eq!(problem.status(), StatusCode::GONE);
/// assert_eq!(problem.name(), "gone");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    status: StatusCode,
    name: Cow<'static, str>,
    title: Cow<'static, str>,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    members: Map<String, Value>,
}

/// Time after which a client may repeat a request that was refused for lack of room.
const LATER: Duration = Duration::from_secs(5);

impl Problem {
    /// Returns a problem. The name becomes the last part of its `type`: a few words in lower case
    /// with underscores. The title is the same for every problem of the name, and the detail
    /// explains this one.
    pub fn new(
        status: StatusCode,
        name: impl Into<Cow<'static, str>>,
        title: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            name: name.into(),
            title: title.into(),
            detail: detail.into(),
            retry_after: None,
            members: Map::new(),
        }
    }

    /// Adds a member, or replaces it. The five members of the standard and a value that cannot be
    /// serialized change nothing.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Serialize) -> Self {
        let reserved = ["type", "title", "status", "detail", "instance"].contains(&member);
        if let (false, Ok(value)) = (reserved, serde_json::to_value(value)) {
            self.members.insert(member.to_owned(), value);
        }
        self
    }

    /// Replaces the detail.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Adds the header `Retry-After`, in seconds, rounded up and at least 1.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Returns the status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the name, which is the last part of the `type`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A job that this client may not see is answered like an id that was never issued.
    pub(crate) fn not_found() -> Self {
        Error::NotFound.into()
    }

    pub(crate) fn bad_query(detail: impl Into<Cow<'static, str>>) -> Self {
        let title = "The query is not valid";
        Self::new(StatusCode::BAD_REQUEST, "bad_query", title, detail)
    }

    pub(crate) fn failed_precondition() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition_failed",
            "The condition of the request does not hold",
            "the job has another version, or a version with which this request is not made",
        )
    }

    pub(crate) fn bad_key(detail: impl Into<Cow<'static, str>>) -> Self {
        let title = "The header Idempotency-Key is not valid";
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_idempotency_key",
            title,
            detail,
        )
    }

    /// Returns the problem of an `Idempotency-Key` that was sent before with another request: 422.
    /// [`IdempotencyKey::submit`](crate::IdempotencyKey::submit) returns it by itself.
    #[must_use]
    pub fn reused_key() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "The Idempotency-Key was used before",
            "the key was sent before with another request: use a new one",
        )
    }

    pub(crate) fn not_shown(error: &serde_json::Error) -> Self {
        tracing::error!(%error, "a payload cannot be serialized");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "not_shown",
            "The job cannot be shown",
            "the job's payload cannot be serialized",
        )
    }
}

/// Status and title of an error of a registry.
fn kind(error: Error) -> (StatusCode, &'static str) {
    match error {
        Error::NotFound => (StatusCode::NOT_FOUND, "No job has this id"),
        Error::NotAnId => (StatusCode::NOT_FOUND, "The id is not valid"),
        Error::Gone => (StatusCode::GONE, "The job was removed"),
        Error::NotACursor => (StatusCode::BAD_REQUEST, "The cursor is not valid"),
        Error::NotAVersion => (StatusCode::BAD_REQUEST, "The version is not valid"),
        Error::NotANumber | Error::OutOfRange => {
            (StatusCode::BAD_REQUEST, "The progress is not valid")
        }
        Error::Full => (StatusCode::TOO_MANY_REQUESTS, "The service is full"),
        Error::Closed => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The service is shutting down",
        ),
        Error::Busy => (StatusCode::SERVICE_UNAVAILABLE, "The job is in use"),
        Error::WouldDeadlock | Error::NotAJob => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "The service made a mistake",
        ),
        Error::Ended(_) => (StatusCode::CONFLICT, "The job has ended"),
        Error::Stopping => (StatusCode::CONFLICT, "The job is stopping"),
        Error::NotRetryable(_) => (StatusCode::CONFLICT, "The job cannot be retried now"),
        Error::AttemptsExhausted => (StatusCode::CONFLICT, "The job has no attempts left"),
        _ => (StatusCode::CONFLICT, "The job does not permit this"),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, title) = kind(error);
        let mut problem = Self::new(status, error.name(), title, error.to_string());
        if let Error::Full | Error::Closed | Error::Busy = error {
            problem = problem.retry_after(LATER);
        }
        match error.status() {
            Some(status) => problem.with("job_status", status.as_str()),
            None => problem,
        }
    }
}

macro_rules! from_errors {
    ($($error:ty),+) => {$(
        impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                Error::from(error).into()
            }
        }
    )+};
}

from_errors!(
    LockError,
    LookupError,
    ParseCursorError,
    ParseIdError,
    ParseVersionError,
    PartsError,
    ProgressError,
    ReadError,
    RemoveError,
    RetryError,
    StepError
);

impl<T> From<RegisterError<T>> for Problem {
    fn from(error: RegisterError<T>) -> Self {
        Error::from(error).into()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}

impl std::error::Error for Problem {}

#[derive(Serialize)]
struct Members<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    more: &'a Map<String, Value>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Members {
            r#type: format!("{PROBLEM_TYPE}{}", self.name),
            title: &self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            more: &self.members,
        };
        // All members are texts, numbers or JSON values, so serialization cannot fail.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, Body::from(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds(after));
        }
        response
    }
}

/// A duration in whole seconds, rounded up and at least 1.
pub(crate) fn seconds(after: Duration) -> HeaderValue {
    let up = u64::from(after.subsec_nanos() > 0);
    HeaderValue::from(after.as_secs().saturating_add(up).max(1))
}
