//! Draws pages that are laid out.

use super::fonts::{Fonts, Look, extent, round};
use super::layout::{
    ACCENT, Arranged, FOOTER, MARGIN, MUTED, NOTICE, PAPER, Prepared, TOP, plain, scale,
};
use super::library::{FontLibrary, Han};
use super::{Arrangement, Canvas, PageSize, Painter, Rgb};
use crate::deck::{Block, Content, Deck, Span};
use cosmic_text::Buffer;
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;

/// The ink of the notice about characters that cannot be drawn.
const AMBER: Rgb = [251, 191, 36];

/// Number of characters that a notice names.
const NAMED: usize = 6;

/// The painter of [`TextStudio`](super::TextStudio).
#[derive(Debug)]
pub(super) struct TextPainter {
    page: PageSize,
    fonts: Fonts,
    /// The arranged slides.
    slides: Vec<Arrangement>,
    /// The slide that was laid out last, with its number.
    current: Option<(usize, Laid)>,
}

/// A slide that is laid out, and the characters on it that no font has.
#[derive(Debug)]
struct Laid {
    arranged: Arranged,
    missing: BTreeSet<char>,
}

impl TextPainter {
    pub(super) fn new(page: PageSize, library: FontLibrary) -> Self {
        Self {
            page,
            fonts: Fonts::new(library),
            slides: Vec::new(),
            current: None,
        }
    }

    fn lay(&mut self, deck: &Deck, slide: usize) -> Result<Laid, Box<dyn Error + Send + Sync>> {
        let content = deck.slides.get(slide).ok_or("there is no such slide")?;
        let prepared = Prepared::new(&mut self.fonts, content);
        if slide == 0 {
            // The title is on every page, and is named once.
            self.fonts.set(&plain(&deck.title), Look::one(MUTED), None);
        }
        let missing = self.fonts.take_missing();
        let lack = if missing.is_empty() { 0.0 } else { NOTICE };
        let arranged = prepared.arrange(&mut self.fonts, self.page, lack);
        Ok(Laid { arranged, missing })
    }

    /// Draws the title and the number, which every page has.
    fn footer(&mut self, canvas: &mut Canvas, title: &str, number: &str) {
        let scale = scale(self.page);
        let (width, height) = (f32::from(self.page.width), f32::from(self.page.height));
        let (left, inner) = (MARGIN * scale, width - 2.0 * MARGIN * scale);
        let mut number = self.line(number, MUTED, 18.0 * scale, None);
        let number_width = extent(&number).0;
        let top = height - 42.0 * scale;
        let place = width - left - number_width;
        self.draw(canvas, &mut number, place, top);

        let room = (inner - number_width - 40.0 * scale).max(1.0);
        let mut line = self.line(title, MUTED, 18.0 * scale, Some(room));
        if line.layout_runs().count() > 1 {
            // A long title is smaller, on two lines.
            self.fonts
                .fit(&mut line, (14.0 * scale).max(1.0), 1.3, Some(room));
            self.fonts.shorten(&mut line, 2);
        }
        let middle = top + (extent(&number).1 - extent(&line).1) / 2.0;
        self.draw(canvas, &mut line, left, middle);
    }

    fn notice(&mut self, canvas: &mut Canvas, missing: &BTreeSet<char>) {
        let scale = scale(self.page);
        let width = f32::from(self.page.width) - 2.0 * MARGIN * scale;
        let text = undrawn(missing);
        let mut line = self.line(&text, AMBER, 18.0 * scale, Some(width));
        self.fonts.shorten(&mut line, 1);
        let top = f32::from(self.page.height) - (FOOTER + NOTICE - 4.0) * scale;
        self.draw(canvas, &mut line, MARGIN * scale, top);
    }

    fn line(&mut self, text: &str, ink: Rgb, size: f32, width: Option<f32>) -> Buffer {
        let mut line = self.fonts.set(&plain(text), Look::one(ink), None);
        self.fonts.fit(&mut line, size.max(1.0), 1.36, width);
        line
    }

    fn draw(&mut self, canvas: &mut Canvas, text: &mut Buffer, left: f32, top: f32) {
        let clip = 0..i32::from(self.page.height);
        for run in text.layout_runs() {
            let place = (left, top + run.line_top);
            self.fonts.draw(canvas, &run, place, clip.clone());
        }
    }

