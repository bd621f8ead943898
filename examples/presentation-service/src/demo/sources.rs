//! The decks of the demo, made of documents.

use super::Failure;
use crate::deck::{Deck, DeckLimits, split_document};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Number of decks, unless more documents are given.
const DECKS: usize = 5;
/// Numbers of slides of a deck. A document with fewer is followed by the next one, so that a job
/// lasts long enough to be watched. A longer deck is cut.
pub(super) const LONG: RangeInclusive<usize> = 24..=36;
pub(super) const SHORT: RangeInclusive<usize> = 4..=5;

/// Documents of this repository, relative to its root. Missing ones are skipped.
const DOCUMENTS: [&str; 6] = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "examples/presentation-service/README.md",
    "examples/presentation-service/decks/races.md",
];

/// Compiled in, so that one document always exists.
const EMBEDDED: &str = include_str!("../../decks/races.md");

/// A deck to submit.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) title: String,
    pub(super) markdown: String,
    pub(super) slides: usize,
}

/// The title of a document, and the Markdown of each slide.
struct Document {
    title: String,
    slides: Vec<String>,
}

/// Decks of so many slides from the given documents, or from the repository's.
pub(super) fn decks(
    given: &[PathBuf],
    limits: &DeckLimits,
    sizes: &RangeInclusive<usize>,
) -> Result<Vec<Source>, Failure> {
    let mut documents = Vec::new();
    for path in given {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        documents.extend(Document::read(&text, path));
    }
    if given.is_empty() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let found = DOCUMENTS.iter().filter_map(|path| {
            let text = std::fs::read_to_string(root.join(path)).ok()?;
            Document::read(&text, Path::new(path))
        });
        documents.extend(found);
    }
    if documents.is_empty() {
        documents.extend(Document::read(EMBEDDED, Path::new("races.md")));
    }
    (0..DECKS.max(given.len()))
        .map(|number| source(&documents, number, limits, sizes))
        .collect()
}

/// Returns deck number `number`: its document, and the following ones while it is too short.
fn source(
    documents: &[Document],
    number: usize,
    limits: &DeckLimits,
    sizes: &RangeInclusive<usize>,
) -> Result<Source, Failure> {
    let at = |offset: usize| documents.get((number + offset) % documents.len().max(1));
    let first = at(0).ok_or("no document has a slide")?;
    let most = limits.slides.min(*sizes.end());
    let mut slides: Vec<&str> = Vec::new();
    for document in (0..).map_while(at) {
        slides.extend(document.slides.iter().map(String::as_str));
        if slides.len() >= most.min(*sizes.start()) {
            break;
        }
    }
    slides.truncate(most);
    let markdown = slides.join("\n\n---\n\n");
    let title = format!("{} {}", number + 1, first.title);
    let deck = Deck::parse(&title, &markdown, limits)?;
    Ok(Source {
        title: deck.title,
        slides: deck.slides.len(),
        markdown,
    })
}

impl Document {
    /// Reads a document. `None` if it has no slide.
    fn read(text: &str, path: &Path) -> Option<Self> {
        let split = split_document(text);
        let slides = crate::deck::slide_sources(&split);
        let name = path
            .file_stem()
            .map(|name| name.to_string_lossy().into_owned());
        let heading = text.lines().find_map(|line| line.strip_prefix("# "));
        let title = heading
            .map(|text| text.replace(['`', '*', '#'], ""))
            .or(name)?;
        let title = title.trim().chars().take(32).collect();
        (!slides.is_empty()).then_some(Self { title, slides })
    }
}
