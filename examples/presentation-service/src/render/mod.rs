//! Draws a [`Deck`]: pictures for each slide. This module knows neither decks' files nor jobs.

mod canvas;
mod fonts;
mod layout;
mod library;
mod painter;

pub use canvas::{Canvas, Rgb};
pub use library::{FontError, FontLibrary};

use crate::deck::Deck;
use painter::TextPainter;
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

/// How a slide is arranged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrangement {
    /// Number of pages that it fills, at least 1.
    pub pages: usize,
    /// Full sentences about parts that cannot be drawn as they were written.
    pub warnings: Vec<String>,
}

/// Draws the pages of one deck, in order. A page is a picture; a slide fills one or more.
pub trait Painter {
    /// Arranges slide number `slide`, counted from 0, into pages. All slides are arranged in order
    /// before the first page is drawn. Slide 0 begins a new arrangement.
    ///
    /// The default is one page for each slide.
    ///
    /// # Errors
    ///
    /// Returns an error if the slide cannot be arranged. Clients get its text as the job's error.
    fn arrange(
        &mut self,
        deck: &Deck,
        slide: usize,
    ) -> Result<Arrangement, Box<dyn Error + Send + Sync>> {
        let _ = (deck, slide);
        Ok(Arrangement {
            pages: 1,
            warnings: Vec::new(),
        })
    }

    /// Draws page number `page` of all slides that were arranged, counted from 0.
    ///
    /// # Errors
    ///
    /// Returns an error if the page cannot be drawn. Clients get its text as the job's error.
    fn paint(&mut self, deck: &Deck, page: usize) -> Result<Canvas, Box<dyn Error + Send + Sync>>;
}

/// The real studio: text set in the fonts of a library.
#[derive(Debug, Clone, Default)]
pub struct TextStudio {
    /// The size of every picture.
    pub page: PageSize,
    /// The fonts.
    pub fonts: FontLibrary,
}

impl TextStudio {
    /// Returns a studio with the compiled-in fonts.
    #[must_use]
    pub fn new(page: PageSize) -> Self {
        let fonts = FontLibrary::default();
        Self { page, fonts }
    }
}

impl Studio for TextStudio {
    fn painter(&self) -> Box<dyn Painter> {
        Box::new(TextPainter::new(self.page, self.fonts.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deck::DeckLimits;
    use std::collections::HashSet;

    fn paint(page: PageSize, markdown: &str) -> Canvas {
        let deck = Deck::parse("A title", markdown, &DeckLimits::default()).unwrap();
        let mut painter = TextStudio::new(page).painter();
        painter.arrange(&deck, 0).unwrap();
        painter.paint(&deck, 0).unwrap()
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
    fn a_slide_that_is_too_long_is_continued_and_not_cut() {
        let markdown = "A line that wraps, more than once.\n\n".repeat(200);
        let deck = Deck::parse("A title", &markdown, &DeckLimits::default()).unwrap();
        let mut painter = TextStudio::new(PAGE).painter();
        let pages = painter.arrange(&deck, 0).unwrap().pages;
        assert!((8..=20).contains(&pages), "{pages} pages");
        let pictures: Vec<Canvas> = (0..pages)
            .map(|page| painter.paint(&deck, page).unwrap())
            .collect();
        assert!(pictures.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(painter.paint(&deck, pages).is_err());
    }
}
