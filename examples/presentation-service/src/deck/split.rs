//! Splits a deck into slides, by lines and before Markdown is parsed. For Markdown, a `---` below a
//! paragraph makes a heading; for a deck, it always ends the slide.

/// Number of lines after which a slide of a split document is full. The painter shrinks longer
/// ones.
const FULL: usize = 16;

/// Tracks which lines of a document are inside a fenced code block.
#[derive(Debug, Default)]
struct Fences {
    open: Option<(char, usize)>,
}

impl Fences {
    /// Takes the next line. Returns whether it belongs to a fenced block, including the fences.
    fn inside(&mut self, line: &str) -> bool {
        let fence = fence(line);
        match (self.open, fence) {
            (None, Some((mark, length, info))) => {
                // An info string with a backtick makes it inline code, not a fence.
                if mark == '`' && info.contains('`') {
                    return false;
                }
                self.open = Some((mark, length));
                true
            }
            (None, None) => false,
            (Some(open), Some((mark, length, info))) => {
                if mark == open.0 && length >= open.1 && info.trim().is_empty() {
                    self.open = None;
                }
                true
            }
            (Some(_), None) => true,
        }
    }
}

/// The mark, its length and the rest of a line that may open or close a fenced code block.
fn fence(line: &str) -> Option<(char, usize, &str)> {
    let text = unindent(line)?;
    let mark = text.chars().next().filter(|mark| "`~".contains(*mark))?;
    let info = text.trim_start_matches(mark);
    let length = text.len() - info.len();
    (length >= 3).then_some((mark, length, info))
}

/// The line without up to three leading spaces; more would make it indented code.
fn unindent(line: &str) -> Option<&str> {
    let text = line.trim_start_matches(' ');
    (line.len() - text.len() <= 3).then_some(text)
}

fn is_separator(line: &str) -> bool {
    unindent(line).is_some_and(|text| text.trim_end() == "---")
}

/// The parts of a deck between its separators.
pub(super) fn slides(markdown: &str) -> Vec<&str> {
    let mut slides = Vec::new();
    let mut fences = Fences::default();
    let (mut start, mut at) = (0, 0);
    for line in markdown.split_inclusive('\n') {
        if !fences.inside(line.trim_end()) && is_separator(line) {
            slides.push(&markdown[start..at]);
            start = at + line.len();
        }
        at += line.len();
    }
    slides.push(&markdown[start..]);
    slides
}

/// Splits an ordinary document into slides: at every heading of the first three levels, and at a
/// blank line once a slide is full. Existing separators stay.
#[must_use]
pub fn split_document(markdown: &str) -> String {
    let mut deck = String::with_capacity(markdown.len() + markdown.len() / 8);
    let mut fences = Fences::default();
    let mut lines = 0;
    for line in markdown.lines() {
        if fences.inside(line) {
            lines += 1;
        } else if is_separator(line) {
            lines = 0;
        } else {
            let heading = ["# ", "## ", "### "]
                .iter()
                .any(|mark| line.starts_with(mark));
            let full = lines >= FULL && line.trim().is_empty();
            // A heading right below another one stays with it.
            if full || (heading && lines > 1) {
                deck.push_str("\n---\n\n");
                lines = 0;
            }
            lines += usize::from(!line.trim().is_empty());
        }
        deck.push_str(line);
        deck.push('\n');
    }
    deck
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_three_dashes_separates() {
        assert_eq!(slides("a\n---\nb\r\n---\r\nc"), ["a\n", "b\r\n", "c"]);
        assert_eq!(slides("a\n   ---  \nb"), ["a\n", "b"]);
    }

    #[test]
    fn other_dashes_do_not_separate() {
        for markdown in [
            "a\n----\nb",
            "a\n- - -\nb",
            "a\n--- x\nb",
            "a\n\n    ---\nb",
            "a---b",
        ] {
            assert_eq!(slides(markdown), [markdown]);
        }
    }

    #[test]
    fn separators_inside_fences_are_code() {
        for markdown in [
            "```\n---\n```\n",
            "~~~yaml\n---\nkey: value\n---\n~~~\n",
            "````\n```\n---\n````\n",
            "```\n~~~\n---\n```\n",
            "  ```\n---\n  ```\n",
            "``` never closed\n---\n",
            "```\n--- \n``` not a closing fence\n---\n```\n",
        ] {
            assert_eq!(slides(markdown), [markdown]);
        }
    }

    #[test]
    fn a_closed_fence_is_over() {
        assert_eq!(slides("```\nx\n```\n---\nb"), ["```\nx\n```\n", "b"]);
        assert_eq!(slides("``` a`b ```\n---\nb"), ["``` a`b ```\n", "b"]);
    }

    #[test]
    fn nothing_is_lost_between_the_slides() {
        let markdown = "a\n\n---\n```\n---\n```\n---\nїжак\n";
        assert_eq!(slides(markdown).join("---\n"), markdown);
    }

    #[test]
    fn documents_are_split_at_headings() {
        let deck = split_document("# T\n\n## A\n\ntext\n\n## B\n\n```\n## not\n```\n");
        let slides = slides(&deck);
        assert_eq!(slides.len(), 2, "{slides:?}");
        assert!(slides[0].contains("# T") && slides[0].contains("## A"));
        assert!(slides[1].contains("## B") && slides[1].contains("## not"));
    }

    #[test]
    fn long_sections_are_split_at_blank_lines() {
        let deck = split_document(&"line\n\n".repeat(FULL * 3));
        assert_eq!(
            slides(&deck).len(),
            3 + 1,
            "three full slides and the blank after the last"
        );
    }
}
