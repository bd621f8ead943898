//! A deck: a title and slides, read from Markdown and checked against limits.

mod front_matter;
mod html;
mod markdown;
mod split;

pub use split::split_document;

use front_matter::FrontMatter;
use markdown::Draft;
use std::borrow::Cow;
use thiserror::Error;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// A checked deck, ready to be drawn. It has at least one slide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deck {
    /// The title, trimmed. It is in the footer of every picture.
    pub title: String,
    /// The slides in order. A slide that does not fit on one picture is continued on the next.
    pub slides: Vec<Slide>,
    /// Full sentences about the parts of the Markdown that are not on any slide.
    pub warnings: Vec<String>,
}

/// One slide: blocks from top to bottom. It has at least one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slide {
    /// The blocks in order. The notes are last.
    pub blocks: Vec<Block>,
}

/// A part of a slide that starts on a line of its own. Quotes and lists are flat: a block names the
/// containers that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Number of block quotes that it stands in.
    pub quotes: usize,
    /// Number of lists that it stands in.
    pub depth: usize,
    /// The marker of the list entry or note that begins with this block: a bullet, a number, a box.
    pub marker: String,
    /// Whether it belongs to a footnote.
    pub note: bool,
    /// The content.
    pub content: Content,
}

/// The content of a [`Block`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A heading.
    Heading {
        /// 1 to 6, as in Markdown.
        level: u8,
        /// Its text.
        text: Vec<Span>,
    },
    /// Running text.
    Text(Vec<Span>),
    /// A code block: drawn with equal widths and its own line breaks.
    Code(String),
    /// A table.
    Table(Table),
    /// An image on a line of its own. It is not fetched; its description is shown in a frame.
    Image {
        /// The description.
        text: Vec<Span>,
        /// The name of the file, if the address ends with one.
        file: String,
    },
    /// A thematic break inside of a list, a quote or HTML, where it separates no slides.
    Rule,
}

/// A table. All rows have as many cells as there are columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The alignment of each column.
    pub columns: Vec<Alignment>,
    /// The rows, the head first; the text of each cell.
    pub rows: Vec<Vec<Vec<Span>>>,
}

/// The alignment of a table's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alignment {
    /// Where the text of the cell begins.
    Natural,
    /// On the left.
    Left,
    /// In the middle.
    Centre,
    /// On the right.
    Right,
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
pub struct Style {
    /// The kind of text.
    pub kind: Kind,
    /// Bold.
    pub strong: bool,
    /// Italic.
    pub emphasised: bool,
    /// With a line through it.
    pub struck: bool,
}

/// The kind of a [`Span`]'s text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Running text.
    #[default]
    Plain,
    /// Inline code, or a formula as it was written.
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
    /// Bytes of Markdown in a slide, and bytes of text in the footnotes that it cites. More would
    /// not be readable. A slide is arranged without interruption, so the limit bounds the delay of
    /// a cancel.
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
    /// The title is empty or white space, and no front matter gives another one.
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
    /// A slide, or the footnotes that it cites, have more text than allowed.
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
    /// Reads a deck. Thematic breaks at the top level of the document separate the slides. A slide
    /// without content does not count, for example between two adjacent breaks.
    ///
    /// Front matter (YAML between `---` lines at the very start) is no slide. Its `title` is used if
    /// `title` is empty.
    ///
    /// # Errors
    ///
    /// Returns a [`DeckError`] if the title or the slides are missing or exceed `limits`.
    pub fn parse(title: &str, markdown: &str, limits: &DeckLimits) -> Result<Self, DeckError> {
        let markdown = normalised(markdown);
        let front = FrontMatter::split(&markdown);
        let title = checked_title(title, &front, limits)?;
        let mut warnings = Vec::new();
        let drafts = markdown::read(front.rest, limits.slide_bytes, &mut warnings);
        let limit = limits.slide_bytes;
        let long = |draft: &Draft| draft.bytes > limit;
        if let Some(slide) = drafts.iter().position(long) {
            let (slide, found) = (slide + 1, drafts[slide].bytes);
            return Err(DeckError::SlideTooLong {
                slide,
                found,
                limit,
            });
        }
        let slides: Vec<Slide> = drafts
            .into_iter()
            .map(|Draft { blocks, .. }| Slide { blocks })
            .filter(|slide| !slide.blocks.is_empty())
            .collect();
        if slides.is_empty() {
            return Err(DeckError::NoSlides);
        }
        if slides.len() > limits.slides {
            let (found, limit) = (slides.len(), limits.slides);
            return Err(DeckError::TooManySlides { found, limit });
        }
        Ok(Self {
            title,
            slides,
            warnings,
        })
    }
}

/// The title of the request or, if that is empty, of the front matter.
fn checked_title(
    title: &str,
    front: &FrontMatter<'_>,
    limits: &DeckLimits,
) -> Result<String, DeckError> {
    let title = [title, &front.title]
        .map(|title| title.split_whitespace().collect::<Vec<_>>().join(" "))
        .into_iter()
        .find(|title| !title.is_empty())
        .ok_or(DeckError::NoTitle)?;
    let (found, limit) = (title.chars().count(), limits.title_chars);
    if found > limit {
        return Err(DeckError::TitleTooLong { found, limit });
    }
    Ok(title)
}

/// The Markdown without a byte-order mark, with `\n` as the only line ending.
fn normalised(markdown: &str) -> Cow<'_, str> {
    let markdown = markdown.strip_prefix('\u{feff}').unwrap_or(markdown);
    if markdown.contains('\r') {
        return markdown.replace("\r\n", "\n").replace('\r', "\n").into();
    }
    markdown.into()
}

