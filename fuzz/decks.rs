//! Titles and Markdown as decks: they are refused with a reason, or every slide is drawn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use presentation_service::deck::{Deck, DeckLimits};
use presentation_service::render::{PageSize, Painter, Studio, TextStudio};
use std::cell::RefCell;

/// Number of pages that are drawn of a deck.
const MOST: usize = 20;

thread_local! {
    static PAINTER: RefCell<Box<dyn Painter>> = RefCell::new({
        // Small pages let more decks be drawn.
        let page = PageSize { width: 64, height: 36 };
        TextStudio::new(page).painter()
    });
}

fuzz_target!(|input: (&str, &str)| {
    let (title, markdown) = input;
    let limits = DeckLimits::default();
    let deck = match Deck::parse(title, markdown, &limits) {
        Ok(deck) => deck,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let slides = deck.slides.len();
    assert!((1..=limits.slides).contains(&slides));
    PAINTER.with_borrow_mut(|painter| {
        let mut pages = 0;
        for slide in 0..slides {
            let arranged = painter.arrange(&deck, slide);
            pages += arranged.expect("every slide can be arranged").pages;
        }
        // A service refuses more. Further pages are drawn in the same way.
        for page in 0..pages.min(MOST) {
            painter.paint(&deck, page).expect("every page can be drawn");
        }
    });
});
