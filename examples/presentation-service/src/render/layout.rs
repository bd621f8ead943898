//! The layout of a slide: the position, size and colours of each block.

use super::fonts::{Face, Fonts, Inks, extent};
use super::{Canvas, PageSize, Painter, Rgb};
use crate::deck::{Block, Deck, Slide, Span, Style};
use cosmic_text::Buffer;
use std::error::Error;

const PAPER: Rgb = [17, 24, 39];
const PANEL: Rgb = [30, 41, 59];
const ACCENT: Rgb = [56, 189, 248];
const MUTED: Rgb = [120, 134, 156];
const TITLE: Inks = Inks {
    plain: [248, 250, 252],
    ..BODY
};
const BODY: Inks = Inks {
    plain: [203, 213, 225],
    strong: [253, 224, 132],
    code: [125, 211, 252],
    link: [147, 197, 253],
};
const CODE: Inks = Inks::one([167, 243, 208]);

/// Page width for which the lengths below are given. Other pages are scaled.
const DESIGN_WIDTH: f32 = 1280.0;
const MARGIN: f32 = 72.0;
const TOP: f32 = 58.0;
const FOOTER: f32 = 64.0;
const GAP: f32 = 18.0;
const INDENT: f32 = 40.0;
const PAD: f32 = 18.0;
const TEXT_SIZE: f32 = 28.0;
const CODE_SIZE: f32 = 22.0;
/// The width of a letter of the code typeface, in parts of its size.
const CODE_ADVANCE: f32 = 0.602;

/// Sizes that are tried for a slide that is too full. At the last one, the rest is cut.
const SHRINK: [f32; 6] = [1.0, 0.88, 0.77, 0.67, 0.58, 0.5];

/// The painter of [`TextStudio`](super::TextStudio).
#[derive(Debug)]
pub(super) struct Painted {
    page: PageSize,
    fonts: Fonts,
}

/// A text with its position, and the shape that is filled behind it or next to it.
#[derive(Debug)]
struct Placed {
    buffer: Buffer,
    left: f32,
    top: f32,
    filled: Option<Filled>,
}

#[derive(Debug)]
struct Filled {
    left: f32,
    top: f32,
    width: f32,
    height: f32,
    ink: Rgb,
}

/// Blocks placed one below the other, from 0 downward.
#[derive(Debug, Default)]
struct Column {
    placed: Vec<Placed>,
    height: f32,
}

impl Painted {
    pub(super) fn new(page: PageSize) -> Self {
        let fonts = Fonts::new();
        Self { page, fonts }
    }

    /// Scales one of the design's lengths to this page.
    fn scale(&self) -> f32 {
        f32::from(self.page.width) / DESIGN_WIDTH
    }

    /// The height between the top margin and the footer.
    fn room(&self) -> f32 {
        f32::from(self.page.height) - (TOP + FOOTER) * self.scale()
    }

    fn fitted(&mut self, slide: &Slide) -> Column {
        let mut column = Column::default();
        for shrink in SHRINK {
            column = self.column(slide, shrink);
            if column.height <= self.room() {
                break;
            }
        }
        column
    }

    fn column(&mut self, slide: &Slide, shrink: f32) -> Column {
        let mut column = Column::default();
        let unit = self.scale() * shrink;
        let mut before: Option<&Block> = None;
        for block in &slide.blocks {
            if let Some(before) = before {
                let together = matches!((before, block), (Block::Item { .. }, Block::Item { .. }));
                column.height += GAP * unit * if together { 0.4 } else { 1.0 };
            }
            self.place(&mut column, block, unit);
            before = Some(block);
        }
        column
    }

    fn place(&mut self, column: &mut Column, block: &Block, unit: f32) {
        let left = MARGIN * self.scale();
        let width = f32::from(self.page.width) - 2.0 * left;
        match block {
            Block::Heading { level, text } => {
                let size = [54.0, 44.0, 36.0][usize::from(level - 1).min(2)] * unit;
                let buffer = self.fonts.set(text, Face::Text, TITLE, size, width);
                column.push(buffer, left, None);
            }
            Block::Paragraph { text, quoted } => {
                let shift = if *quoted { INDENT * unit } else { 0.0 };
                let inks = if *quoted { Inks::one(MUTED) } else { BODY };
                let size = TEXT_SIZE * unit;
                let buffer = self.fonts.set(text, Face::Text, inks, size, width - shift);
                let bar = quoted.then(|| Filled {
                    left: left + shift / 3.0,
                    top: column.height,
                    width: 4.0 * unit,
                    height: extent(&buffer).1,
                    ink: ACCENT,
                });
                column.push(buffer, left + shift, bar);
            }
            Block::Item {
                depth,
                marker,
                text,
            } => {
                let shift = INDENT * unit * f32::from(u8::try_from(*depth).unwrap_or(8).min(8));
                let size = TEXT_SIZE * unit;
                let marker = self.plain(marker, Face::Text, ACCENT, size);
                // The marker is in the same line as the first line of the text.
                let beside = left + shift - (extent(&marker).0 + 12.0 * unit).max(26.0 * unit);
                let top = column.height;
                column.push(marker, beside, None);
                column.height = top;
                let buffer = self.fonts.set(text, Face::Text, BODY, size, width - shift);
                column.push(buffer, left + shift, None);
            }
            Block::Code(code) => self.place_code(column, code, unit, left, width),
            Block::Rule => {
                let rule = Filled {
                    left,
                    top: column.height,
                    width,
                    height: 2.0 * unit,
                    ink: PANEL,
                };
                let nothing = self.plain("", Face::Text, MUTED, 2.0 * unit);
                column.push(nothing, left, Some(rule));
            }
        }
    }