    /// Draws the rows of a page.
    fn rows(&mut self, canvas: &mut Canvas, arranged: &Arranged, page: usize, bottom: f32) {
        let rows = &arranged.rows[arranged.pages[page].clone()];
        let top = TOP * scale(self.page);
        let clip = 0..round(bottom);
        // The first row of a page has no gap above it.
        let gap = |number: usize| if number == 0 { 0.0 } else { rows[number].gap };
        let height: f32 = rows
            .iter()
            .enumerate()
            .map(|(at, row)| gap(at) + row.height)
            .sum();
        let mut down = top;
        if arranged.is_centred && arranged.pages.len() == 1 {
            down += (bottom - top - height).max(0.0) / 2.0;
        }
        let mut lines: Vec<(usize, usize, f32, f32)> = Vec::new();
        for (number, row) in rows.iter().enumerate() {
            let above = gap(number);
            down += above;
            for fill in &row.fills {
                let joined = if fill.joined { above } else { 0.0 };
                let (from, to) = (down + fill.top - joined, down + fill.top + fill.height);
                // The edges are rounded, so that adjacent fills meet.
                let (from, to) = (round(from), round(to).max(round(from) + 1));
                let to = to.min(clip.end);
                let width = round(fill.width).max(1);
                canvas.fill(round(fill.left), from, width, to - from, fill.ink);
            }
            let placed = row.lines.iter();
            lines.extend(placed.map(|line| (line.buffer, line.number, line.left, down + line.top)));
            down += row.height;
        }
        lines.sort_unstable_by_key(|&(buffer, line, ..)| (buffer, line));
        for of_buffer in lines.chunk_by(|a, b| a.0 == b.0) {
            let mut wanted = of_buffer.iter().peekable();
            let buffer = &arranged.buffers[of_buffer[0].0];
            for (number, run) in buffer.layout_runs().enumerate() {
                let Some(&&(_, line, left, top)) = wanted.peek() else {
                    break;
                };
                if line == number {
                    self.fonts.draw(canvas, &run, (left, top), clip.clone());
                    wanted.next();
                }
            }
        }
    }
}

impl Painter for TextPainter {
    fn arrange(
        &mut self,
        deck: &Deck,
        slide: usize,
    ) -> Result<Arrangement, Box<dyn Error + Send + Sync>> {
        if slide == 0 {
            self.fonts.write(written(deck));
        }
        let laid = self.lay(deck, slide)?;
        let warnings = if laid.missing.is_empty() {
            Vec::new()
        } else {
            vec![format!("Slide {}: {}.", slide + 1, undrawn(&laid.missing))]
        };
        let pages = laid.arranged.pages.len();
        let arrangement = Arrangement { pages, warnings };
        self.slides.truncate(slide);
        self.slides.push(arrangement.clone());
        self.current = Some((slide, laid));
        Ok(arrangement)
    }

    fn paint(&mut self, deck: &Deck, page: usize) -> Result<Canvas, Box<dyn Error + Send + Sync>> {
        let (mut slide, mut part) = (0, page);
        while let Some(arranged) = self.slides.get(slide).filter(|slide| slide.pages <= part) {
            part -= arranged.pages;
            slide += 1;
        }
        if slide >= self.slides.len() {
            return Err("there is no such page".into());
        }
        let laid = match self.current.take() {
            Some((current, laid)) if current == slide => laid,
            _ => self.lay(deck, slide)?,
        };
        let scale = scale(self.page);
        let mut canvas = Canvas::new(self.page, PAPER);
        let edge = round(10.0 * scale).max(1);
        canvas.fill(0, 0, edge, self.page.height.into(), ACCENT);
        let lack = if laid.missing.is_empty() { 0.0 } else { NOTICE };
        let bottom = f32::from(self.page.height) - (FOOTER + lack) * scale;
        self.rows(&mut canvas, &laid.arranged, part, bottom);
        if !laid.missing.is_empty() {
            self.notice(&mut canvas, &laid.missing);
        }
        let pages: usize = self.slides.iter().map(|slide| slide.pages).sum();
        let mut number = format!("{} / {pages}", page + 1);
        let parts = laid.arranged.pages.len();
        if parts > 1 {
            number = format!("part {} of {parts}  ·  {number}", part + 1);
        }
        self.footer(&mut canvas, &deck.title, &number);
        self.current = Some((slide, laid));
        Ok(canvas)
    }
}