/// The Markdown of each slide that has content.
#[must_use]
pub fn slide_sources(markdown: &str) -> Vec<String> {
    let markdown = normalised(markdown);
    let body = FrontMatter::split(&markdown).rest;
    markdown::read(body, usize::MAX, &mut Vec::new())
        .into_iter()
        .filter(|draft| !draft.blocks.is_empty())
        .map(|draft| body[draft.source].to_owned())
        .collect()
}

/// Whether a text shows anything: a character that is neither white space nor invisible.
fn is_visible(text: &str) -> bool {
    text.chars().any(|c| !is_invisible(c) && !c.is_whitespace())
}

/// Whether a character has no shape of its own: it only affects its neighbours, or nothing.
pub(crate) fn is_invisible(c: char) -> bool {
    // Fillers and selectors that Unicode does not count as format characters.
    let filler = matches!(c, '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}');
    filler || c.general_category() == GeneralCategory::Format
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(markdown: &str) -> Result<Deck, DeckError> {
        Deck::parse("A title", markdown, &DeckLimits::default())
    }

    #[test]
    fn blank_slides_do_not_count() {
        let deck = parse("***\n\n# One\n\n---\n\n---\n<!-- a note -->\n---\n# Two\n***\n").unwrap();
        assert_eq!(deck.slides.len(), 2);
        assert_eq!(deck.warnings, [""; 0]);
    }

    #[test]
    fn decks_without_anything_to_draw_are_refused() {
        for markdown in [
            "",
            "   \n\t\n",
            "---\n---\n---",
            "<!-- only a comment -->",
            "\u{200b}\u{200b}\n\n\u{feff}",
            "<div></div>",
            "---\ntitle: only front matter\n---\n",
        ] {
            assert_eq!(parse(markdown), Err(DeckError::NoSlides), "{markdown:?}");
        }
    }

    #[test]
    fn titles_are_trimmed_and_bounded() {
        let limits = DeckLimits {
            title_chars: 5,
            ..DeckLimits::default()
        };
        let title = |title: &str| Deck::parse(title, "# One", &limits).map(|deck| deck.title);
        assert_eq!(title("  a\n b "), Ok("a b".to_owned()));
        assert_eq!(title("ééééé"), Ok("ééééé".to_owned()));
        assert_eq!(title(" \n"), Err(DeckError::NoTitle));
        let (found, limit) = (6, 5);
        assert_eq!(
            title("abcdef"),
            Err(DeckError::TitleTooLong { found, limit })
        );
    }

    #[test]
    fn the_title_of_the_front_matter_is_used_if_the_request_has_none() {
        let markdown = "\u{feff}---\ntitle: From the deck\n---\n# One\n\n---\n\n# Two";
        let title = |title| Deck::parse(title, markdown, &DeckLimits::default()).unwrap();
        assert_eq!(title("").title, "From the deck");
        assert_eq!(title(" \t").title, "From the deck");
        assert_eq!(title("From the request").title, "From the request");
        assert_eq!(title("").slides.len(), 2);
    }

    #[test]
    fn every_line_ending_reads_the_same() {
        let markdown = "---\ntitle: T\n---\n# One\n\n- a\n- b\n\n---\n\n```\n---\n```\n";
        let deck = parse(markdown).unwrap();
        assert_eq!(deck.slides.len(), 2);
        for ending in ["\r\n", "\r"] {
            assert_eq!(parse(&markdown.replace('\n', ending)).as_ref(), Ok(&deck));
        }
    }

    #[test]
    fn slides_are_bounded() {
        let limits = DeckLimits {
            title_chars: 5,
            slides: 2,
            slide_bytes: 4,
        };
        let (found, limit) = (3, 2);
        assert_eq!(
            Deck::parse("t", "a\n\n---\nb\n\n---\nc", &limits),
            Err(DeckError::TooManySlides { found, limit })
        );
        let (slide, found, limit) = (2, 6, 4);
        assert_eq!(
            Deck::parse("t", "a\n\n---\nbcde\n\n---\nc", &limits),
            Err(DeckError::SlideTooLong {
                slide,
                found,
                limit
            })
        );
    }

    #[test]
    fn a_footnote_that_many_slides_cite_is_bounded_on_each() {
        let note = "x".repeat(2000);
        let cites = "a[^n]\n\n---\n\n".repeat(3);
        let deck = format!("{cites}[^n]: {note}\n");
        let limits = |slide_bytes| DeckLimits {
            slide_bytes,
            ..DeckLimits::default()
        };
        assert_eq!(
            Deck::parse("t", &deck, &limits(4000)).unwrap().slides.len(),
            3
        );
        // Two notes on one slide.
        let deck = format!("a[^n] b[^m]\n\n---\n\n[^n]: {note}\n\n---\n\n[^m]: {note}\n");
        assert!(matches!(
            Deck::parse("t", &deck, &limits(3000)),
            Err(DeckError::SlideTooLong { slide: 1, .. })
        ));
    }

    #[test]
    fn the_sources_of_the_slides_are_the_parts_between_the_rules() {
        let markdown = "---\ntitle: T\n---\na\n\n---\n\n---\n\n```\n---\n```\n\n---\nїжак\n";
        assert_eq!(
            slide_sources(markdown),
            ["a\n\n", "\n```\n---\n```\n\n", "їжак\n"]
        );
    }
}
