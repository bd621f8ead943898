//! The Markdown of a deck as slides of blocks.

use super::{Alignment, Block, Content, Kind, Span, Style, Table, front_matter, html, is_visible};
use pulldown_cmark::{BlockQuoteKind, CowStr, Event, OffsetIter, Options, Parser, Tag, TagEnd};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Text that a footnote has at least in a slide's sum. It bounds the number of empty notes.
const LEAST_NOTE: usize = 16;

/// Number of settings of a slide that a warning names.
const MOST_SETTINGS: usize = 20;

/// The part of a deck between two separators.
#[derive(Debug)]
pub(super) struct Draft {
    /// The blocks of the slide. Empty if there is nothing to show.
    pub(super) blocks: Vec<Block>,
    /// Its Markdown.
    pub(super) source: Range<usize>,
    /// Bytes of its Markdown or, if that is more, of text in its notes.
    pub(super) bytes: usize,
}

/// Parses Markdown with every extension that decks use.
pub(super) fn parser(markdown: &str) -> OffsetIter<'_> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_MATH
        | Options::ENABLE_GFM
        | Options::ENABLE_DEFINITION_LIST;
    Parser::new_ext(markdown, options).into_offset_iter()
}

/// Reads a deck without its front matter. A slide with notes of more than `note_bytes` is not
/// completed. Parts that are not shown are named in `warnings`.
pub(super) fn read(markdown: &str, note_bytes: usize, warnings: &mut Vec<String>) -> Vec<Draft> {
    let mut reader = Reader::new(markdown, warnings);
    let mut depth = 0_usize;
    let mut events = parser(markdown).peekable();
    // A citation can come before the definition.
    let labels = parser(markdown).filter_map(|(event, _)| match event {
        Event::Start(Tag::FootnoteDefinition(label)) => Some(label.into_string()),
        _ => None,
    });
    reader.defined = labels.collect();
    while let Some((event, range)) = events.next() {
        match &event {
            Event::Rule if depth == 0 => {
                reader.end_slide(range.clone());
                let settings = settings(markdown, range.end, events.peek());
                if let Some(settings) = settings {
                    reader.skip_settings(&settings);
                    for (event, _) in events.by_ref() {
                        if matches!(event, Event::End(TagEnd::Heading(_))) {
                            break;
                        }
                    }
                }
                continue;
            }
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            _ => {}
        }
        reader.event(event, range);
    }
    reader.end_slide(markdown.len()..markdown.len());
    reader.finish(note_bytes)
}

/// The settings of a slide as Slidev writes them, which Markdown takes for a heading: entries right
/// below the separator, and a line of dashes below them. Returns their range.
fn settings(
    markdown: &str,
    rule_end: usize,
    next: Option<&(Event<'_>, Range<usize>)>,
) -> Option<Range<usize>> {
    let Some((Event::Start(Tag::Heading { .. }), range)) = next else {
        return None;
    };
    let adjacent = markdown[rule_end..range.start].matches('\n').count() <= 1
        && markdown[rule_end..range.start].trim().is_empty();
    let source = markdown[range.clone()].trim_end();
    let (entries, underline) = source.rsplit_once('\n')?;
    let is_setting = |line: &str| {
        line.starts_with(|c: char| c.is_ascii_lowercase()) && front_matter::is_entry(line)
    };
    let all = underline.trim() == "---" && entries.lines().all(is_setting);
    (adjacent && all).then(|| range.clone())
}

/// A piece of running text.
#[derive(Debug)]
enum Piece {
    Text(Span),
    Image { text: Vec<Span>, file: String },
}

/// The containers and blocks of a slide or a footnote.
#[derive(Debug, Default)]
struct Part {
    blocks: Vec<Block>,
    /// The labels of the notes that it cites, in order.
    cites: Vec<String>,
    quotes: usize,
    /// The open lists, with the next number of an ordered one.
    lists: Vec<Option<u64>>,
}

/// A footnote and the number of the slide that defines it.
#[derive(Debug)]
struct Note {
    part: Part,
    slide: usize,
}

/// Numbers of open elements.
#[derive(Debug, Default, Clone, Copy)]
struct Open {
    strong: usize,
    emphasised: usize,
    struck: usize,
    link: usize,
    code: usize,
    preformatted: usize,
    raised: usize,
    lowered: usize,
}

/// Collects text until a block ends.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    markdown: &'a str,
    warnings: &'a mut Vec<String>,
    /// The ended slides.
    drafts: Vec<(Part, Range<usize>)>,
    /// Number of ended slides that show anything.
    shown: usize,
    /// The names of the current slide's settings.
    settings: Vec<&'a str>,
    /// Where the current slide begins.
    start: usize,
    part: Part,
    /// The parts around the open footnotes.
    outside: Vec<Part>,
    labels: Vec<String>,
    notes: HashMap<String, Note>,
    /// The order of the definitions.
    order: Vec<String>,
    /// The labels that the deck defines.
    defined: HashSet<String>,
    numbers: HashMap<String, usize>,
    pieces: Vec<Piece>,
    open: Open,
    /// Inline HTML is often not closed, so it ends with its block.
    html: Open,
    heading: Option<u8>,
    /// Text at the end of the heading that the parser took for an attribute.
    heading_suffix: Option<String>,
    /// The marker of an entry that has no block yet.
    marker: Option<String>,
    code: Option<String>,
    /// The lines of an HTML block.
    html_block: Option<String>,
    /// The text outside of an image whose description is being read.
    image: Option<(Vec<Piece>, String)>,
    /// Images that stand inside of another image's description.
    images: usize,
    table: Option<Table>,
    /// A line break in the Markdown, which is a space unless it is between two ideographs.
    soft_break: bool,
}

