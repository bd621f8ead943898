//! The text of a `Failure`, and the work that returns one.

use crate::{end_of, error_of};
use job_registry::{Failure, Job, JobRegistry, Progress, Status};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// An error that may have a source.
#[derive(Debug)]
struct Caused {
    text: String,
    source: Option<Box<Caused>>,
}

impl fmt::Display for Caused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Caused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_deref()?)
    }
}

/// Returns an error with the first of the texts, whose sources have the others.
fn chain<'t>(texts: impl IntoIterator<Item = &'t str, IntoIter: DoubleEndedIterator>) -> Caused {
    let chained = texts.into_iter().rev().fold(None, |source, text| {
        let text = text.to_owned();
        Some(Box::new(Caused { text, source }))
    });
    *chained.expect("at least one text")
}

fn text_of(failure: impl Into<Failure>) -> String {
    failure.into().to_string()
}

#[test]
fn text_is_the_chain_of_causes() {
    for (texts, text) in [
        (&["alone"][..], "alone"),
        (&["no deck", "disk is full"], "no deck: disk is full"),
        (&["a", "b", "c"], "a: b: c"),
        (
            &["no deck: disk is full", "disk is full"],
            "no deck: disk is full",
        ),
        (&["a: b: c", "b: c", "c"], "a: b: c"),
        (&["a", "b: c", "c"], "a: b: c"),
        // Only the end of the text is compared.
        (&["a", "b", "a"], "a: b: a"),
        (&["a", "", "b"], "a: b"),
        (&[""], ""),
    ] {
        assert_eq!(text_of(chain(texts.iter().copied())), text, "{texts:?}");
    }
}

#[test]
fn errors_of_every_usual_type_convert() {
    let boxed: Box<dyn Error + Send + Sync> = chain(["a", "b"]).into();
    assert_eq!(text_of(boxed), "a: b");
    assert_eq!(text_of("text"), "text");
    assert_eq!(text_of("text".to_owned()), "text");
    assert_eq!(text_of(std::io::Error::other(chain(["a", "b"]))), "a: b");
    assert_eq!(text_of(fmt::Error), fmt::Error.to_string());
}

#[test]
fn failure_is_formatted_as_its_text() {
    let failure = Failure::from("a \"deck\"");
    assert_eq!(format!("{failure:>10}|{failure:.1}"), "  a \"deck\"|a");
    assert_eq!(format!("{failure:?}"), r#"Failure("a \"deck\"")"#);
}

/// An error that is its own source, and whose text is never the same.
#[derive(Debug)]
struct Endless(std::sync::atomic::AtomicUsize);

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        write!(f, "<{count}>")
    }
}

impl Error for Endless {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

/// P11: an endless chain of causes ends the job like any other.
#[tokio::test]
async fn endless_chain_of_causes_ends_after_32() {
    let jobs = JobRegistry::new();
    let ids = [
        jobs.spawn((), async |_| Err(Endless(0.into()))?),
        jobs.spawn_blocking((), |_| Err(Endless(0.into()))?),
    ];
    let whole: Vec<String> = (0..=32).map(|n| format!("<{n}>")).collect();
    for id in ids.map(Result::unwrap) {
        assert_eq!(end_of(&jobs, id).await.status(), Status::Failed);
        assert_eq!(error_of(&jobs, id).unwrap(), whole.join(": "));
    }
}

/// A long chain is cut after its 32nd cause, and not before.
#[test]
fn chain_of_32_causes_is_whole() {
    let texts: Vec<String> = (0..34).map(|n| format!("<{n}>")).collect();
    for (length, shown) in [(33, 33), (34, 33)] {
        let error = chain(texts[..length].iter().map(String::as_str));
        assert_eq!(text_of(error), texts[..shown].join(": "));
    }
}

/// P2: the error of the work and its causes are the reason of the failure, for each form of work.
#[tokio::test]
async fn error_with_causes_fails_its_job_with_its_whole_text() {
    async fn work(job: Arc<Job<u32>>) -> Result<(), Failure> {
        job.advance(Progress::percent(50.0)?)?;
        tokio::task::yield_now().await;
        Err(chain(["no deck", "disk is full"]))?
    }

    fn blocking(job: &Job<u32>) -> Result<(), Failure> {
        job.advance(Progress::percent(50.0)?)?;
        Err(chain(["no deck", "disk is full"]).into())
    }

    let jobs = JobRegistry::new();
    let ids = [
        jobs.spawn(0, work),
        jobs.spawn(0, |job| async move {
            job.update(|n| *n += 1)?;
            Err(chain(["no deck", "disk is full"]))?
        }),
        jobs.spawn_blocking(0, blocking),
        jobs.spawn_blocking(0, |job| {
            job.update(|n| *n += 1)?;
            Err(std::io::Error::other(chain(["no deck", "disk is full"])))?
        }),
    ];
    for id in ids.map(Result::unwrap) {
        assert_eq!(end_of(&jobs, id).await.status(), Status::Failed);
        let error = error_of(&jobs, id);
        assert_eq!(error.as_deref(), Some("no deck: disk is full"));
    }
}

/// P2: an error of the registry in `spawn_blocking` is the reason of the failure.
#[tokio::test]
async fn errors_of_the_crate_fail_a_blocking_task() {
    let jobs = JobRegistry::new();
    let ids = [
        jobs.spawn_blocking((), |job| Ok(job.start()?)),
        jobs.spawn_blocking((), |_| {
            Progress::percent(f64::NAN)?;
            Ok(())
        }),
        jobs.spawn_blocking((), |_| {
            "?".parse::<job_registry::JobId>()?;
            Ok(())
        }),
    ];
    let texts = [
        "the job has been started already",
        "progress is not a number",
        "not a job id: expected 22 letters and digits",
    ];
    for (id, text) in ids.into_iter().zip(texts) {
        let id = id.unwrap();
        assert_eq!(end_of(&jobs, id).await.status(), Status::Failed);
        assert_eq!(error_of(&jobs, id).as_deref(), Some(text));
    }
}
