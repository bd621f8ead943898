//! The layout of a slide: its blocks as rows, and its rows on pages.

use super::fonts::{Fonts, Look, extent, is_right_to_left};
use super::{PageSize, Rgb};
use crate::deck::{Alignment, Block, Content, Slide, Span, Style, Table};
use cosmic_text::{Align, Buffer};
use std::ops::Range;

pub(super) const PAPER: Rgb = [17, 24, 39];
pub(super) const ACCENT: Rgb = [56, 189, 248];
pub(super) const MUTED: Rgb = [148, 163, 184];
const PANEL: Rgb = [30, 41, 59];
const LINE: Rgb = [71, 85, 105];
const WHITE: Rgb = [248, 250, 252];
const BODY: Look = Look {
    plain: [203, 213, 225],
    strong: WHITE,
    code: [125, 211, 252],
    link: [147, 197, 253],
    is_code: false,
    is_bold: false,
};
const TITLE: Look = Look {
    plain: WHITE,
    is_bold: true,
    ..BODY
};
const QUIET: Look = Look {
    plain: MUTED,
    ..BODY
};
const CODE: Look = Look {
    is_code: true,
    ..Look::one([167, 243, 208])
};

/// Width of a page for which the lengths below are given. Other pages are scaled.
const DESIGN_WIDTH: f32 = 1280.0;
pub(super) const MARGIN: f32 = 72.0;
pub(super) const TOP: f32 = 56.0;
pub(super) const FOOTER: f32 = 62.0;
/// Height of the notice about characters that cannot be drawn.
pub(super) const NOTICE: f32 = 30.0;
const GAP: f32 = 18.0;
const INDENT: f32 = 40.0;
const QUOTE: f32 = 28.0;
const PAD: f32 = 16.0;
const CELL_GAP: f32 = 32.0;
const TEXT_SIZE: f32 = 28.0;
const NOTE_SIZE: f32 = 20.0;
const CODE_SIZE: f32 = 22.0;
const HEADING_SIZES: [f32; 6] = [52.0, 42.0, 34.0, 30.0, 28.0, 28.0];
/// The width of a letter of the code typeface, in parts of its size.
const CODE_ADVANCE: f32 = 0.602;

/// Deeper lists and quotes are not indented any further, because the lines would become too short.
const DEEPEST: usize = 8;

/// Sizes that are tried for a slide that is too full. At the last one, text is 20 pixels high on a
/// page of 720, a 36th of the height. That is the size of subtitles, which can be read from a
/// distance of five times the height. Smaller text cannot, so the slide is continued on another page.
const SHRINK: [f32; 4] = [1.0, 0.9, 0.8, 0.71];
/// Code is not smaller than this, for the same reason; its letters are wider. Longer lines are
/// broken.
const LEAST_CODE: f32 = 15.0;
/// A slide of more pages than this does not try sizes in between.
const FEW: usize = 3;
/// A table with narrower columns is shown as one line for each of its rows.
const LEAST_COLUMN: f32 = 56.0;

/// A slide whose texts are set, ready to be laid out at any size.
#[derive(Debug)]
pub(super) struct Prepared {
    buffers: Vec<Buffer>,
    parts: Vec<Part>,
}

/// A block of a prepared slide. Numbers are indices of buffers.
#[derive(Debug)]
struct Part {
    quotes: usize,
    depth: usize,
    marker: Option<usize>,
    note: bool,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Heading {
        level: u8,
        text: usize,
    },
    Text(usize),
    Code {
        text: usize,
        longest: usize,
    },
    Table {
        columns: usize,
        rows: Vec<Vec<usize>>,
    },
    Image {
        text: usize,
        file: Option<usize>,
    },
    Rule,
}

/// A line of a text with its position in a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Index of the buffer.
    pub(super) buffer: usize,
    /// Number of the line in the buffer.
    pub(super) number: usize,
    pub(super) left: f32,
    pub(super) top: f32,
}

/// A filled rectangle with its position in a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fill {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) width: f32,
    pub(super) height: f32,
    pub(super) ink: Rgb,
    /// Whether the gap above the row is filled as well, unless the row is the first of a page.
    pub(super) joined: bool,
}

