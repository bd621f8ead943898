//! The refusals of the service itself. Those of the registry are `job-registry-axum`'s.

use crate::deck::DeckError;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use job_registry::Status;
use job_registry_axum::Problem;
use std::time::Duration;

/// A problem with a remedy for the client.
fn problem(
    status: StatusCode,
    name: &'static str,
    title: &'static str,
    detail: impl Into<String>,
    remedy: &str,
) -> Problem {
    Problem::new(status, name, title, detail.into()).with("remedy", remedy)
}

/// 404: a slide that the deck does not have.
pub(crate) fn unknown_slide(slides: usize) -> Problem {
    problem(
        StatusCode::NOT_FOUND,
        "no_such_slide",
        "The deck has no such slide",
        format!("there is no such slide: the deck has {slides}"),
        "use a number from 1 to the presentation's `slides`",
    )
}

/// 404: a path that does not exist.
pub(crate) fn unknown_path() -> Problem {
    problem(
        StatusCode::NOT_FOUND,
        "no_such_path",
        "The path does not exist",
        "this path does not exist",
        "the service answers under /api/presentations, and has a page at /",
    )
}

/// 405.
pub(crate) fn method() -> Problem {
    problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "no_such_method",
        "The path has no such method",
        "this path has no such method",
        "use one of the methods in the header Allow",
    )
}

/// 409 for a file that does not exist yet.
pub(crate) fn no_file(status: Status) -> Problem {
    let remedy = if status.is_ended() {
        "read the presentation's `reason`, and retry it"
    } else {
        "ask again when the presentation's `status` is `completed`"
    };
    let detail = format!("there is no file: the presentation is {status}");
    let title = "The presentation has no file";
    problem(StatusCode::CONFLICT, "no_file", title, detail, remedy)
        .with("job_status", status.as_str())
}

/// Says how many presentations a full service has, and when to try again.
pub(crate) fn of_submission(problem: Problem, capacity: usize, retention: Duration) -> Problem {
    match problem.name() {
        "full" => problem
            .detail(format!(
                "the service is full: it has {capacity} presentations"
            ))
            .with(
                "remedy",
                "submit again after the seconds in the header Retry-After",
            )
            .retry_after(retention.min(Duration::from_secs(30))),
        "closed" => problem.with("remedy", "submit again after the restart"),
        _ => problem,
    }
}

/// 500, with a text that reveals nothing about the machine.
pub(crate) fn internal(context: &str, error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "{context}");
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "The service failed",
        format!("the service failed: {context}"),
        "try again; if it still fails, contact the operator of the service",
    )
}

/// 500: an existing file cannot be read.
pub(crate) fn unreadable(error: impl std::fmt::Display) -> Problem {
    internal("a file cannot be read", &error)
}

impl From<DeckError> for Problem {
    fn from(error: DeckError) -> Self {
        let remedy = match error {
            DeckError::NoTitle => "give the deck a title",
            DeckError::TitleTooLong { .. } => "shorten the title",
            DeckError::NoSlides => "write Markdown into `deck`, slides separated by lines `---`",
            DeckError::SlideTooLong { .. } => "shorten the slide, or put a line `---` into it",
            DeckError::TooManySlides { .. } => "split the deck and submit its parts",
        };
        problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "not_a_deck",
            "The deck cannot be drawn",
            error.to_string(),
            remedy,
        )
    }
}

/// A body that is not JSON, or not the JSON of a submission.
pub(crate) fn bad_body(rejection: &JsonRejection) -> Problem {
    let remedy = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => "submit a smaller deck",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "send the header Content-Type: application/json",
        _ => r##"send JSON like {"title": "A title", "deck": "# First\n\n---\n\n# Second"}"##,
    };
    let title = "The body is not a submission";
    let (status, detail) = (rejection.status(), rejection.body_text());
    problem(status, "bad_body", title, detail, remedy)
}
