//! One slide's Markdown as blocks.

use super::{Block, Span, Style};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Reads the Markdown of one slide. HTML and comments are omitted; an image is replaced by its
/// description.
pub(super) fn blocks(markdown: &str) -> Vec<Block> {
    let mut reader = Reader::default();
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    for event in Parser::new_ext(markdown, options) {
        reader.event(event);
    }
    reader.flush();
    reader.blocks
}

/// Collects text until a block ends.
#[derive(Debug, Default)]
struct Reader {
    blocks: Vec<Block>,
    text: Vec<Span>,
    styles: Vec<Style>,
    heading: Option<u8>,
    quotes: usize,
    /// The open lists, with the next number of an ordered one.
    lists: Vec<Option<u64>>,
    /// The marker of an entry that has no text yet.
    marker: Option<String>,
    code: Option<String>,
    table: Vec<Vec<String>>,
}

impl Reader {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.push(&text, self.styles.last().copied().unwrap_or_default()),
            },
            Event::Code(text) => self.push(&text, Style::Code),
            Event::SoftBreak => self.push(" ", Style::Plain),
            Event::HardBreak => self.push("\n", Style::Plain),
            Event::Rule => {
                self.flush();
                self.blocks.push(Block::Rule);
            }
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match *tag {
            Tag::Heading { level, .. } => {
                self.flush();
                self.heading = Some(level as u8);
            }
            Tag::BlockQuote(_) => {
                self.flush();
                self.quotes += 1;
            }
            Tag::CodeBlock(_) => {
                self.flush();
                self.code = Some(String::new());
            }
            Tag::List(first) => {
                self.flush();
                self.lists.push(first);
            }
            Tag::Item => {
                self.flush();
                self.marker = self.lists.last_mut().map(|list| match list {
                    Some(number) => {
                        *number += 1;
                        format!("{}.", *number - 1)
                    }
                    None => "•".to_owned(),
                });
            }
            Tag::Table(_) => self.flush(),
            Tag::TableHead | Tag::TableRow => self.table.push(Vec::new()),
            Tag::Strong | Tag::Emphasis => self.styles.push(Style::Strong),
            Tag::Link { .. } | Tag::Image { .. } => self.styles.push(Style::Link),
            Tag::Strikethrough => self.styles.push(Style::Plain),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) | TagEnd::Paragraph | TagEnd::Item => self.flush(),
            TagEnd::BlockQuote(_) => {
                self.flush();
                self.quotes -= 1;
            }
            TagEnd::CodeBlock => {
                let code = self.code.take().unwrap_or_default();
                let code = code.trim_end().replace('\t', "    ");
                if !code.is_empty() {
                    self.blocks.push(Block::Code(code));
                }
            }
            TagEnd::List(_) => {
                self.flush();
                self.lists.pop();
            }
            TagEnd::TableCell => {
                let cell = self.text.drain(..).map(|span| span.text).collect();
                if let Some(row) = self.table.last_mut() {
                    row.push(cell);
                }
            }
            TagEnd::Table => {
                let rows = std::mem::take(&mut self.table);
                self.blocks.push(Block::Code(aligned(&rows)));
            }
            TagEnd::Strong
            | TagEnd::Emphasis
            | TagEnd::Link
            | TagEnd::Image
            | TagEnd::Strikethrough => {
                self.styles.pop();
            }
            _ => {}
        }
    }

    fn push(&mut self, text: &str, style: Style) {
        match self.text.last_mut() {
            Some(last) if last.style == style => last.text.push_str(text),
            _ => self.text.push(Span {
                text: text.to_owned(),
                style,
            }),
        }
    }

    /// Ends the current block. A block of white space is dropped.
    fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        let heading = self.heading.take();
        if text.iter().all(|span| span.text.trim().is_empty()) {
            return;
        }
        self.blocks.push(if let Some(level) = heading {
            Block::Heading { level, text }
        } else if self.lists.is_empty() {
            let quoted = self.quotes > 0;
            Block::Paragraph { text, quoted }
        } else {
            let depth = self.lists.len();
            let marker = self.marker.take().unwrap_or_default();
            Block::Item {
                depth,
                marker,
                text,
            }
        });
    }
}

/// Returns a table as text of equal widths: the columns padded, and a line below the head.
fn aligned(rows: &[Vec<String>]) -> String {
    /// Wider cells are truncated, because the table must fit on a slide.
    const WIDEST: usize = 44;
    let cut = |cell: &String| -> String {
        if cell.chars().count() <= WIDEST {
            return cell.clone();
        }
        cell.chars().take(WIDEST - 1).chain(['…']).collect()
    };
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(cut).collect())
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut lines = Vec::with_capacity(rows.len() + 1);
    for row in &rows {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, &width)| format!("{cell:width$}"))
            .collect();
        lines.push(cells.join("   ").trim_end().to_owned());
    }
    let rule: usize = widths.iter().sum::<usize>() + 3 * columns.saturating_sub(1);
    lines.insert(1.min(lines.len()), "─".repeat(rule));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    use Style::{Code, Link, Plain, Strong};

    fn plain(text: &str) -> Vec<Span> {
        let style = Style::Plain;
        let text = text.to_owned();
        vec![Span { text, style }]
    }

    #[test]
    fn headings_paragraphs_and_code_are_distinguished() {
        let read = blocks("## Head\n\nOne\ntwo\n\n```rust\nfn\tmain() {}\n\n```\n");
        let expected = vec![
            Block::Heading {
                level: 2,
                text: plain("Head"),
            },
            Block::Paragraph {
                text: plain("One two"),
                quoted: false,
            },
            Block::Code("fn    main() {}".to_owned()),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn lists_keep_their_depth_and_numbers() {
        let read = blocks("3. a\n4. b\n   - c\n\n     more\n");
        let items: Vec<(usize, &str)> = read
            .iter()
            .map(|block| match block {
                Block::Item { depth, marker, .. } => (*depth, marker.as_str()),
                other => panic!("not an item: {other:?}"),
            })
            .collect();
        assert_eq!(items, [(1, "3."), (1, "4."), (2, "•"), (2, "")]);
    }

    #[test]
    fn styles_split_the_text() {
        let [Block::Paragraph { text, .. }] = &blocks("a **b** `c` [d](https://e.example)")[..]
        else {
            panic!("one paragraph");
        };
        let styles: Vec<Style> = text.iter().map(|span| span.style).collect();
        assert_eq!(styles, [Plain, Strong, Plain, Code, Plain, Link]);
    }

    #[test]
    fn quotes_are_marked_and_html_is_left_out() {
        let read = blocks("> said\n\n<div>html</div>\n\n***\n");
        let quoted = true;
        let text = plain("said");
        assert_eq!(read, [Block::Paragraph { text, quoted }, Block::Rule]);
    }

    #[test]
    fn tables_are_set_as_aligned_text() {
        let read = blocks("| a | long |\n|---|---|\n| wide cell | b |\n");
        let table = "a           long\n────────────────\nwide cell   b";
        assert_eq!(read, [Block::Code(table.to_owned())]);
    }
}