/// A part of a slide that is never divided: a line of text, or lines next to each other.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// The distance to the row above; nothing at the top of a page.
    pub(super) gap: f32,
    pub(super) height: f32,
    pub(super) lines: Vec<Line>,
    pub(super) fills: Vec<Fill>,
    /// Whether the next row should be on the same page.
    keep: bool,
}

/// A slide that is laid out.
#[derive(Debug)]
pub(super) struct Arranged {
    pub(super) buffers: Vec<Buffer>,
    pub(super) rows: Vec<Row>,
    /// The rows of each page. There is at least one page.
    pub(super) pages: Vec<Range<usize>>,
    /// Whether it has nothing but headings, or nothing but an image. It is centred.
    pub(super) is_centred: bool,
}

/// Scales one of the design's lengths to a page.
pub(super) fn scale(page: PageSize) -> f32 {
    f32::from(page.width) / DESIGN_WIDTH
}

impl Prepared {
    /// Sets the texts of a slide.
    pub(super) fn new(fonts: &mut Fonts, slide: &Slide) -> Self {
        let mut prepared = Self {
            buffers: Vec::new(),
            parts: Vec::with_capacity(slide.blocks.len()),
        };
        for block in &slide.blocks {
            prepared.add(fonts, block);
        }
        prepared
    }

    fn add(&mut self, fonts: &mut Fonts, block: &Block) {
        let quiet = block.quotes > 0 || block.note;
        let look = if quiet { QUIET } else { BODY };
        let marker = (!block.marker.is_empty()).then(|| {
            // A number of a right-to-left entry has its full stop on the left.
            let mark = if begins_rtl(&block.content) {
                "\u{200f}"
            } else {
                ""
            };
            let marker = plain(&format!("{mark}{}", block.marker));
            self.text(fonts, &marker, Look::one(ACCENT), None)
        });
        let mut part = Part {
            quotes: block.quotes.min(DEEPEST),
            depth: block.depth.min(DEEPEST),
            marker,
            note: block.note,
            shape: Shape::Rule,
        };
        part.shape = match &block.content {
            Content::Heading { level, text } => Shape::Heading {
                level: *level,
                text: self.text(fonts, text, TITLE, None),
            },
            Content::Text(text) => Shape::Text(self.text(fonts, text, look, None)),
            Content::Code(code) => {
                let width = |line: &str| line.chars().count();
                let longest = code.lines().map(width).max().unwrap_or(0);
                let text = self.text(fonts, &plain(code), CODE, Some(Align::Left));
                Shape::Code { text, longest }
            }
            Content::Table(table) => self.table(fonts, table, look),
            Content::Image { text, file } => {
                let text = if text.is_empty() {
                    plain("image")
                } else {
                    text.clone()
                };
                let centre = Some(Align::Center);
                Shape::Image {
                    text: self.text(fonts, &text, BODY, centre),
                    file: (!file.is_empty())
                        .then(|| self.text(fonts, &plain(file), Look::one(MUTED), centre)),
                }
            }
            Content::Rule => Shape::Rule,
        };
        self.parts.push(part);
    }

    fn table(&mut self, fonts: &mut Fonts, table: &Table, look: Look) -> Shape {
        let mut rows = Vec::with_capacity(table.rows.len());
        for (number, row) in table.rows.iter().enumerate() {
            let look = if number == 0 { TITLE } else { look };
            let cells = row.iter().zip(&table.columns).map(|(cell, column)| {
                let align = match column {
                    Alignment::Natural => None,
                    Alignment::Left => Some(Align::Left),
                    Alignment::Centre => Some(Align::Center),
                    Alignment::Right => Some(Align::Right),
                };
                self.text(fonts, cell, look, align)
            });
            rows.push(cells.collect());
        }
        Shape::Table {
            columns: table.columns.len(),
            rows,
        }
    }

    fn text(
        &mut self,
        fonts: &mut Fonts,
        text: &[Span],
        look: Look,
        align: Option<Align>,
    ) -> usize {
        self.buffers.push(fonts.set(text, look, align));
        self.buffers.len() - 1
    }

