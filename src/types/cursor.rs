//! [`Cursor`] and [`Page`]: a walk over all jobs in parts.

use crate::types::error::parse_error;
use crate::types::snapshot::Snapshot;
use std::fmt;
use std::str::FromStr;

/// Position in a walk over a registry's jobs; see [`JobRegistry::page`].
///
/// The default is the start. A cursor is opaque, prints as at most 10 digits, which are safe in a
/// URL, and parses back. Every cursor has exactly one text. It shows a client roughly how many jobs
/// the registry has had at a time.
///
/// ```
/// use job_registry::Cursor;
///
/// let text = Cursor::default().to_string();
/// assert_eq!(text.parse::<Cursor>()?, Cursor::default());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`JobRegistry::page`]: crate::JobRegistry::page
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Index of the first slot that has not been visited.
    pub(crate) slot: u32,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.slot.to_string())
    }
}

impl FromStr for Cursor {
    type Err = ParseCursorError;

    /// Parses the text of `to_string`.
    ///
    /// # Errors
    ///
    /// Returns [`ParseCursorError`] for every other text.
    fn from_str(text: &str) -> Result<Self, ParseCursorError> {
        let parsed = text.parse().map(|slot| Self { slot });
        // The standard library also accepts a sign and leading zeros.
        let parsed = parsed.ok().filter(|cursor| cursor.to_string() == text);
        parsed.ok_or(ParseCursorError(()))
    }
}

parse_error! {
    /// Error for a text that is not a [`Cursor`].
    ParseCursorError => NotACursor = "not_a_cursor" => "not a cursor: expected the text of one"
}

/// A part of a walk over a registry's jobs. Returned by [`JobRegistry::page`].
///
/// [`JobRegistry::page`]: crate::JobRegistry::page
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The jobs, each as it was when the walk reached it.
    pub jobs: Vec<Snapshot>,
    /// Start of the next page. `None` after the last page.
    pub next: Option<Cursor>,
}
