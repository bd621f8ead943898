//! Titles and Markdown as decks: they are refused with a reason, or every slide is drawn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use presentation_service::deck::{Deck, DeckLimits};
use presentation_service::render::{PageSize, Painter, Studio, TextStudio};
use std::cell::RefCell;

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
        for slide in 0..slides {
            painter
                .paint(&deck, slide)
                .expect("every slide can be drawn");
        }
    });
});