    /// Lays the slide out on as few pages as the smallest size needs, in the largest size that needs
    /// no more. `lack` is the height of a notice at the bottom.
    pub(super) fn arrange(mut self, fonts: &mut Fonts, page: PageSize, lack: f32) -> Arranged {
        let room = f32::from(page.height) - (TOP + FOOTER + lack) * scale(page);
        let mut laid = |prepared: &mut Self, shrink: f32| {
            let rows = Setter::new(fonts, prepared, page, shrink).rows();
            let pages = paginate(&rows, room);
            (rows, pages)
        };
        let [largest, between @ .., smallest] = SHRINK;
        let (mut rows, mut pages) = laid(&mut self, largest);
        if pages.len() > 1 {
            let fewest = laid(&mut self, smallest);
            if fewest.1.len() < pages.len() {
                let between = between.iter().filter(|_| fewest.1.len() <= FEW);
                let found = between
                    .map(|&shrink| laid(&mut self, shrink))
                    .find(|(_, pages)| pages.len() == fewest.1.len());
                (rows, pages) = match found {
                    Some(found) => found,
                    // The buffers have the size of the last attempt.
                    None => laid(&mut self, smallest),
                };
            } else {
                (rows, pages) = laid(&mut self, largest);
            }
        }
        let is_heading = |part: &Part| matches!(part.shape, Shape::Heading { .. });
        let is_image = |part: &Part| matches!(part.shape, Shape::Image { .. });
        let is_centred = self.parts.iter().all(is_heading) || self.parts.iter().all(is_image);
        Arranged {
            buffers: self.buffers,
            rows,
            pages,
            is_centred,
        }
    }
}

/// Distributes rows over pages. A row is never divided, so a page of less than a row overflows.
fn paginate(rows: &[Row], room: f32) -> Vec<Range<usize>> {
    let mut pages = Vec::new();
    let (mut first, mut used, mut at) = (0, 0.0, 0);
    while at < rows.len() {
        // The rows up to and including the first that may be followed by a new page.
        let mut end = at + 1;
        while end < rows.len() && rows[end - 1].keep {
            end += 1;
        }
        let height = |rows: &[Row]| rows.iter().map(|row| row.gap + row.height).sum::<f32>();
        let group = height(&rows[at..end]);
        // A group that is higher than a page is divided.
        if group - rows[at].gap > room {
            end = at + 1;
        }
        let group = height(&rows[at..end]);
        if at > first && used + group > room {
            pages.push(first..at);
            (first, used) = (at, 0.0);
        }
        used += if at == first {
            group - rows[at].gap
        } else {
            group
        };
        at = end;
    }
    pages.push(first..rows.len());
    pages
}

/// Makes rows of a prepared slide at one size.
struct Setter<'a> {
    fonts: &'a mut Fonts,
    buffers: &'a mut [Buffer],
    parts: &'a [Part],
    rows: Vec<Row>,
    /// Scale of lengths that do not shrink.
    scale: f32,
    /// Scale of lengths that do.
    unit: f32,
    width: f32,
    /// Whether the slide has so few blocks that an image can be high.
    is_alone: bool,
}

impl<'a> Setter<'a> {
    fn new(fonts: &'a mut Fonts, prepared: &'a mut Prepared, page: PageSize, shrink: f32) -> Self {
        let scale = scale(page);
        Self {
            fonts,
            buffers: &mut prepared.buffers,
            parts: &prepared.parts,
            rows: Vec::new(),
            scale,
            unit: scale * shrink,
            width: f32::from(page.width) - 2.0 * MARGIN * scale,
            is_alone: prepared.parts.len() <= 2,
        }
    }