    /// Code keeps its line breaks if possible: the size follows the longest line, within limits.
    fn place_code(&mut self, column: &mut Column, code: &str, unit: f32, left: f32, width: f32) {
        let pad = PAD * unit;
        let inner = width - 2.0 * pad;
        let longest = code
            .lines()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0);
        let longest = f32::from(u16::try_from(longest).unwrap_or(u16::MAX)).max(1.0);
        let fitting = inner / (longest + 1.0) / CODE_ADVANCE;
        let size = (CODE_SIZE * unit).min(fitting).max(CODE_SIZE * unit * 0.6);
        let span = Span {
            text: code.to_owned(),
            style: Style::Code,
        };
        let buffer = self.fonts.set(&[span], Face::Code, CODE, size, inner);
        let panel = Filled {
            left,
            top: column.height,
            width,
            height: extent(&buffer).1 + 2.0 * pad,
            ink: PANEL,
        };
        column.height += pad;
        column.push(buffer, left + pad, Some(panel));
        column.height += pad;
    }

    /// One line in one ink.
    fn plain(&mut self, text: &str, face: Face, ink: Rgb, size: f32) -> Buffer {
        let span = Span {
            text: text.to_owned(),
            style: Style::Plain,
        };
        let width = f32::from(self.page.width);
        self.fonts.set(&[span], face, Inks::one(ink), size, width)
    }

    fn draw(&mut self, canvas: &mut Canvas, placed: &mut Placed, down: f32, bottom: i32) {
        if let Some(fill) = &placed.filled {
            let top = round(fill.top + down);
            let height = round(fill.height).max(1).min(bottom - top);
            let width = round(fill.width).max(1);
            canvas.fill(round(fill.left), top, width, height, fill.ink);
        }
        let (left, top) = (round(placed.left), round(placed.top + down));
        self.fonts.draw(&mut placed.buffer, |x, y, ink, coverage| {
            if top + y < bottom {
                canvas.blend(left + x, top + y, ink, coverage);
            }
        });
    }

    fn footer(&mut self, canvas: &mut Canvas, deck: &Deck, slide: usize, cut: bool) {
        let scale = self.scale();
        let size = 18.0 * scale;
        let (width, height) = (f32::from(self.page.width), f32::from(self.page.height));
        let more = if cut { "…  " } else { "" };
        let number = format!("{more}{} / {}", slide + 1, deck.slides.len());
        let number = self.plain(&number, Face::Text, MUTED, size);
        let right = width - MARGIN * scale - extent(&number).0;
        let title = self.plain(&deck.title, Face::Text, MUTED, size);
        let top = height - 42.0 * scale;
        for (buffer, left) in [(title, MARGIN * scale), (number, right)] {
            let filled = None;
            let mut line = Placed {
                buffer,
                left,
                top,
                filled,
            };
            self.draw(canvas, &mut line, 0.0, self.page.height.into());
        }
    }
}

impl Column {
    fn push(&mut self, buffer: Buffer, left: f32, filled: Option<Filled>) {
        let top = self.height;
        self.height += extent(&buffer).1;
        self.placed.push(Placed {
            buffer,
            left,
            top,
            filled,
        });
    }
}

impl Painter for Painted {
    fn paint(&mut self, deck: &Deck, slide: usize) -> Result<Canvas, Box<dyn Error + Send + Sync>> {
        let page = deck.slides.get(slide).ok_or("there is no such slide")?;
        let scale = self.scale();
        let mut canvas = Canvas::new(self.page, PAPER);
        let edge = round(10.0 * scale).max(1);
        canvas.fill(0, 0, edge, self.page.height.into(), ACCENT);

        let mut column = self.fitted(page);
        let room = self.room();
        // A slide of headings alone is a title page, and is centred.
        let title_page = page
            .blocks
            .iter()
            .all(|block| matches!(block, Block::Heading { .. }));
        let shift = if title_page {
            (room - column.height).max(0.0) / 2.0
        } else {
            0.0
        };
        let bottom = round(TOP * scale + room);
        for placed in &mut column.placed {
            self.draw(&mut canvas, placed, TOP * scale + shift, bottom);
        }
        self.footer(&mut canvas, deck, slide, column.height > room);
        Ok(canvas)
    }
}

/// The nearest pixel.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float outside of the range saturates"
)]
fn round(length: f32) -> i32 {
    length.round() as i32
}
