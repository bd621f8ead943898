//! [`Stored`]: a presentation as the shared store has it.

use crate::deck::{Deck, DeckError, DeckLimits};
use crate::store::Contents;
use serde::{Deserialize, Serialize};

/// The payload of a presentation in the shared store. It names no files: their directory follows
/// from the job's id and attempt.
///
/// It has the source of the deck, so that any replica can draw another attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    title: String,
    markdown: String,
    /// Number of slides in the source.
    slides: usize,
    /// Number of pictures, once the deck is arranged.
    pictures: Option<usize>,
    warnings: Vec<String>,
}

impl Stored {
    /// Returns the payload of a deck that was read from this Markdown.
    #[must_use]
    pub fn new(deck: &Deck, markdown: String) -> Self {
        Self {
            title: deck.title.clone(),
            markdown,
            slides: deck.slides.len(),
            pictures: None,
            warnings: deck.warnings.clone(),
        }
    }

    /// Reads the deck again, for a painter.
    pub(super) fn deck(&self, limits: &DeckLimits) -> Result<Deck, DeckError> {
        Deck::parse(&self.title, &self.markdown, limits)
    }

    /// Records how the deck is arranged.
    pub(super) fn arranged(&mut self, pictures: usize, warnings: &[String]) {
        self.pictures = Some(pictures);
        self.warnings = warnings.to_vec();
    }
}

impl Contents for Stored {
    fn title(&self) -> &str {
        &self.title
    }

    fn slides(&self) -> usize {
        self.pictures.unwrap_or(self.slides)
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