impl<'a> Reader<'a> {
    fn new(markdown: &'a str, warnings: &'a mut Vec<String>) -> Self {
        Self {
            markdown,
            warnings,
            drafts: Vec::new(),
            shown: 0,
            settings: Vec::new(),
            start: 0,
            part: Part::default(),
            outside: Vec::new(),
            labels: Vec::new(),
            notes: HashMap::new(),
            order: Vec::new(),
            defined: HashSet::new(),
            numbers: HashMap::new(),
            pieces: Vec::new(),
            open: Open::default(),
            html: Open::default(),
            heading: None,
            heading_suffix: None,
            marker: None,
            code: None,
            html_block: None,
            image: None,
            images: 0,
            table: None,
            soft_break: false,
        }
    }

    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.push(&text),
            },
            Event::Code(text) => self.push_code(&text),
            // A formula is shown as it was written: two amounts in dollars look like one.
            Event::InlineMath(text) => self.push_code(&format!("${text}$")),
            Event::DisplayMath(text) => self.push_code(&format!("$${text}$$")),
            Event::Html(text) => match &mut self.html_block {
                Some(block) => block.push_str(&text),
                None => html::read(self, &text),
            },
            Event::InlineHtml(text) => html::read(self, &text),
            Event::FootnoteReference(label) => self.cite(&label),
            Event::SoftBreak => self.soft_break = true,
            Event::HardBreak => self.line_break(),
            Event::Rule => self.rule(),
            Event::TaskListMarker(done) => {
                let marker = self.marker.get_or_insert_default();
                // The box replaces a bullet and stands beside a number.
                let number = marker.trim_end_matches('•').to_owned();
                let space = if number.is_empty() { "" } else { " " };
                *marker = format!("{number}{space}{}", if done { '☑' } else { '☐' });
            }
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Heading {
                level,
                id,
                classes,
                attrs,
            } => {
                self.begin_heading(level as u8);
                // Words in braces are attributes for the parser. They are text if there is no other
                // sign of attributes.
                if id.is_none()
                    && classes.is_empty()
                    && attrs.iter().all(|(_, value)| value.is_none())
                {
                    self.heading_suffix = braces(&self.markdown[range]);
                }
            }
            Tag::BlockQuote(kind) => {
                self.flush();
                self.part.quotes += 1;
                if let Some(kind) = kind {
                    self.open.strong += 1;
                    self.push(alert(kind));
                    self.flush();
                    self.open.strong -= 1;
                }
            }
            Tag::CodeBlock(_) => {
                self.flush();
                self.code = Some(String::new());
            }
            Tag::HtmlBlock => {
                self.flush();
                self.html_block = Some(String::new());
            }
            Tag::List(first) => {
                self.flush();
                self.part.lists.push(first);
            }
            Tag::Item => {
                self.flush();
                self.marker = self.part.lists.last_mut().map(|list| match list {
                    Some(number) => {
                        *number += 1;
                        format!("{}.", *number - 1)
                    }
                    None => "•".to_owned(),
                });
            }
            Tag::FootnoteDefinition(label) => {
                self.flush();
                self.outside.push(std::mem::take(&mut self.part));
                self.labels.push(label.into_string());
            }
            Tag::DefinitionListTitle => {
                self.flush();
                self.open.strong += 1;
            }
            Tag::DefinitionListDefinition => {
                self.flush();
                self.part.lists.push(None);
            }
            Tag::Table(columns) => {
                self.flush();
                let columns = columns.into_iter().map(alignment).collect();
                let rows = Vec::new();
                self.table = Some(Table { columns, rows });
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.rows.push(Vec::new());
                }
            }
            Tag::Strong => self.open.strong += 1,
            Tag::Emphasis => self.open.emphasised += 1,
            Tag::Strikethrough => self.open.struck += 1,
            Tag::Link { .. } => self.open.link += 1,
            Tag::Image { dest_url, .. } => self.begin_image(&dest_url),
            Tag::Paragraph => self.flush(),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                if let Some(suffix) = self.heading_suffix.take() {
                    self.append(&suffix);
                }
                self.flush();
            }
            TagEnd::Paragraph => self.flush(),
            TagEnd::Item => {
                self.flush();
                self.marker = None;
            }
            TagEnd::BlockQuote(_) => {
                self.flush();
                self.part.quotes -= 1;
            }
            TagEnd::CodeBlock => {
                let code = self.code.take().unwrap_or_default();
                let code = code.trim_end().replace('\t', "    ");
                if is_visible(&code) {
                    self.block(Content::Code(code));
                }
            }
            TagEnd::HtmlBlock => {
                let source = self.html_block.take().unwrap_or_default();
                html::read(self, &source);
                self.flush();
            }
            TagEnd::List(_) | TagEnd::DefinitionListDefinition => {
                self.flush();
                self.part.lists.pop();
            }
            TagEnd::FootnoteDefinition => self.end_note(),
            TagEnd::DefinitionListTitle => {
                self.flush();
                self.open.strong -= 1;
            }
            TagEnd::TableCell => {
                let cell = self.take_text();
                if let Some(row) = self.table.as_mut().and_then(|table| table.rows.last_mut()) {
                    row.push(cell);
                }
            }
            TagEnd::Table => {
                if let Some(mut table) = self.table.take() {
                    let columns = table.columns.len();
                    for row in &mut table.rows {
                        row.resize_with(columns, Vec::new);
                    }
                    self.block(Content::Table(table));
                }
            }
            TagEnd::Strong => self.open.strong -= 1,
            TagEnd::Emphasis => self.open.emphasised -= 1,
            TagEnd::Strikethrough => self.open.struck -= 1,
            TagEnd::Link => self.open.link -= 1,
            TagEnd::Image => self.end_image(),
            _ => {}
        }
    }

    fn style(&self) -> Style {
        let both = |count: fn(&Open) -> usize| count(&self.open) + count(&self.html) > 0;
        Style {
            kind: if both(|open| open.code) {
                Kind::Code
            } else if both(|open| open.link) {
                Kind::Link
            } else {
                Kind::Plain
            },
            strong: both(|open| open.strong),
            emphasised: both(|open| open.emphasised),
            struck: both(|open| open.struck),
        }
    }

    fn push(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let before = match self.pieces.last() {
            Some(Piece::Text(span)) => span.text.chars().next_back(),
            _ => None,
        };
        if std::mem::take(&mut self.soft_break) {
            let ideographs = before.is_some_and(is_ideograph) && text.starts_with(is_ideograph);
            if !ideographs && before != Some('\n') {
                self.append(" ");
            }
        }
        // Where a comment or a tag was, two spaces meet.
        let text = match self.pieces.last() {
            Some(Piece::Text(span)) if span.text.ends_with([' ', '\n']) => {
                text.trim_start_matches(' ')
            }
            _ => text,
        };
        let digits = match (self.html.raised, self.html.lowered) {
            (0, 0) => None,
            (0, _) => shifted(text, &LOWERED),
            _ => shifted(text, &RAISED),
        };
        self.append(digits.as_deref().unwrap_or(text));
    }

    fn append(&mut self, text: &str) {
        let style = self.style();
        match self.pieces.last_mut() {
            Some(Piece::Text(last)) if last.style == style => last.text.push_str(text),
            _ => self.pieces.push(Piece::Text(Span {
                text: text.to_owned(),
                style,
            })),
        }
    }

    fn push_code(&mut self, text: &str) {
        self.open.code += 1;
        self.push(text);
        self.open.code -= 1;
    }

    /// Adds text of HTML, where white space is one space.
    pub(super) fn html_text(&mut self, text: &str) {
        if self.html.preformatted > 0 {
            self.soft_break = false;
            self.append(text);
            return;
        }
        let mut words = text.split_whitespace();
        if text.starts_with(char::is_whitespace) {
            self.soft_break = true;
        }
        if let Some(first) = words.next() {
            self.push(first);
        }
        for word in words {
            self.soft_break = true;
            self.push(word);
        }
        if text.ends_with(char::is_whitespace) {
            self.soft_break = true;
        }
    }

    /// Begins a line inside of the same block.
    pub(super) fn line_break(&mut self) {
        self.soft_break = false;
        self.append("\n");
    }

    /// Adds a rule that separates no slides.
    pub(super) fn rule(&mut self) {
        self.flush();
        self.block(Content::Rule);
    }

    /// Begins a heading.
    pub(super) fn begin_heading(&mut self, level: u8) {
        self.flush();
        self.heading = Some(level);
    }

    /// Begins an entry of a list in HTML.
    pub(super) fn begin_html_item(&mut self) {
        self.marker = Some("•".to_owned());
    }

    /// Separates two cells of a table in HTML, which is shown as running text.
    pub(super) fn cell_gap(&mut self) {
        if !self.pieces.is_empty() {
            self.append(" \u{2003}");
        }
    }

    /// Opens or closes an element of HTML that affects the style of text.
    pub(super) fn html_style(&mut self, name: &str, opens: bool) {
        let open = &mut self.html;
        let count = match name {
            "b" | "strong" | "summary" | "th" | "dt" => &mut open.strong,
            "i" | "em" | "cite" | "var" | "dfn" => &mut open.emphasised,
            "s" | "del" | "strike" => &mut open.struck,
            "a" => &mut open.link,
            "code" | "kbd" | "samp" | "tt" => &mut open.code,
            "pre" => &mut open.preformatted,
            "sup" => &mut open.raised,
            "sub" => &mut open.lowered,
            _ => return,
        };
        *count = if opens {
            *count + 1
        } else {
            count.saturating_sub(1)
        };
    }

    /// Adds an image of HTML.
    pub(super) fn image(&mut self, alternative: &str, address: &str) {
        self.begin_image(address);
        self.html_text(alternative);
        self.end_image();
    }

    fn begin_image(&mut self, address: &str) {
        if self.image.is_some() {
            self.images += 1;
            return;
        }
        // The break is before the image, not inside of it.
        if std::mem::take(&mut self.soft_break) {
            self.append(" ");
        }
        let file = file_name(address);
        self.image = Some((std::mem::take(&mut self.pieces), file));
    }

    fn end_image(&mut self) {
        if self.images > 0 {
            self.images -= 1;
            return;
        }
        let Some((outside, file)) = self.image.take() else {
            return;
        };
        self.soft_break = false;
        let text = flattened(std::mem::replace(&mut self.pieces, outside));
        self.pieces.push(Piece::Image { text, file });
    }

    /// Warns of a comment without an end, behind which nothing is shown.
    pub(super) fn warn_of_open_comment(&mut self) {
        let slide = self.slide();
        self.warnings.push(format!(
            "A comment on slide {slide} has no end (`-->`), and the text after it is not shown."
        ));
    }

    /// Notes the settings of the next slide that is shown.
    fn skip_settings(&mut self, source: &Range<usize>) {
        for line in self.markdown[source.clone()].lines() {
            let key = line.split_once(':').map(|(key, _)| key);
            let new = key.filter(|key| !self.settings.contains(key));
            // A slide has a few of them.
            if self.settings.len() < MOST_SETTINGS {
                self.settings.extend(new);
            }
        }
    }

    /// The number of the slide that is being read, counted like the slides that are shown.
    fn slide(&self) -> usize {
        self.shown + 1
    }

    fn cite(&mut self, label: &CowStr<'_>) {
        if !self.defined.contains(&**label) {
            self.push(&format!("[^{label}]"));
            return;
        }
        let number = self.number(label);
        // The sign belongs to the word before it.
        self.soft_break = false;
        self.append(&superscript(number));
        self.part.cites.push(label.to_string());
    }

    /// The number of a note. Notes are numbered in the order of their first citation.
    fn number(&mut self, label: &str) -> usize {
        let next = self.numbers.len() + 1;
        *self.numbers.entry(label.to_owned()).or_insert(next)
    }

    fn end_note(&mut self) {
        self.flush();
        let outside = self.outside.pop().unwrap_or_default();
        let part = std::mem::replace(&mut self.part, outside);
        let slide = self.drafts.len();
        if let Some(label) = self.labels.pop() {
            self.order.push(label.clone());
            self.notes.entry(label).or_insert(Note { part, slide });
        }
    }

    /// The text of the pieces, without white space around it. Empty if nothing is visible.
    fn take_text(&mut self) -> Vec<Span> {
        self.soft_break = false;
        let mut text = flattened(std::mem::take(&mut self.pieces));
        if !text.iter().any(|span| is_visible(&span.text)) {
            return Vec::new();
        }
        while let Some(first) = text.first_mut() {
            let trimmed = first.text.trim_start();
            if !trimmed.is_empty() {
                first.text = trimmed.to_owned();
                break;
            }
            text.remove(0);
        }
        while let Some(last) = text.last_mut() {
            last.text.truncate(last.text.trim_end().len());
            if !last.text.is_empty() {
                break;
            }
            text.pop();
        }
        text
    }

    /// Ends the current block. A block without visible text is dropped.
    pub(super) fn flush(&mut self) {
        self.html = Open::default();
        if self.image.is_some() {
            return;
        }
        let heading = self.heading.take();
        let blank = |piece: &Piece| match piece {
            Piece::Text(span) => !is_visible(&span.text),
            Piece::Image { .. } => false,
        };
        let mut shown = self.pieces.iter().filter(|piece| !blank(piece));
        if heading.is_none()
            && matches!(
                (shown.next(), shown.next()),
                (Some(Piece::Image { .. }), None)
            )
        {
            self.soft_break = false;
            for piece in std::mem::take(&mut self.pieces) {
                if let Piece::Image { text, file } = piece {
                    self.block(Content::Image { text, file });
                }
            }
            return;
        }
        let text = self.take_text();
        if text.is_empty() {
            return;
        }
        self.block(match heading {
            Some(level) => Content::Heading { level, text },
            None => Content::Text(text),
        });
    }

    fn block(&mut self, content: Content) {
        self.part.blocks.push(Block {
            quotes: self.part.quotes,
            depth: self.part.lists.len(),
            marker: self.marker.take().unwrap_or_default(),
            note: false,
            content,
        });
    }

    fn end_slide(&mut self, rule: Range<usize>) {
        self.flush();
        let source = self.start..rule.start;
        self.start = rule.end;
        if !self.part.blocks.is_empty() {
            if !self.settings.is_empty() {
                let keys = std::mem::take(&mut self.settings).join(", ");
                let slide = self.slide();
                self.warnings.push(format!(
                    "The settings above slide {slide} have no effect and are not shown: {keys}."
                ));
            }
            self.shown += 1;
        }
        self.drafts.push((std::mem::take(&mut self.part), source));
    }

    /// Adds the notes to the slides that cite them. A note that no slide cites is on the slide that
    /// defines it.
    fn finish(mut self, note_bytes: usize) -> Vec<Draft> {
        for label in std::mem::take(&mut self.order) {
            if !self.numbers.contains_key(&label) {
                self.number(&label);
                if let Some(note) = self.notes.get(&label) {
                    self.drafts[note.slide].0.cites.push(label);
                }
            }
        }
        let (notes, numbers) = (self.notes, self.numbers);
        let completed = |(part, source): (Part, Range<usize>)| {
            let Part {
                mut blocks,
                mut cites,
                ..
            } = part;
            let mut bytes = source.len();
            let (mut seen, mut at, mut cited) = (HashSet::new(), 0, 0);
            // A note may cite further notes.
            while let Some(label) = cites.get(at).cloned() {
                at += 1;
                let Some(note) = notes.get(&label) else {
                    continue;
                };
                if !seen.insert(label.clone()) {
                    continue;
                }
                cited += LEAST_NOTE + note.part.blocks.iter().map(text_bytes).sum::<usize>();
                if cited > note_bytes {
                    bytes = bytes.max(cited);
                    break;
                }
                cites.extend_from_slice(&note.part.cites);
                let first = blocks.len();
                blocks.extend(note.part.blocks.iter().cloned().map(|block| Block {
                    note: true,
                    ..block
                }));
                if let Some(block) = blocks.get_mut(first) {
                    let number = superscript(numbers[&label]);
                    block.marker = format!("{number}{}", block.marker);
                }
            }
            Draft {
                blocks,
                source,
                bytes,
            }
        };
        self.drafts.into_iter().map(completed).collect()
    }
}

