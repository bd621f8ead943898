//! A deck: a title and slides, read from Markdown and checked against limits.

mod markdown;
mod split;

pub use split::split_document;

use thiserror::Error;

/// A checked deck, ready to be drawn. It has at least one slide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deck {
    /// The title, trimmed. It is in the footer of every slide.
    pub title: String,
    /// The slides in order.
    pub slides: Vec<Slide>,
}

/// One slide: blocks from top to bottom. It has at least one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slide {
    /// The blocks in order.
    pub blocks: Vec<Block>,
}

/// A part of a slide that starts on a line of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A heading.
    Heading {
        /// 1 to 6, as in Markdown.
        level: u8,
        /// Its text.
        text: Vec<Span>,
    },
    /// Running text.
    Paragraph {
        /// Its text.
        text: Vec<Span>,
        /// Whether it stood in a block quote.
        quoted: bool,
    },
    /// One entry of a list.
    Item {
        /// How many lists it stands in, from 1.
        depth: usize,
        /// `•`, a number, or nothing for a further paragraph of the same entry.
        marker: String,
        /// Its text.
        text: Vec<Span>,
    },
    /// A code block, or a table set as one: drawn with equal widths and its own line breaks.
    Code(String),
    /// A thematic break that separates no slides (`***`).
    Rule,
}

/// A run of text of one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The characters; a hard break is a `\n`.
    pub text: String,
    /// How it is drawn.
    pub style: Style,
}

/// How a [`Span`] is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Running text.
    #[default]
    Plain,
    /// Strong or emphasised.
    Strong,
    /// Inline code.
    Code,
    /// The text of a link.
    Link,
}

/// The limits of a deck.
#[derive(Debug, Clone, Copy)]
pub struct DeckLimits {
    /// Characters in a title.
    pub title_chars: usize,
    /// Slides in a deck.
    pub slides: usize,
    /// Bytes of Markdown in a slide. More would not be readable. A slide is drawn without
    /// interruption, so the limit bounds the delay of a cancel.
    pub slide_bytes: usize,
}

impl Default for DeckLimits {
    fn default() -> Self {
        Self {
            title_chars: 120,
            slides: 100,
            slide_bytes: 16 * 1024,
        }
    }
}

/// The reason why a deck is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeckError {
    /// The title is empty or white space.
    #[error("the title is empty")]
    NoTitle,
    /// The title is longer than allowed.
    #[error("the title has {found} characters; the limit is {limit}")]
    TitleTooLong {
        /// Characters found.
        found: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// No slide has content.
    #[error("the deck has no slide with anything on it")]
    NoSlides,
    /// A slide has more text than allowed.
    #[error("slide {slide} has {found} bytes of Markdown; the limit is {limit}")]
    SlideTooLong {
        /// Its number among the parts between separators, counted from 1.
        slide: usize,
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// More slides than allowed.
    #[error("the deck has {found} slides; the limit is {limit}")]
    TooManySlides {
        /// Slides found.
        found: usize,
        /// Slides allowed.
        limit: usize,
    },
}

impl Deck {
    /// Reads a deck. Slides are separated by lines `---` outside code blocks. A slide without
    /// content does not count, for example between two adjacent separators.
    ///
    /// # Errors
    ///
    /// Returns a [`DeckError`] if the title or the slides are missing or exceed `limits`.
    pub fn parse(title: &str, markdown: &str, limits: &DeckLimits) -> Result<Self, DeckError> {
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = title.chars().count();
        if found == 0 {
            return Err(DeckError::NoTitle);
        }
        if found > limits.title_chars {
            let limit = limits.title_chars;
            return Err(DeckError::TitleTooLong { found, limit });
        }
        let sources = split::slides(markdown);
        let limit = limits.slide_bytes;
        if let Some(long) = sources.iter().position(|source| source.len() > limit) {
            let (slide, found) = (long + 1, sources[long].len());
            return Err(DeckError::SlideTooLong {
                slide,
                found,
                limit,
            });
        }
        let slides: Vec<Slide> = sources
            .into_iter()
            .map(markdown::blocks)
            .filter(|blocks| !blocks.is_empty())
            .map(|blocks| Slide { blocks })
            .collect();
        if slides.is_empty() {
            return Err(DeckError::NoSlides);
        }
        if slides.len() > limits.slides {
            let (found, limit) = (slides.len(), limits.slides);
            return Err(DeckError::TooManySlides { found, limit });
        }
        Ok(Self { title, slides })
    }
}

/// The Markdown of each slide that has content.
pub fn slide_sources(markdown: &str) -> impl Iterator<Item = &str> {
    let slides = split::slides(markdown).into_iter();
    slides.filter(|slide| !markdown::blocks(slide).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(markdown: &str) -> Result<Deck, DeckError> {
        Deck::parse("A title", markdown, &DeckLimits::default())
    }

    #[test]
    fn blank_slides_do_not_count() {
        let deck = parse("---\n\n# One\n\n---\n\n---\n<!-- a note -->\n---\n# Two\n---\n").unwrap();
        assert_eq!(deck.slides.len(), 2);
    }

    #[test]
    fn decks_without_anything_to_draw_are_refused() {
        for markdown in ["", "   \n\t\n", "---\n---\n---", "<!-- only a comment -->"] {
            assert_eq!(parse(markdown), Err(DeckError::NoSlides), "{markdown:?}");
        }
    }

    #[test]
    fn titles_are_trimmed_and_bounded() {
        let limits = DeckLimits {
            title_chars: 5,
            slides: 1,
            ..DeckLimits::default()
        };
        let title = |text: &str| Deck::parse(text, "# One", &limits).map(|deck| deck.title);
        assert_eq!(title("  a \n b  ").as_deref(), Ok("a b"));
        assert_eq!(title(" \t"), Err(DeckError::NoTitle));
        // The limit counts characters, not bytes: five letters of two bytes each fit.
        assert_eq!(title("Огляд").as_deref(), Ok("Огляд"));
        let (found, limit) = (6, 5);
        assert_eq!(
            title("abcdef"),
            Err(DeckError::TitleTooLong { found, limit })
        );
    }

    #[test]
    fn slides_are_bounded() {
        let limits = DeckLimits {
            title_chars: 5,
            slides: 2,
            slide_bytes: 3,
        };
        let (found, limit) = (3, 2);
        assert_eq!(
            Deck::parse("t", "a\n\n---\nb\n\n---\nc", &limits),
            Err(DeckError::TooManySlides { found, limit })
        );
        let (slide, found, limit) = (2, 5, 3);
        assert_eq!(
            Deck::parse("t", "a\n\n---\nbcde\n---\nc", &limits),
            Err(DeckError::SlideTooLong {
                slide,
                found,
                limit
            })
        );
    }
}