/// A sentence about characters that no font has, without a full stop.
fn undrawn(missing: &BTreeSet<char>) -> String {
    let count = missing.len();
    let mut text = match count {
        1 => "1 character cannot be drawn, because no font has it:".to_owned(),
        _ => format!("{count} characters cannot be drawn, because no font has them:"),
    };
    for (number, c) in missing.iter().take(NAMED).enumerate() {
        let comma = if number == 0 { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(text, "{comma} U+{:04X}", u32::from(*c));
    }
    if count > NAMED {
        let _ = write!(text, " and {} more", count - NAMED);
    }
    text
}

/// The form of Chinese characters in a deck: Japanese is written with kana, Korean with hangul.
fn written(deck: &Deck) -> Han {
    let blocks = deck.slides.iter().flat_map(|slide| &slide.blocks);
    let (mut kana, mut hangul) = (0_usize, 0_usize);
    let mut count = |text: &str| {
        for c in text.chars() {
            kana += usize::from(matches!(c, '\u{3040}'..='\u{30ff}'));
            hangul += usize::from(matches!(c, '\u{ac00}'..='\u{d7a3}'));
        }
    };
    for block in blocks {
        each_text(block, &mut count);
    }
    match (kana, hangul) {
        (0, 0) => Han::Chinese,
        (kana, hangul) if kana >= hangul => Han::Japanese,
        _ => Han::Korean,
    }
}

/// Calls `with` for every text of a block.
fn each_text(block: &Block, mut with: impl FnMut(&str)) {
    let mut spans = |text: &[Span]| text.iter().for_each(|span| with(&span.text));
    match &block.content {
        Content::Heading { text, .. } | Content::Text(text) | Content::Image { text, .. } => {
            spans(text);
        }
        Content::Table(table) => table.rows.iter().flatten().for_each(|cell| spans(cell)),
        Content::Code(code) => with(code),
        Content::Rule => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Studio, TextStudio};
    use super::*;
    use crate::deck::DeckLimits;
    use proptest::prelude::*;

    const PAGE: PageSize = PageSize {
        width: 640,
        height: 360,
    };

    fn painter() -> TextPainter {
        TextPainter::new(PAGE, FontLibrary::default())
    }

    fn deck(markdown: &str) -> Deck {
        let limits = DeckLimits {
            slides: usize::MAX,
            ..DeckLimits::default()
        };
        Deck::parse("A title", markdown, &limits).unwrap()
    }

    /// The first slide of a deck.
    fn lay(markdown: &str) -> Laid {
        painter().lay(&deck(markdown), 0).unwrap()
    }

    /// The letters and digits of the texts of a slide, in order, with the markers of entries.
    fn letters_of_source(slide: &crate::deck::Slide) -> String {
        let mut letters = String::new();
        for block in &slide.blocks {
            letters.push_str(&block.marker);
            each_text(block, |text| letters.push_str(text));
            if let Content::Image { text, file } = &block.content {
                letters.push_str(if text.is_empty() { "image" } else { "" });
                letters.push_str(file);
            }
        }
        letters.retain(char::is_alphanumeric);
        letters
    }

    /// The letters and digits of each text on the pages, from the glyphs that are drawn. The texts
    /// are in the order of their first lines.
    fn letters_of_pages(arranged: &Arranged) -> String {
        let mut order = Vec::new();
        let mut texts = vec![String::new(); arranged.buffers.len()];
        for row in arranged
            .pages
            .iter()
            .flat_map(|page| &arranged.rows[page.clone()])
        {
            for line in &row.lines {
                if !order.contains(&line.buffer) {
                    order.push(line.buffer);
                }
                let run = arranged.buffers[line.buffer].layout_runs().nth(line.number);
                let run = run.expect("the line is in the text");
                let drawn = |at: usize| {
                    run.glyphs
                        .iter()
                        .any(|glyph| (glyph.start..glyph.end).contains(&at))
                };
                let letters = run.text.char_indices().filter(|&(at, _)| drawn(at));
                texts[line.buffer].extend(letters.map(|(_, c)| c).filter(|c| c.is_alphanumeric()));
            }
        }
        order.into_iter().map(|text| &*texts[text]).collect()
    }

    /// Checks that nothing is outside of the pages.
    fn check_bounds(arranged: &Arranged, lack: f32) {
        let scale = scale(PAGE);
        let room = f32::from(PAGE.height) - (TOP + FOOTER + lack) * scale;
        for page in &arranged.pages {
            let rows = &arranged.rows[page.clone()];
            let gaps: f32 = rows.iter().skip(1).map(|row| row.gap).sum();
            let height = gaps + rows.iter().map(|row| row.height).sum::<f32>();
            assert!(height <= room + 0.1, "{height} of {room}: {rows:?}");
            for row in rows {
                for line in &row.lines {
                    let run = arranged.buffers[line.buffer]
                        .layout_runs()
                        .nth(line.number)
                        .unwrap();
                    assert!(line.top + run.line_height <= row.height + 0.1, "{row:?}");
                    for glyph in run.glyphs {
                        let (left, right) = (line.left + glyph.x, line.left + glyph.x + glyph.w);
                        let is_space = run.text[glyph.start..glyph.end].trim().is_empty();
                        let inside = left >= -0.1 && right <= f32::from(PAGE.width) + 0.1;
                        assert!(inside || is_space, "{left} to {right}: {:?}", run.text);
                    }
                }
                for fill in &row.fills {
                    assert!(fill.top + fill.height <= row.height + 0.1, "{row:?}");
                    assert!(fill.left >= 0.0 && fill.left + fill.width <= f32::from(PAGE.width));
                }
            }
        }
    }

    fn words() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            8 => "[a-zA-Z]{1,9}",
            1 => "[a-z]{40,200}",
            1 => "[а-яїґ]{1,9}",
            1 => "[α-ω]{1,9}",
            1 => "[א-ת]{1,9}",
            1 => "[ء-غف-ي]{1,9}",
            1 => "[ăâđêôơưằẳẵặấầẩẫậ]{1,4}",
            1 => Just("✅ 🎉".to_owned()),
            1 => "[0-9]{1,5}[,.:)]",
        ];
        proptest::collection::vec(word, 1..12).prop_map(|words| words.join(" "))
    }

    /// A block of Markdown.
    fn block() -> impl Strategy<Value = String> {
        let texts = || proptest::collection::vec(words(), 1..8);
        prop_oneof![
            1 => (1..=6_usize, words()).prop_map(|(level, text)| format!("{} {text}", "#".repeat(level))),
            4 => words(),
            2 => texts().prop_map(|items| items.iter().map(|item| format!("- {item}")).collect::<Vec<_>>().join("\n")),
            1 => texts().prop_map(|items| items.iter().enumerate().map(|(depth, item)| format!("{}1. {item}", "   ".repeat(depth))).collect::<Vec<_>>().join("\n")),
            1 => texts().prop_map(|lines| format!("> {}", lines.join("\n>\n> "))),
            1 => texts().prop_map(|lines| format!("```\n{}\n```", lines.join("\n"))),
            1 => (texts(), 1..30_usize).prop_map(|(cells, columns)| {
                let row = |cells: &[String]| format!("|{}|\n", cells.join("|"));
                let head = row(&vec!["h".to_owned(); columns]);
                let rule = row(&vec![":-:".to_owned(); columns]);
                let rows: String = cells.chunks(columns).map(row).collect();
                format!("{head}{rule}{rows}")
            }),
            1 => words().prop_map(|text| format!("![{text}](picture.png)")),
            1 => words().prop_map(|text| format!("**{text}** *{text}* ~~{text}~~ `{text}` [{text}](https://e.example)")),
            1 => words().prop_map(|text| format!("- [x] {text}\n- [ ] {text}")),
            1 => words().prop_map(|text| format!("{text}[^note]\n\n[^note]: {text}")),
        ]
    }

    fn markdown() -> impl Strategy<Value = String> {
        let blocks = |most| proptest::collection::vec(block(), 1..most);
        prop_oneof![blocks(4), blocks(40)].prop_map(|blocks| blocks.join("\n\n"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_letter_is_on_exactly_one_page_in_order_and_inside_of_it(markdown in markdown()) {
            let deck = deck(&markdown);
            let mut painter = painter();
            for slide in 0..deck.slides.len() {
                let laid = painter.lay(&deck, slide).unwrap();
                prop_assert!(laid.missing.is_empty(), "{:?}", laid.missing);
                let source = letters_of_source(&deck.slides[slide]);
                prop_assert_eq!(letters_of_pages(&laid.arranged), source);
                check_bounds(&laid.arranged, 0.0);
            }
        }

        #[test]
        fn any_text_stays_on_its_pages(text in any::<String>(), code in any::<String>()) {
            let markdown = format!("# {text}\n\n- {text}\n\n| {text} |\n|---|\n\n```\n{code}\n```\n\nx");
            let deck = deck(&markdown);
            let mut painter = painter();
            for slide in 0..deck.slides.len() {
                let laid = painter.lay(&deck, slide).unwrap();
                let lack = if laid.missing.is_empty() { 0.0 } else { NOTICE };
                check_bounds(&laid.arranged, lack);
            }
        }
    }

    #[test]
    fn the_usual_scripts_and_signs_have_glyphs() {
        // Latin with its extensions, Greek, Cyrillic, Vietnamese, Hebrew and Arabic letters.
        let blocks = [
            '!'..='~',
            '¡'..='ɏ',
            '\u{1ea0}'..='\u{1ef9}',
            'Α'..='Ρ',
            'Σ'..='ώ',
            '\u{400}'..='\u{527}',
            'א'..='ת',
            'ء'..='غ',
            'ف'..='ي',
            '٠'..='٩',
            '←'..='⇿',
            '∀'..='⋿',
            '─'..='╿',
        ];
        let text: String = blocks
            .into_iter()
            .flatten()
            .filter(|c| *c != '`' && *c != '\\')
            .collect();
        let signs = "“”‘’–—…•€£¥₴½¼ªº°§¶©®™✓✗☐☑★♥ ✅❌⚠🚀🎉😀👍";
        let laid = lay(&format!("`` {text} ``\n\n`` {signs} ``\n\n# `` {text} ``"));
        assert_eq!(laid.missing, BTreeSet::new());
        // A glyph of its own, and not the sign for a missing one.
        for run in laid.arranged.buffers.iter().flat_map(Buffer::layout_runs) {
            assert!(
                run.glyphs.iter().all(|glyph| glyph.glyph_id != 0),
                "{}",
                run.text
            );
        }
    }

    #[test]
    fn a_character_without_a_font_is_named_on_the_slide_and_in_a_warning() {
        let deck = deck("# नमस्ते\n\nx\n\n---\n\nfine");
        let mut painter = TextStudio::new(PAGE).painter();
        let first = painter.arrange(&deck, 0).unwrap();
        let expected = "Slide 1: 6 characters cannot be drawn, because no font has them: U+0924, U+0928, U+092E, U+0938, U+0947, U+094D.";
        assert_eq!(first.warnings, [expected]);
        assert_eq!(painter.arrange(&deck, 1).unwrap().warnings, [""; 0]);
        let amber = |canvas: &Canvas| {
            canvas
                .pixels()
                .chunks(3)
                .any(|pixel| pixel[0] > 200 && pixel[2] < 90)
        };
        assert!(amber(&painter.paint(&deck, 0).unwrap()));
        assert!(!amber(&painter.paint(&deck, 1).unwrap()));
    }

    #[test]
    fn a_title_without_a_font_is_named_once() {
        let deck = Deck::parse("漢字", "a\n\n---\n\nb", &DeckLimits::default()).unwrap();
        let mut painter = painter();
        let warnings = [0, 1].map(|slide| painter.arrange(&deck, slide).unwrap().warnings.len());
        assert_eq!(warnings, [1, 0]);
    }

    #[test]
    fn right_to_left_text_is_on_the_right_with_its_marker() {
        for (markdown, is_rtl) in [("- שלום", true), ("- مرحبا", true), ("- hello", false)]
        {
            let laid = lay(markdown);
            let lines = &laid.arranged.rows[0].lines;
            let places: Vec<(f32, f32)> = lines
                .iter()
                .map(|line| {
                    let run = laid.arranged.buffers[line.buffer]
                        .layout_runs()
                        .next()
                        .unwrap();
                    let glyphs = run.glyphs.iter();
                    glyphs.fold((f32::INFINITY, 0.0), |(left, right), glyph| {
                        let at = line.left + glyph.x;
                        (f32::min(left, at), f32::max(right, at + glyph.w))
                    })
                })
                .collect();
            let [marker, text] = places[..] else {
                panic!("a marker and a text")
            };
            assert_eq!(text.0 > f32::from(PAGE.width) / 2.0, is_rtl, "{markdown}");
            // They do not touch.
            let (first, second) = if is_rtl {
                (text, marker)
            } else {
                (marker, text)
            };
            assert!(first.1 < second.0, "{markdown}: {first:?} {second:?}");
        }
    }

    #[test]
    fn punctuation_stays_at_its_end_of_a_right_to_left_word() {
        for markdown in ["(שלום)", "**שלום**, כן", "زيت، ماء."] {
            let laid = lay(markdown);
            let run = laid.arranged.buffers[0].layout_runs().next().unwrap();
            // From right to left, the positions in the text ascend.
            let mut glyphs: Vec<(f32, usize)> = run
                .glyphs
                .iter()
                .map(|glyph| (-glyph.x, glyph.start))
                .collect();
            glyphs.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(
                glyphs.is_sorted_by_key(|glyph| glyph.1),
                "{markdown}: {glyphs:?}"
            );
        }
    }

    #[test]
    fn arabic_letters_are_joined() {
        let glyph = |markdown: &str| {
            let laid = lay(markdown);
            let run = laid.arranged.buffers[0].layout_runs().next().unwrap();
            run.glyphs
                .iter()
                .map(|glyph| glyph.glyph_id)
                .collect::<Vec<_>>()
        };
        let (alone, joined) = (glyph("ب"), glyph("ببب"));
        assert_eq!(joined.len(), 3);
        assert!(!joined.contains(&alone[0]) && joined[0] != joined[1]);
    }

    #[test]
    fn struck_text_has_a_line_through_it() {
        let white = |markdown: &str| {
            let deck = deck(markdown);
            let mut painter = painter();
            painter.arrange(&deck, 0).unwrap();
            let canvas = painter.paint(&deck, 0).unwrap();
            // The longest row of pixels of one ink.
            let rows = canvas.pixels().chunks(3 * usize::from(PAGE.width));
            rows.map(|row| {
                row.chunks(3)
                    .filter(|pixel| *pixel == [203, 213, 225])
                    .count()
            })
            .max()
        };
        assert!(white("~~m m m m m m m m m~~") > white("m m m m m m m m m").map(|most| most * 2));
    }

    #[test]
    fn a_full_slide_is_smaller_and_keeps_one_page_if_it_can() {
        let lines = |count: usize| lay(&"- a line\n".repeat(count)).arranged;
        let size = |arranged: &Arranged| arranged.buffers[1].metrics().font_size;
        let (few, full, over) = (lines(5), lines(16), lines(40));
        assert_eq!(
            (few.pages.len(), full.pages.len(), over.pages.len()),
            (1, 1, 3)
        );
        assert!(size(&few) > size(&full), "{} > {}", size(&few), size(&full));
        // Text is never smaller than a 40th of the height.
        assert!(size(&over) >= f32::from(PAGE.height) / 40.0);
    }

    #[test]
    fn a_heading_is_on_the_page_of_its_text() {
        for lines in 1..60 {
            let arranged = lay(&format!(
                "{}\n# Heading\n\n{}",
                "- a\n".repeat(lines),
                "text\n\n".repeat(8)
            ))
            .arranged;
            for page in &arranged.pages {
                let last = arranged.rows[page.clone()].last().unwrap();
                let buffer = &arranged.buffers[last.lines[0].buffer];
                assert_ne!(buffer.lines[0].text(), "Heading", "{lines} lines");
            }
        }
    }
}