/// The braces at the end of a heading's source.
fn braces(source: &str) -> Option<String> {
    let line = source.trim_end().trim_end_matches('#').trim_end();
    let line = line.lines().find(|line| line.trim_end().ends_with('}'))?;
    Some(format!(" {}", line[line.rfind('{')?..].trim_end()))
}

/// The label of an alert.
fn alert(kind: BlockQuoteKind) -> &'static str {
    match kind {
        BlockQuoteKind::Note => "Note",
        BlockQuoteKind::Tip => "Tip",
        BlockQuoteKind::Important => "Important",
        BlockQuoteKind::Warning => "Warning",
        BlockQuoteKind::Caution => "Caution",
    }
}

fn alignment(column: pulldown_cmark::Alignment) -> Alignment {
    match column {
        pulldown_cmark::Alignment::None => Alignment::Natural,
        pulldown_cmark::Alignment::Left => Alignment::Left,
        pulldown_cmark::Alignment::Center => Alignment::Centre,
        pulldown_cmark::Alignment::Right => Alignment::Right,
    }
}

/// The last part of an address, if it names a file.
fn file_name(address: &str) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_data = address.starts_with("data:");
    if is_data || !name.contains('.') {
        String::new()
    } else {
        name.to_owned()
    }
}

/// Pieces as running text: images are replaced by their descriptions, apart from each other.
fn flattened(pieces: Vec<Piece>) -> Vec<Span> {
    let mut spans = Vec::with_capacity(pieces.len());
    let mut after_image = false;
    for piece in pieces {
        match piece {
            Piece::Text(span) => {
                spans.push(span);
                after_image = false;
            }
            Piece::Image { mut text, file } => {
                if text.is_empty() && !file.is_empty() {
                    let style = Style {
                        emphasised: true,
                        ..Style::default()
                    };
                    text.push(Span { text: file, style });
                }
                if after_image {
                    let style = Style::default();
                    spans.push(Span {
                        text: " ".to_owned(),
                        style,
                    });
                }
                spans.append(&mut text);
                after_image = true;
            }
        }
    }
    spans
}

