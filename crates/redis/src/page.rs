//! [`Cursor`] and [`Page`]: a walk over all jobs in parts.

use job_registry::{Error, Snapshot};
use std::fmt;
use std::str::FromStr;

/// Position in a walk over a namespace's jobs; see [`JobRegistry::page`](crate::JobRegistry::page).
///
/// The default is the start. A cursor is opaque, prints as at most 16 digits, which are safe in a
/// URL, and parses back. It stays valid, in every process, as long as the namespace.
///
/// ```
/// use job_registry_redis::Cursor;
///
/// let text = Cursor::default().to_string();
/// assert_eq!(text.parse::<Cursor>()?, Cursor::default());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Number of the last registration that the walk has passed.
    pub(crate) passed: u64,
}

/// Number above every registration: from here on, a Lua number is not exact.
const END: u64 = 1 << 53;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.passed.to_string())
    }
}

impl FromStr for Cursor {
    type Err = Error;

    /// Parses the text of `to_string`.
    ///
    /// # Errors
    ///
    /// Returns [`Error::NotACursor`] for every other text.
    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = text.parse::<u64>().ok().filter(|passed| *passed < END);
        let parsed = parsed.map(|passed| Self { passed });
        // The standard library also accepts a sign and leading zeros.
        let parsed = parsed.filter(|cursor| cursor.to_string() == text);
        parsed.ok_or(Error::NotACursor)
    }
}

/// A part of a walk over a namespace's jobs. Returned by
/// [`JobRegistry::page`](crate::JobRegistry::page).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The jobs, each as it was when the walk reached it, in the order of their registrations.
    pub jobs: Vec<Snapshot>,
    /// Start of the next page. `None` after the last page.
    pub next: Option<Cursor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_one_text() {
        let last = Cursor { passed: END - 1 };
        assert_eq!(last.to_string().parse(), Ok(last));
        let others = [
            "",
            "-1",
            "+1",
            "01",
            "1 ",
            "x",
            "9007199254740992",
            "99999999999999999999",
        ];
        for text in others {
            assert!(text.parse::<Cursor>().is_err(), "{text:?}");
        }
    }
}