    fn rows(mut self) -> Vec<Row> {
        let mut before: Option<&Part> = None;
        for part in self.parts {
            let gap = before.map_or(0.0, |before| self.gap(before, part));
            let first = self.rows.len();
            let is_first_note = part.note && !before.is_some_and(|before| before.note);
            if is_first_note {
                self.rows.push(self.note_rule());
            }
            self.part(part);
            if is_first_note && self.is_rtl(part) {
                let width = self.width;
                let fills = self.rows[first].fills.iter_mut();
                fills.for_each(|fill| fill.left += width - fill.width);
            }
            if let Some(row) = self.rows.get_mut(first) {
                row.gap += gap;
            }
            self.quote_bars(part, before, first);
            before = Some(part);
        }
        // Nothing can follow the last row.
        if let Some(row) = self.rows.last_mut() {
            row.keep = false;
        }
        self.rows
    }

    fn gap(&self, before: &Part, part: &Part) -> f32 {
        let in_list = before.depth > 0 && part.depth > 0;
        let of_gap = match (&before.shape, &part.shape) {
            (Shape::Text(_), Shape::Text(_)) if in_list || (before.note && part.note) => 0.4,
            (_, Shape::Heading { .. }) => 1.4,
            _ => 1.0,
        };
        GAP * self.unit * of_gap
    }

    /// The short line above the first note.
    fn note_rule(&self) -> Row {
        let fill = Fill {
            left: MARGIN * self.scale,
            top: 0.0,
            width: 160.0 * self.unit,
            height: (2.0 * self.unit).max(1.0),
            ink: LINE,
            joined: false,
        };
        Row {
            height: 14.0 * self.unit,
            fills: vec![fill],
            keep: true,
            ..Row::default()
        }
    }

    /// Bars at the side of the rows from `first` on, one for each quote.
    fn quote_bars(&mut self, part: &Part, before: Option<&Part>, first: usize) {
        let is_rtl = self.is_rtl(part);
        let joined = before.map_or(0, |before| before.quotes);
        for (number, row) in self.rows[first..].iter_mut().enumerate() {
            for quote in 0..part.quotes {
                #[expect(clippy::cast_precision_loss, reason = "a quote is one of few")]
                let inset = quote as f32 * QUOTE * self.unit;
                let width = (4.0 * self.unit).max(1.0);
                let left = if is_rtl {
                    MARGIN * self.scale + self.width - inset - width
                } else {
                    MARGIN * self.scale + inset
                };
                row.fills.push(Fill {
                    left,
                    top: 0.0,
                    width,
                    height: row.height,
                    ink: ACCENT,
                    joined: number > 0 || quote < joined,
                });
            }
        }
    }

    /// Whether a block reads from right to left.
    fn is_rtl(&self, part: &Part) -> bool {
        let text = match &part.shape {
            Shape::Heading { text, .. } | Shape::Text(text) => *text,
            Shape::Table { rows, .. } => match rows.first().and_then(|row| row.first()) {
                Some(cell) => *cell,
                None => return false,
            },
            Shape::Code { .. } | Shape::Image { .. } | Shape::Rule => return false,
        };
        self.buffers[text]
            .layout_runs()
            .next()
            .is_some_and(|line| line.rtl)
    }

    fn part(&mut self, part: &Part) {
        #[expect(clippy::cast_precision_loss, reason = "both are at most DEEPEST")]
        let inset = (part.depth as f32 * INDENT + part.quotes as f32 * QUOTE) * self.unit;
        let note_inset = if part.note && part.depth == 0 {
            INDENT * self.unit
        } else {
            0.0
        };
        let inset = inset + note_inset;
        let left = MARGIN * self.scale + inset;
        let width = self.width - inset;
        let text_size = if part.note { NOTE_SIZE } else { TEXT_SIZE };
        let first = self.rows.len();
        match &part.shape {
            Shape::Heading { level, text } => {
                let level = usize::from(*level).clamp(1, 6);
                let size = HEADING_SIZES[level - 1];
                self.text(*text, size, 1.25, left, width);
                for row in &mut self.rows[first..] {
                    row.keep = true;
                }
            }
            Shape::Text(text) => self.text(*text, text_size, 1.36, left, width),
            Shape::Code { text, longest } => self.code(*text, *longest, left, width),
            Shape::Table { columns, rows } => self.table(*columns, rows, text_size, left, width),
            Shape::Image { text, file } => self.image(*text, *file, left, width),
            Shape::Rule => self.rows.push(Row {
                height: (2.0 * self.unit).max(1.0),
                fills: vec![Fill {
                    left,
                    top: 0.0,
                    width,
                    height: (2.0 * self.unit).max(1.0),
                    ink: LINE,
                    joined: false,
                }],
                ..Row::default()
            }),
        }
        let is_rtl = self.is_rtl(part);
        if is_rtl {
            // The inset is on the right.
            for line in self.rows[first..].iter_mut().flat_map(|row| &mut row.lines) {
                line.left -= inset;
            }
        }
        if let Some(marker) = part.marker {
            self.marker(marker, part, text_size, (left, width), is_rtl, first);
        }
    }