/// Bytes of text in a block.
fn text_bytes(block: &Block) -> usize {
    let spans = |text: &[Span]| text.iter().map(|span| span.text.len()).sum::<usize>();
    LEAST_NOTE
        + match &block.content {
            Content::Heading { text, .. } | Content::Text(text) | Content::Image { text, .. } => {
                spans(text)
            }
            Content::Code(code) => code.len(),
            Content::Table(table) => table
                .rows
                .iter()
                .flatten()
                .map(|cell| LEAST_NOTE + spans(cell))
                .sum(),
            Content::Rule => 0,
        }
}

const RAISED: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
const LOWERED: [char; 10] = ['₀', '₁', '₂', '₃', '₄', '₅', '₆', '₇', '₈', '₉'];

/// A number in small raised digits.
fn superscript(number: usize) -> String {
    shifted(&number.to_string(), &RAISED).unwrap_or_default()
}

/// A number in other digits. `None` if the text is not only digits.
fn shifted(text: &str, digits: &[char; 10]) -> Option<String> {
    let digit = |c: char| Some(digits[c.to_digit(10)? as usize]);
    text.chars().map(digit).collect()
}

/// Whether a character is of a script that is written without spaces between words.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ff60}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slides(markdown: &str) -> Vec<Vec<Block>> {
        let mut warnings = Vec::new();
        let drafts = read(markdown, usize::MAX, &mut warnings);
        assert_eq!(warnings, [""; 0]);
        drafts.into_iter().map(|draft| draft.blocks).collect()
    }

    /// The blocks of a deck of one slide.
    fn blocks(markdown: &str) -> Vec<Block> {
        let [blocks] = slides(markdown).try_into().expect("one slide");
        blocks
    }

    /// The text of each block, behind its marker.
    fn texts(blocks: &[Block]) -> Vec<String> {
        blocks
            .iter()
            .map(|block| {
                let text = match &block.content {
                    Content::Heading { text, .. }
                    | Content::Text(text)
                    | Content::Image { text, .. } => plain(text),
                    Content::Code(code) => code.clone(),
                    Content::Table(table) => {
                        let rows = table.rows.iter();
                        let cells = |row: &Vec<Vec<Span>>| {
                            row.iter()
                                .map(|cell| plain(cell))
                                .collect::<Vec<_>>()
                                .join("|")
                        };
                        rows.map(cells).collect::<Vec<_>>().join("/")
                    }
                    Content::Rule => "(rule)".to_owned(),
                };
                format!("{}{text}", block.marker)
            })
            .collect()
    }

    fn plain(text: &[Span]) -> String {
        text.iter().map(|span| &*span.text).collect()
    }

    /// The spans of a deck of one paragraph.
    fn spans(markdown: &str) -> Vec<(String, Style)> {
        match &blocks(markdown)[..] {
            [
                Block {
                    content: Content::Text(text),
                    ..
                },
            ] => text
                .iter()
                .map(|span| (span.text.clone(), span.style))
                .collect(),
            other => panic!("not one paragraph: {other:?}"),
        }
    }

    #[test]
    fn rules_at_the_top_level_separate() {
        for rule in ["---", "***", "___", "- - -", "   ---  ", "-----"] {
            let slides = slides(&format!("a\n\n{rule}\nb\n\n{rule}\n\nc"));
            let slides: Vec<_> = slides.iter().map(|slide| texts(slide)).collect();
            assert_eq!(slides, [["a"], ["b"], ["c"]], "{rule}");
        }
    }

    #[test]
    fn other_dashes_separate_nothing() {
        for markdown in [
            "a\n---\n",
            "a\n\n--- x\n",
            "a\n\n    ---\n",
            "```\n---\n```\n",
            "~~~yaml\n---\nkey: value\n---\n~~~\n",
            "````\n```\n---\n````\n",
            "  ```\n---\n  ```\n",
            "``` never closed\n---\n",
            "```\n--- \n``` not a closing fence\n---\n```\n",
            "- a\n\n  ---\n\n  b\n",
            "1. ```\n   ---\n   ```\n",
            "- ```\n  ---\n  ```\n\n  b\n",
            "> a\n>\n> ---\n>\n> b\n",
            "<!--\n\n---\n\n-->\na\n",
            "<pre>\n\n---\n\n</pre>\n",
            "a[^1]\n\n[^1]: note\n\n    ---\n",
            "| a |\n|---|\n| --- |\n",
        ] {
            assert_eq!(slides(markdown).len(), 1, "{markdown}");
        }
    }

    #[test]
    fn a_heading_with_an_underline_is_a_heading() {
        let read = blocks("Title\n---\n\nText\n");
        assert!(matches!(read[0].content, Content::Heading { level: 2, .. }));
        assert_eq!(texts(&read), ["Title", "Text"]);
    }

    #[test]
    fn headings_paragraphs_and_code_are_distinguished() {
        let read = blocks("## Head\n\nOne\ntwo\n\n```rust\nfn\tmain() {}\n\n```\n");
        assert!(matches!(read[0].content, Content::Heading { level: 2, .. }));
        assert!(matches!(read[1].content, Content::Text(_)));
        assert!(matches!(read[2].content, Content::Code(_)));
        assert_eq!(texts(&read), ["Head", "One two", "fn    main() {}"]);
    }

    #[test]
    fn lists_keep_their_depth_and_numbers() {
        let read = blocks("3. a\n4. b\n   - c\n\n     more\n     - d\n5. ```\n   code\n   ```\n");
        let places: Vec<usize> = read.iter().map(|block| block.depth).collect();
        assert_eq!(places, [1, 1, 2, 2, 3, 1]);
        assert_eq!(texts(&read), ["3.a", "4.b", "•c", "more", "•d", "5.code"]);
    }

    #[test]
    fn tasks_have_boxes() {
        let read = blocks("- [x] done\n- [ ] open\n- plain\n\n1. [ ] first\n");
        assert_eq!(texts(&read), ["☑done", "☐open", "•plain", "1. ☐first"]);
    }

    #[test]
    fn an_empty_entry_gives_its_marker_to_no_other_block() {
        assert_eq!(texts(&blocks("-\n\ntext\n")), ["text"]);
    }

    #[test]
    fn styles_split_the_text() {
        let plain = Style::default();
        let strong = Style {
            strong: true,
            ..plain
        };
        let emphasised = Style {
            emphasised: true,
            ..plain
        };
        let both = Style {
            emphasised: true,
            ..strong
        };
        let struck = Style {
            struck: true,
            ..plain
        };
        let code = Style {
            kind: Kind::Code,
            ..plain
        };
        let link = Style {
            kind: Kind::Link,
            ..plain
        };
        for (markdown, style) in [
            ("**x**", strong),
            ("*x*", emphasised),
            ("***x***", both),
            ("~~x~~", struck),
            ("`x`", code),
            ("[x](https://e.example)", link),
            ("<b>x</b>", strong),
            ("<em>x</em>", emphasised),
            ("<del>x</del>", struck),
            ("<kbd>x</kbd>", code),
            ("<a href='y'>x</a>", link),
        ] {
            let expected = [("a ", plain), ("x", style), (" b", plain)];
            let expected = expected.map(|(text, style)| (text.to_owned(), style));
            assert_eq!(spans(&format!("a {markdown} b")), expected, "{markdown}");
        }
    }

    #[test]
    fn quotes_are_counted_and_rules_inside_stay() {
        let read = blocks("> said\n>\n> ---\n>\n> > deep\n\nout\n");
        let quotes: Vec<usize> = read.iter().map(|block| block.quotes).collect();
        assert_eq!(quotes, [1, 1, 2, 0]);
        assert_eq!(texts(&read), ["said", "(rule)", "deep", "out"]);
        assert_eq!(texts(&blocks("> [!WARNING]\n> Hot\n")), ["Warning", "Hot"]);
    }

    #[test]
    fn comments_are_not_shown() {
        assert_eq!(
            texts(&blocks(
                "a <!-- no --> b\n\n<!--\n\n# no\n\n-->\n\nc\n\n<!-- x --> d\n"
            )),
            ["a b", "c", "d"]
        );
    }

    #[test]
    fn the_text_of_html_is_shown() {
        let html = "<div align=\"center\">\n<h1>Head &amp; <b>all</b></h1>\n<p>One\ntwo<br>three &eacute;</p>\n<ul><li>a<li>b</ul>\n<style>p { color: red }</style><script>x()</script>\n</div>\n\n<details>\n<summary>More</summary>\n\n*inside*\n\n</details>\n";
        let read = blocks(html);
        assert!(matches!(read[0].content, Content::Heading { level: 1, .. }));
        assert_eq!(
            texts(&read),
            [
                "Head & all",
                "One two\nthree é",
                "•a",
                "•b",
                "More",
                "inside"
            ]
        );
        assert_eq!(
            texts(&blocks("a<br>b <span>c</span> &lt;d&gt; 1 < 2")),
            ["a\nb c <d> 1 < 2"]
        );
        assert_eq!(
            texts(&blocks("H<sub>2</sub>O, 10<sup>12</sup>, 1<sup>st</sup>")),
            ["H₂O, 10¹², 1st"]
        );
        assert_eq!(texts(&blocks("<p>a<br> b</p>")), ["a\nb"]);
        assert_eq!(texts(&blocks("<pre>\n  a\n\n  b\n</pre>\n")), ["a\n\n  b"]);
    }

    #[test]
    fn a_tag_without_an_end_affects_only_its_block() {
        let read = blocks("a <b>b\n\nc\n\n- <code>d\n- e\n");
        let styled: Vec<bool> = read
            .iter()
            .map(|block| match &block.content {
                Content::Text(text) => text.iter().any(|span| span.style != Style::default()),
                other => panic!("not a text: {other:?}"),
            })
            .collect();
        assert_eq!(styled, [true, false, true, false]);
    }

    #[test]
    fn a_comment_without_an_end_is_a_warning() {
        let mut warnings = Vec::new();
        let read = read(
            "a\n\n---\n\nb\n\n<!-- open\n\nlost\n\n---\n\nlost\n",
            usize::MAX,
            &mut warnings,
        );
        assert_eq!(read.len(), 2);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("slide 2"), "{warnings:?}");
    }

    #[test]
    fn an_image_alone_is_a_block_and_its_text_stands_for_it_in_a_sentence() {
        let image = |markdown: &str| match &blocks(markdown)[..] {
            [
                Block {
                    content: Content::Image { text, file },
                    ..
                },
            ] => (plain(text), file.clone()),
            other => panic!("not an image: {other:?}"),
        };
        assert_eq!(
            image("![A *cat*](pics/cat.png?x=1)"),
            ("A cat".to_owned(), "cat.png".to_owned())
        );
        assert_eq!(
            image("[![](a.svg)](https://e.example)"),
            (String::new(), "a.svg".to_owned())
        );
        assert_eq!(
            image("<img src='cat.png' alt='A &quot;cat&quot;'>"),
            ("A \"cat\"".to_owned(), "cat.png".to_owned())
        );
        assert_eq!(image("![x](data:image/png;base64,AA.AA)").1, "");
        assert_eq!(
            texts(&blocks("See ![a cat](cat.png) here")),
            ["See a cat here"]
        );
        assert_eq!(
            texts(&blocks("![one](1.png)![two](2.png)\n![](3.png)")),
            ["one two 3.png"]
        );
        assert_eq!(texts(&blocks("![a ![b](c) d](e.png)")), ["a b d"]);
    }

    #[test]
    fn references_and_footnotes_are_resolved_across_slides() {
        let deck = "See [the site] and[^long].\n\n---\n\nAgain[^long] and[^b]\n\n---\n\n[the site]: https://e.example\n[^long]: A note,\n    of two paragraphs.\n\n    With[^b] another.\n[^b]: B\n[^alone]: Nobody cites it\n";
        let slides = slides(deck);
        let text: Vec<_> = slides.iter().map(|slide| texts(slide)).collect();
        assert_eq!(
            text,
            [
                vec![
                    "See the site and¹.",
                    "¹A note, of two paragraphs.",
                    "With² another.",
                    "²B"
                ],
                vec![
                    "Again¹ and²",
                    "¹A note, of two paragraphs.",
                    "With² another.",
                    "²B"
                ],
                vec!["³Nobody cites it"],
            ]
        );
        let notes: Vec<bool> = slides[0].iter().map(|block| block.note).collect();
        assert_eq!(notes, [false, true, true, true]);
        assert!(
            matches!(&slides[0][0].content, Content::Text(text) if text[1].style.kind == Kind::Link)
        );
    }

    #[test]
    fn notes_that_cite_each_other_are_shown_once() {
        let read = blocks("a[^x]\n\n[^x]: X[^y]\n[^y]: Y[^x]\n");
        assert_eq!(texts(&read), ["a¹", "¹X²", "²Y¹"]);
        assert_eq!(texts(&blocks("a[^none]")), ["a[^none]"]);
    }

    #[test]
    fn tables_keep_their_cells_and_alignments() {
        let read = blocks("| a | **b** | c | d |\n|---|:--|:-:|--:|\n| 1 | `x|y` | 3 |\n");
        let [
            Block {
                content: Content::Table(table),
                ..
            },
        ] = &read[..]
        else {
            panic!("not a table: {read:?}");
        };
        let columns = [
            Alignment::Natural,
            Alignment::Left,
            Alignment::Centre,
            Alignment::Right,
        ];
        assert_eq!(table.columns, columns);
        assert!(table.rows.iter().all(|row| row.len() == 4));
        assert!(table.rows[0][1][0].style.strong);
        assert_eq!(texts(&read), ["a|b|c|d/1|`x|y`|3"]);
    }

    #[test]
    fn formulas_are_shown_as_they_were_written() {
        assert_eq!(
            texts(&blocks("$a_1 * b_2 * c$ and $$\\frac{1}{2}$$")),
            ["$a_1 * b_2 * c$ and $$\\frac{1}{2}$$"]
        );
        assert_eq!(
            texts(&blocks("It costs $5, or $10 with tax.")),
            ["It costs $5, or $10 with tax."]
        );
    }

    #[test]
    fn attributes_of_a_heading_are_dropped_and_words_in_braces_are_not() {
        assert_eq!(
            texts(&blocks("# Head {#id .class}\n\n# Set {x}\n\n# f {} \n")),
            ["Head", "Set {x}", "f {}"]
        );
    }

    #[test]
    fn definitions_stand_below_their_term() {
        let read = blocks("Term\n: First\n: Second\n");
        assert_eq!(texts(&read), ["Term", "First", "Second"]);
        assert_eq!(
            read.iter().map(|block| block.depth).collect::<Vec<_>>(),
            [0, 1, 1]
        );
    }

    #[test]
    fn lines_are_joined_by_a_space_except_between_ideographs() {
        assert_eq!(texts(&blocks("one\ntwo  \nthree")), ["one two\nthree"]);
        assert_eq!(
            texts(&blocks("漢字\nかな\nword\n한국\n어")),
            ["漢字かな word 한국 어"]
        );
    }

    #[test]
    fn settings_of_a_slide_are_a_warning_and_not_a_heading() {
        let mut warnings = Vec::new();
        let deck = "# One\n\n---\nlayout: center\nclass: text-white\n---\n\n# Two\n\n---\n\nKey: a heading\n---\n";
        let read = read(deck, usize::MAX, &mut warnings);
        let text: Vec<_> = read.iter().map(|draft| texts(&draft.blocks)).collect();
        assert_eq!(text, [["One"], ["Two"], ["Key: a heading"]]);
        assert_eq!(
            warnings,
            ["The settings above slide 2 have no effect and are not shown: layout, class."]
        );
    }
}
