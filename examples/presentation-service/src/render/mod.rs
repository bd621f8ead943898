//! Draws a [`Deck`]: one picture for each slide. This module knows neither files nor jobs.

mod canvas;
mod fonts;
mod layout;

pub use canvas::{Canvas, Rgb};

use crate::deck::Deck;
use layout::Painted;
use std::error::Error;

/// The size of a picture in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize {
    /// Horizontal size.
    pub width: u16,
    /// Vertical size.
    pub height: u16,
}

impl Default for PageSize {
    fn default() -> Self {
        Self {
            width: 1280,
            height: 720,
        }
    }
}

/// A source of painters. The service draws only through this trait, so that a test can use a
/// painter that waits, fails or panics.
pub trait Studio: Send + Sync + 'static {
    /// Returns a painter for one job. It stays on the job's thread and may keep caches.
    fn painter(&self) -> Box<dyn Painter>;
}

/// Draws the slides of one deck, in order.
pub trait Painter {
    /// Draws slide number `slide`, counted from 0.
    ///
    /// # Errors
    ///
    /// Returns an error if the slide cannot be drawn. Clients get its text as the job's error.
    fn paint(&mut self, deck: &Deck, slide: usize) -> Result<Canvas, Box<dyn Error + Send + Sync>>;
}

/// The real studio: text set in embedded fonts.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextStudio {
    /// The size of every slide.
    pub page: PageSize,
}

impl Studio for TextStudio {
    fn painter(&self) -> Box<dyn Painter> {
        Box::new(Painted::new(self.page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deck::DeckLimits;
    use std::collections::HashSet;

    fn paint(page: PageSize, markdown: &str) -> Canvas {
        let deck = Deck::parse("A title", markdown, &DeckLimits::default()).unwrap();
        TextStudio { page }.painter().paint(&deck, 0).unwrap()
    }

    const PAGE: PageSize = PageSize {
        width: 320,
        height: 180,
    };

    #[test]
    fn the_same_slide_is_the_same_picture() {
        let markdown = "# Head\n\n- one\n- two\n\n```\ncode\n```";
        assert_eq!(paint(PAGE, markdown), paint(PAGE, markdown));
        assert_ne!(paint(PAGE, markdown), paint(PAGE, "# Head"));
    }

    #[test]
    fn every_letter_has_a_glyph() {
        // A character without a glyph is drawn as the same empty box as every other such character.
        let missing = paint(PAGE, "\u{10FFFD}\u{10FFFD}");
        for text in ["ab", "її", "Жґ", "→≤", "✅✅"] {
            assert_ne!(paint(PAGE, text), missing, "{text}");
        }
    }

    #[test]
    fn a_picture_has_few_enough_colours_for_a_gif() {
        let markdown =
            "# A **b** `c`\n\nText [d](e) **f** `g`\n\n> quoted\n\n1. item\n\n```\ncode\n```";
        let canvas = paint(PageSize::default(), markdown);
        let colours: HashSet<&[u8]> = canvas.pixels().chunks(3).collect();
        assert!(
            (8..=256).contains(&colours.len()),
            "{} colours",
            colours.len()
        );
    }

    #[test]
    fn a_slide_that_is_too_long_is_cut_and_not_refused() {
        let canvas = paint(PAGE, &"A line that wraps, more than once.\n\n".repeat(200));
        assert_eq!(canvas.size(), PAGE);
    }
}
