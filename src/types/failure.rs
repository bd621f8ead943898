//! `Failure`: the error of the work on a job, which is a text.

use std::error::Error;
use std::fmt;

/// Maximum number of sources that a failure's text covers, because a chain of sources may be
/// endless.
const MAX_CAUSES: usize = 32;

/// Error of the work that [`spawn`](crate::JobRegistry::spawn),
/// [`spawn_blocking`](crate::JobRegistry::spawn_blocking) and [`Job::run`](crate::Job::run) run.
/// Its text becomes the job's reason.
///
/// `?` converts every error that converts to `Box<dyn Error + Send + Sync>`: the errors of this
/// crate, those of the standard library, strings, boxed errors, and `anyhow::Error`. The work
/// therefore ends in a plain `Ok(())`, and its errors may be of several types.
///
/// ```
/// use job_registry::{Failure, Job, Progress};
///
/// fn count_pages(job: &Job<Vec<u64>>, pages: &str) -> Result<(), Failure> {
///     let pages: u64 = pages.parse()?;
///     if pages == 0 {
///         return Err("the deck is empty".into());
///     }
///     job.update(|list| list.push(pages))?;
///     job.advance(Progress::percent(50.0)?)?;
///     Ok(())
/// }
/// # let jobs = job_registry::JobRegistry::new();
/// # let job = jobs.register(Vec::new())?;
/// # job.start()?;
/// # assert!(count_pages(&job, "7").is_ok());
/// # assert_eq!(count_pages(&job, "0").unwrap_err().to_string(), "the deck is empty");
/// # assert_eq!(count_pages(&job, "x").unwrap_err().to_string(), "invalid digit found in string");
/// # Ok::<(), job_registry::Error>(())
/// ```
///
/// # Text
///
/// [`Display`](fmt::Display) writes the text. The conversion makes it from the error and the chain
/// of its [`source`](Error::source)s, joined by `: `. A source is left out if the text before it
/// already ends with the source's text. The text covers at most 32 sources.
///
/// A panic in the error's own `Display` or `source` is therefore a panic of the work.
///
/// # Not an `Error`
///
/// `Failure` does not implement [`Error`], and never will. A type with both would convert to itself
/// in two ways, by this conversion and by `From<T> for T`, which the compiler rejects. A function
/// that returns another error converts the text:
///
/// ```
/// use job_registry::Failure;
/// use std::error::Error;
///
/// fn parse(pages: &str) -> Result<u64, Failure> {
///     Ok(pages.parse()?)
/// }
///
/// fn parse_or_box(pages: &str) -> Result<u64, Box<dyn Error>> {
///     let pages = parse(pages).map_err(|failure| failure.to_string())?;
///     Ok(pages)
/// }
/// assert_eq!(parse_or_box("x").unwrap_err().to_string(), "invalid digit found in string");
/// ```
///
/// # Errors that do not convert
///
/// An error that is not `Send`, `Sync` and `'static` is converted to a text first:
/// `map_err(|error| error.to_string())?`. A [`RegisterError`](crate::RegisterError) is one of them
/// if its payload is not `Sync`: `map_err(job_registry::Error::from)?` drops the payload.
pub struct Failure {
    text: String,
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        Self {
            text: text_of_chain(&*error),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// Writes the text in quotation marks.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Failure").field(&self.text).finish()
    }
}

/// Returns the texts of the error and of its sources. Panics if one of their methods does.
pub(crate) fn text_of_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    for _ in 0..MAX_CAUSES {
        let Some(cause) = next else { break };
        let cause_text = cause.to_string();
        // Many errors write their source as well.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
