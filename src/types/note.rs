//! [`Note`]: a worker's text for clients, of bounded length.

use std::sync::Arc;

/// Maximum length of a note, in bytes.
const LONGEST: usize = 1024;

/// A note that is at most 1 KiB long. Converting the caller's text is user code and allocates, so
/// that it happens before the job's lock is taken.
#[derive(Debug)]
pub(crate) struct Note(Arc<str>);

impl Note {
    /// Cuts a text that is too long at a character, and ends it in `…`.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.len() > LONGEST {
            let end = (0..=LONGEST - '…'.len_utf8()).rev();
            let end = end.into_iter().find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or(0));
            text.push('…');
        }
        Self(Arc::from(text))
    }

    pub(crate) fn into_text(self) -> Arc<str> {
        self.0
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A note of any length and with any characters is a prefix of its text, and as long as
        /// fits.
        #[test]
        fn notes_are_the_longest_prefix_that_fits(unit in any::<char>(), count in 0usize..1100) {
            let text: String = std::iter::repeat_n(unit, count).collect();
            let note = Note::new(text.clone()).into_text();
            if text.len() <= LONGEST {
                prop_assert_eq!(&*note, text);
            } else {
                let kept = note.strip_suffix('…').unwrap();
                prop_assert!(text.starts_with(kept));
                prop_assert!(note.len() <= LONGEST && note.len() + unit.len_utf8() > LONGEST);
            }
        }
    }
}
