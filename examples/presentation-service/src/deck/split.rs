//! Splits an ordinary document into slides.

use super::markdown;
use pulldown_cmark::{Event, Tag};

/// Number of lines after which a slide of a split document is full. A block is not split, so a slide
/// can have more.
const FULL: usize = 16;

/// Splits an ordinary document into slides: before every heading of the first three levels, and
/// between two blocks once a slide is full. Existing separators stay.
#[must_use]
pub fn split_document(document: &str) -> String {
    let mut deck = String::with_capacity(document.len() + document.len() / 8);
    let (mut copied, mut lines, mut depth) = (0, 0, 0_usize);
    for (event, range) in markdown::parser(document) {
        let is_outermost = depth == 0;
        let heading = match &event {
            Event::Start(Tag::Heading { level, .. }) => *level as u8 <= 3,
            _ => false,
        };
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => {
                depth -= 1;
                continue;
            }
            Event::Rule if is_outermost => {
                lines = 0;
                continue;
            }
            _ => {}
        }
        if !is_outermost {
            continue;
        }
        // A heading right below another one stays with it.
        if (heading && lines > 1) || (lines >= FULL) {
            let mark = line_start(document, range.start);
            deck.push_str(&document[copied..mark]);
            deck.push_str("\n---\n\n");
            copied = mark;
            lines = 0;
        }
        let shown = |line: &&str| !line.trim().is_empty();
        lines += document[range].lines().filter(shown).count();
    }
    deck.push_str(&document[copied..]);
    deck
}

/// The start of the line of a block, which can be indented.
fn line_start(document: &str, block: usize) -> usize {
    document[..block]
        .rfind(['\n', '\r'])
        .map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::super::slide_sources;
    use super::*;

    #[test]
    fn documents_are_split_at_headings() {
        let deck = split_document("# T\n\n## A\n\ntext\n\n## B\n\n```\n## not\n```\n");
        let slides = slide_sources(&deck);
        assert_eq!(slides.len(), 2, "{slides:?}");
        assert!(slides[0].contains("# T") && slides[0].contains("## A"));
        assert!(slides[1].contains("## B") && slides[1].contains("## not"));
    }

    #[test]
    fn headings_inside_of_other_blocks_split_nothing() {
        for document in [
            "text\n\nmore\n\n> ## quoted\n\nend\n",
            "text\n\nmore\n\n- ## listed\n",
            "text\n\nmore\n\n<!--\n## commented\n-->\n",
            "text\n\nmore\n\n    ## indented code\n",
        ] {
            assert_eq!(split_document(document), document);
        }
    }

    #[test]
    fn long_sections_are_split_between_blocks() {
        let document = "line\n\n".repeat(FULL * 3);
        let slides = slide_sources(&split_document(&document));
        assert_eq!(slides.len(), 3);
        assert_eq!(slides.concat().matches("line").count(), FULL * 3);
    }

    #[test]
    fn separators_stay() {
        let document = "a\n\n---\n\n# B\n\n***\n\nc\n";
        assert_eq!(split_document(document), document);
    }
}