    /// Puts a marker beside the first line of its block.
    fn marker(
        &mut self,
        marker: usize,
        part: &Part,
        size: f32,
        (left, width): (f32, f32),
        is_rtl: bool,
        first: usize,
    ) {
        let size = match &part.shape {
            Shape::Code { .. } => CODE_SIZE,
            _ => size,
        };
        self.fit(marker, size, 1.36, None);
        let (marker_width, marker_height) = extent(&self.buffers[marker]);
        let distance = 12.0 * self.unit;
        let place = if is_rtl {
            (MARGIN * self.scale + width + distance)
                .max(MARGIN * self.scale + width + 26.0 * self.unit - marker_width)
        } else {
            left - (marker_width + distance).max(26.0 * self.unit)
        };
        if self.rows.len() == first {
            self.rows.push(Row::default());
        }
        let row = &mut self.rows[first];
        // In the middle of the first line, which can be a heading.
        let line = row.lines.first().map_or(0.0, |line| line.top);
        let top = match &part.shape {
            Shape::Heading { .. } => (row.height - marker_height).max(0.0) / 2.0,
            _ => line,
        };
        row.height = row.height.max(top + marker_height);
        row.lines.insert(
            0,
            Line {
                buffer: marker,
                number: 0,
                left: place,
                top,
            },
        );
    }

    fn fit(&mut self, text: usize, size: f32, spacing: f32, width: Option<f32>) {
        // Without a pixel of height, there is no text.
        let size = (size * self.unit).max(1.0);
        let width = width.map(|width| width.max(1.0));
        self.fonts
            .fit(&mut self.buffers[text], size, spacing, width);
    }

    fn text(&mut self, text: usize, size: f32, spacing: f32, left: f32, width: f32) {
        self.fit(text, size, spacing, Some(width));
        for (number, line) in self.buffers[text].layout_runs().enumerate() {
            let line_at = Line {
                buffer: text,
                number,
                left,
                top: 0.0,
            };
            self.rows.push(Row {
                height: line.line_height,
                lines: vec![line_at],
                ..Row::default()
            });
        }
    }

    /// Code keeps its line breaks if possible: the size follows the longest line, within limits.
    fn code(&mut self, text: usize, longest: usize, left: f32, width: f32) {
        let pad = PAD * self.unit;
        let inner = width - 2.0 * pad;
        let longest = f32::from(u16::try_from(longest).unwrap_or(u16::MAX)).max(1.0);
        let fitting = inner / (longest + 0.5) / CODE_ADVANCE;
        let least = LEAST_CODE * self.scale;
        let size = (CODE_SIZE * self.unit).min(fitting).max(least) / self.unit;
        let first = self.rows.len();
        self.text(text, size, 1.3, left + pad, inner);
        let panel = |height| Fill {
            left,
            top: 0.0,
            width,
            height,
            ink: PANEL,
            joined: true,
        };
        let end = self.rows.len();
        for (number, row) in self.rows.iter_mut().enumerate().skip(first) {
            if number == first {
                row.height += pad;
                for line in &mut row.lines {
                    line.top += pad;
                }
            }
            if number + 1 == end {
                row.height += pad;
            }
            row.fills.push(Fill {
                joined: number > first,
                ..panel(row.height)
            });
        }
    }

    fn table(&mut self, columns: usize, rows: &[Vec<usize>], size: f32, left: f32, width: f32) {
        let gap = CELL_GAP * self.unit;
        let mut natural = vec![0.0_f32; columns];
        for row in rows {
            for (&cell, natural) in row.iter().zip(&mut natural) {
                self.fit(cell, size, 1.36, None);
                // A pixel more than measured, so that rounding breaks no line.
                *natural = natural.max(extent(&self.buffers[cell]).0.ceil() + 1.0);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a table has few columns")]
        let room = width - gap * columns.saturating_sub(1) as f32;
        let Some(widths) = shared(&natural, room, LEAST_COLUMN * self.unit) else {
            return self.list(rows, size, left, width);
        };
        let total = widths.iter().sum::<f32>() + width - room;
        let is_rtl = rows
            .first()
            .and_then(|row| row.first())
            .is_some_and(|&cell| {
                self.buffers[cell]
                    .layout_runs()
                    .next()
                    .is_some_and(|line| line.rtl)
            });
        for (number, row) in rows.iter().enumerate() {
            let first = self.rows.len();
            let mut at = if is_rtl { left + width } else { left };
            for (&cell, &column) in row.iter().zip(&widths) {
                self.fit(cell, size, 1.36, Some(column));
                let start = if is_rtl { at - column } else { at };
                for (line, run) in self.buffers[cell].layout_runs().enumerate() {
                    if self.rows.len() <= first + line {
                        self.rows.push(Row {
                            keep: true,
                            ..Row::default()
                        });
                    }
                    let row = &mut self.rows[first + line];
                    row.height = row.height.max(run.line_height);
                    row.lines.push(Line {
                        buffer: cell,
                        number: line,
                        left: start,
                        top: 0.0,
                    });
                }
                at += if is_rtl {
                    -(column + gap)
                } else {
                    column + gap
                };
            }
            let start = if is_rtl { left + width - total } else { left };
            self.finish_row(first, number, rows.len(), start, total);
        }
    }

    /// Adds the distance and the line below a table's row.
    fn finish_row(&mut self, first: usize, number: usize, of: usize, left: f32, width: f32) {
        if self.rows.len() == first {
            self.rows.push(Row::default());
        }
        let pad = 7.0 * self.unit;
        if number > 0 {
            let row = &mut self.rows[first];
            row.height += pad;
            for line in &mut row.lines {
                line.top += pad;
            }
        }
        if let Some(row) = self.rows.last_mut() {
            // The head stays with the first row.
            row.keep = number == 0;
            let thickness = (if number == 0 { 2.0 } else { 1.0 } * self.scale).max(1.0);
            row.height += pad + thickness;
            if number + 1 < of || number == 0 {
                row.fills.push(Fill {
                    left,
                    top: row.height - thickness,
                    width,
                    height: thickness,
                    ink: if number == 0 { ACCENT } else { LINE },
                    joined: false,
                });
            }
        }
    }

    /// A table of too many columns: its cells one below the other.
    fn list(&mut self, rows: &[Vec<usize>], size: f32, left: f32, width: f32) {
        for (number, row) in rows.iter().enumerate() {
            let first = self.rows.len();
            for &cell in row {
                self.text(cell, size, 1.36, left, width);
            }
            self.finish_row(first, number, rows.len(), left, width);
        }
    }

    /// A frame with the description of an image.
    fn image(&mut self, text: usize, file: Option<usize>, left: f32, width: f32) {
        let pad = PAD * self.unit;
        let first = self.rows.len();
        self.text(text, TEXT_SIZE, 1.36, left + pad, width - 2.0 * pad);
        if let Some(file) = file {
            self.text(file, NOTE_SIZE, 1.36, left + pad, width - 2.0 * pad);
        }
        let edge = (2.0 * self.unit).max(1.0);
        let height: f32 = self.rows[first..].iter().map(|row| row.height).sum();
        let least = if self.is_alone { 360.0 } else { 150.0 } * self.unit;
        let pad = ((least - height) / 2.0).max(pad);
        let end = self.rows.len();
        for (number, row) in self.rows.iter_mut().enumerate().skip(first) {
            let (is_first, is_last) = (number == first, number + 1 == end);
            if is_first {
                row.height += pad;
                for line in &mut row.lines {
                    line.top += pad;
                }
            }
            if is_last {
                row.height += pad;
            }
            row.keep = !is_last;
            let bar = |left, top, width, height, ink| Fill {
                left,
                top,
                width,
                height,
                ink,
                joined: false,
            };
            row.fills.push(bar(left, 0.0, width, row.height, PANEL));
            row.fills.push(bar(left, 0.0, edge, row.height, LINE));
            row.fills
                .push(bar(left + width - edge, 0.0, edge, row.height, LINE));
            if is_first {
                row.fills.push(bar(left, 0.0, width, edge, LINE));
            }
            if is_last {
                row.fills
                    .push(bar(left, row.height - edge, width, edge, LINE));
            }
        }
    }
}

/// Whether the first letter of a text is of a right-to-left script.
fn begins_rtl(content: &Content) -> bool {
    let (Content::Heading { text, .. } | Content::Text(text)) = content else {
        return false;
    };
    let mut letters = text.iter().flat_map(|span| span.text.chars());
    letters
        .find(|c| c.is_alphabetic())
        .is_some_and(is_right_to_left)
}

/// Widths of columns: each has its natural width, unless all need more than `room`. Then the widest
/// share the rest equally. `None` if a share is less than `least`.
fn shared(natural: &[f32], room: f32, least: f32) -> Option<Vec<f32>> {
    let mut order: Vec<usize> = (0..natural.len()).collect();
    order.sort_by(|&a, &b| natural[a].total_cmp(&natural[b]));
    let mut widths = vec![0.0; natural.len()];
    let mut left = room;
    for (number, &column) in order.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a table has few columns")]
        let share = left / (natural.len() - number) as f32;
        widths[column] = natural[column].min(share);
        if widths[column] < natural[column].min(least) {
            return None;
        }
        left -= widths[column];
    }
    Some(widths)
}

/// One span of plain text.
pub(super) fn plain(text: &str) -> Vec<Span> {
    let style = Style::default();
    let text = text.to_owned();
    vec![Span { text, style }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(heights: &[(f32, bool)]) -> Vec<Row> {
        let row = |&(height, keep)| Row {
            gap: 1.0,
            height,
            keep,
            ..Row::default()
        };
        heights.iter().map(row).collect()
    }

    #[test]
    fn rows_fill_pages_and_the_first_gap_of_a_page_does_not_count() {
        let rows = rows(&[(10.0, false); 5]);
        assert_eq!(paginate(&rows, 100.0).len(), 1);
        assert_eq!(paginate(&rows, 54.0).len(), 1);
        assert_eq!(paginate(&rows, 53.9), [0..4, 4..5]);
        assert_eq!(paginate(&rows, 21.0), [0..2, 2..4, 4..5]);
        assert_eq!(paginate(&rows, 10.0), [0..1, 1..2, 2..3, 3..4, 4..5]);
    }

    #[test]
    fn rows_that_belong_together_are_divided_only_if_a_page_is_too_small_for_them() {
        let rows = rows(&[
            (10.0, false),
            (10.0, true),
            (10.0, true),
            (10.0, false),
            (10.0, false),
        ]);
        assert_eq!(paginate(&rows, 43.0), [0..4, 4..5]);
        assert_eq!(paginate(&rows, 32.0), [0..1, 1..4, 4..5]);
        assert_eq!(paginate(&rows, 21.0), [0..2, 2..4, 4..5]);
    }

    #[test]
    fn columns_have_what_they_need_and_the_widest_share_the_rest() {
        assert_eq!(shared(&[10.0, 20.0], 100.0, 5.0), Some(vec![10.0, 20.0]));
        assert_eq!(
            shared(&[80.0, 20.0, 90.0], 100.0, 5.0),
            Some(vec![40.0, 20.0, 40.0])
        );
        assert_eq!(shared(&[50.0; 20], 100.0, 5.0), Some(vec![5.0; 20]));
        assert_eq!(shared(&[50.0; 21], 100.0, 5.0), None);
        assert_eq!(shared(&[1.0; 90], 100.0, 5.0), Some(vec![1.0; 90]));
    }
}
