//! Text set in fonts.

use super::library::{FontLibrary, Han, Wanted};
use super::{Canvas, Rgb};
use crate::deck::{Kind, Span, Style, is_invisible};
use cosmic_text::{
    Align, Attrs, Buffer, Color, Ellipsize, EllipsizeHeightLimit, Family, FontSystem, LayoutRun,
    Metrics, PhysicalGlyph, Renderer, Shaping, SwashCache, Wrap, fontdb::Database,
    render_decoration,
};
use std::collections::{BTreeSet, HashMap};
use unicode_segmentation::UnicodeSegmentation;

/// Shown for a character that no font has.
const MISSING: &str = "\u{fffd}";

/// The look of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) plain: Rgb,
    pub(super) strong: Rgb,
    pub(super) code: Rgb,
    pub(super) link: Rgb,
    /// Whether all of it is code.
    pub(super) is_code: bool,
    /// Whether all of it is bold.
    pub(super) is_bold: bool,
}

impl Look {
    /// One ink for all.
    pub(super) const fn one(ink: Rgb) -> Self {
        Self {
            plain: ink,
            strong: ink,
            code: ink,
            link: ink,
            is_code: false,
            is_bold: false,
        }
    }

    fn ink(&self, style: Style) -> Rgb {
        match style.kind {
            Kind::Code => self.code,
            Kind::Link => self.link,
            Kind::Plain if style.strong => self.strong,
            Kind::Plain => self.plain,
        }
    }
}

/// A part of a text in one face and style.
#[derive(Debug)]
struct Run {
    text: String,
    face: usize,
    style: Style,
}

/// The loaded fonts and the cache of drawn letters.
#[derive(Debug)]
pub(super) struct Fonts {
    library: FontLibrary,
    system: FontSystem,
    glyphs: SwashCache,
    /// The faces of the library that are in `system`.
    loaded: BTreeSet<usize>,
    missing: BTreeSet<char>,
    /// The faces of single characters.
    chosen: HashMap<(char, Wanted), Option<usize>>,
    han: Han,
}

impl Fonts {
    pub(super) fn new(library: FontLibrary) -> Self {
        let mut database = Database::new();
        let loaded: BTreeSet<usize> = FontLibrary::embedded().collect();
        for &face in &loaded {
            database.push_face_info(library.face(face).info.clone());
        }
        Self {
            library,
            system: FontSystem::new_with_locale_and_db("en-US".to_owned(), database),
            glyphs: SwashCache::new(),
            loaded,
            missing: BTreeSet::new(),
            chosen: HashMap::new(),
            han: Han::default(),
        }
    }

    /// Sets `spans`. Their size and width are determined by [`fit`](Self::fit).
    pub(super) fn set(&mut self, spans: &[Span], look: Look, align: Option<Align>) -> Buffer {
        let runs = self.runs(spans, look);
        for &Run { face, .. } in &runs {
            if self.loaded.insert(face) {
                let info = self.library.face(face).info.clone();
                self.system.db_mut().push_face_info(info);
            }
        }
        let mut buffer = Buffer::new(&mut self.system, Metrics::relative(16.0, 1.0));
        buffer.set_wrap(if look.is_code {
            Wrap::Glyph
        } else {
            Wrap::WordOrGlyph
        });
        let attributes = |at: usize| {
            let Run { face, style, .. } = &runs[at];
            let face = self.library.face(*face);
            let info = &face.info;
            let [red, green, blue] = look.ink(*style);
            // The face's own weight and slant are requested: with others, the letter would come from
            // another face.
            let attributes = Attrs::new()
                .family(Family::Name(&face.family))
                .weight(info.weight)
                .style(info.style)
                .stretch(info.stretch)
                .color(Color::rgb(red, green, blue));
            if style.struck {
                attributes.strikethrough()
            } else {
                attributes
            }
        };
        let first = if runs.is_empty() {
            Attrs::new()
        } else {
            attributes(0)
        };
        let texts = runs.iter().enumerate();
        buffer.set_rich_text(
            texts.map(|(at, run)| (&*run.text, attributes(at))),
            &first,
            Shaping::Advanced,
            align,
        );
        buffer
    }

    /// Divides a text into runs of one face and style.
    fn runs(&mut self, spans: &[Span], look: Look) -> Vec<Run> {
        let mut clusters: Vec<Run> = Vec::new();
        for span in spans {
            let wanted = Wanted {
                code: look.is_code || span.style.kind == Kind::Code,
                strong: look.is_bold || span.style.strong,
                emphasised: span.style.emphasised,
            };
            for cluster in span.text.graphemes(true) {
                let before = clusters.last().map(|run| run.face);
                let (text, face) = self.drawable(cluster, wanted, before);
                let style = span.style;
                clusters.push(Run { text, face, style });
            }
        }
        let is_space = |run: &Run| run.text.chars().all(char::is_whitespace);
        for word in clusters.split_mut(is_space) {
            self.unify(word);
        }
        let mut runs: Vec<Run> = Vec::new();
        for cluster in clusters {
            match runs.last_mut() {
                Some(run) if run.face == cluster.face && run.style == cluster.style => {
                    run.text.push_str(&cluster.text);
                }
                _ => runs.push(cluster),
            }
        }
        runs
    }

    /// Draws a word of a right-to-left script in one face, together with its punctuation. Otherwise
    /// cosmic-text 0.19 swaps the parts: it joins the runs of a word from left to right.
    fn unify(&self, word: &mut [Run]) {
        let is_rtl = |run: &Run| run.text.starts_with(is_right_to_left);
        let Some(face) = word.iter().find(|run| is_rtl(run)).map(|run| run.face) else {
            return;
        };
        for run in word {
            let is_ltr = run
                .text
                .starts_with(|c: char| c.is_alphabetic() && !is_right_to_left(c));
            let has_all = || {
                run.text
                    .chars()
                    .all(|c| is_invisible(c) || self.library.face(face).has(c))
            };
            if !is_ltr && has_all() {
                run.face = face;
            }
        }
    }

    /// Chooses the form of Chinese characters for the texts that follow.
    pub(super) fn write(&mut self, han: Han) {
        if self.han != han {
            self.han = han;
            self.chosen.clear();
        }
    }

    fn choose(&mut self, cluster: &str, wanted: Wanted) -> Option<usize> {
        let Self {
            library,
            chosen,
            han,
            ..
        } = self;
        let mut characters = cluster.chars();
        match (characters.next(), characters.next()) {
            (Some(c), None) => *chosen
                .entry((c, wanted))
                .or_insert_with(|| library.choose(cluster, wanted, *han)),
            _ => library.choose(cluster, wanted, *han),
        }
    }

    /// A character with its marks as it can be drawn, and the face that has it.
    fn drawable(
        &mut self,
        cluster: &str,
        wanted: Wanted,
        before: Option<usize>,
    ) -> (String, usize) {
        if matches!(cluster, "\n" | "\r\n") {
            return ("\n".to_owned(), before.unwrap_or(0));
        }
        if let Some(face) = self.choose(cluster, wanted) {
            let mut text = String::with_capacity(cluster.len());
            for c in cluster.chars() {
                if is_invisible(c) {
                    text.extend(Some(c).filter(|&c| is_control_of_shaping(c)));
                } else if self.library.face(face).has(c) {
                    text.push(c);
                } else if !is_skin_tone(c) {
                    self.missing.insert(c);
                    text.push_str(MISSING);
                }
            }
            return (text, face);
        }
        let fallback = before.unwrap_or(0);
        if cluster.chars().all(is_invisible) {
            let kept = cluster.chars().filter(|&c| is_control_of_shaping(c));
            return (kept.collect(), fallback);
        }
        if cluster.chars().all(char::is_whitespace) {
            return (" ".to_owned(), fallback);
        }
        let drawn = cluster.chars().filter(|&c| !is_invisible(c));
        self.missing.extend(drawn);
        let face = self.choose(MISSING, wanted);
        (MISSING.to_owned(), face.unwrap_or(fallback))
    }

    /// Returns the characters that no font has, of all texts that were set since the last call.
    pub(super) fn take_missing(&mut self) -> BTreeSet<char> {
        std::mem::take(&mut self.missing)
    }

    /// Lays out a text at `size` pixels in lines at most `width` wide; without a width, in one line.
    pub(super) fn fit(&mut self, buffer: &mut Buffer, size: f32, spacing: f32, width: Option<f32>) {
        // Whole pixels keep the distance of lines equal.
        let metrics = Metrics::new(size, (size * spacing).round().max(1.0));
        buffer.set_metrics_and_size(metrics, width, None);
        buffer.shape_until_scroll(&mut self.system, false);
        // Where a long word meets the other direction, cosmic-text 0.19 leaves out the rest of the
        // word. It does not if every letter may begin a line.
        if buffer.wrap() == Wrap::WordOrGlyph && is_incomplete(buffer) {
            buffer.set_wrap(Wrap::Glyph);
            buffer.shape_until_scroll(&mut self.system, false);
            buffer.set_wrap(Wrap::WordOrGlyph);
        }
    }

    /// Replaces the text after so many lines by an ellipsis.
    pub(super) fn shorten(&mut self, buffer: &mut Buffer, lines: usize) {
        buffer.set_ellipsize(Ellipsize::End(EllipsizeHeightLimit::Lines(lines)));
        buffer.shape_until_scroll(&mut self.system, false);
    }

    /// Draws one line of a text, its top left corner at `left` and `top`. Nothing is drawn outside
    /// of the rows `clip`.
    pub(super) fn draw(
        &mut self,
        canvas: &mut Canvas,
        line: &LayoutRun<'_>,
        (left, top): (f32, f32),
        clip: std::ops::Range<i32>,
    ) {
        let ink = Color::rgb(u8::MAX, u8::MAX, u8::MAX);
        let baseline = top + line.line_y - line.line_top;
        let mut brush = Brush {
            fonts: self,
            canvas,
            clip,
            left: 0,
            top: 0,
        };
        for glyph in line.glyphs {
            let physical = glyph.physical((left, baseline), 1.0);
            brush.glyph(physical, glyph.color_opt.unwrap_or(ink));
        }
        (brush.left, brush.top) = (round(left), round(top - line.line_top));
        render_decoration(&mut brush, line, ink);
    }
}

/// Draws on a canvas.
struct Brush<'a> {
    fonts: &'a mut Fonts,
    canvas: &'a mut Canvas,
    clip: std::ops::Range<i32>,
    left: i32,
    top: i32,
}

impl Renderer for Brush<'_> {
    fn rectangle(&mut self, x: i32, y: i32, width: u32, height: u32, ink: Color) {
        let (left, top) = (self.left.saturating_add(x), self.top.saturating_add(y));
        let bottom = top.saturating_add_unsigned(height).min(self.clip.end);
        let top = top.max(self.clip.start);
        let width = i32::try_from(width).unwrap_or(i32::MAX);
        self.canvas
            .fill(left, top, width, bottom - top, [ink.r(), ink.g(), ink.b()]);
    }

    fn glyph(&mut self, glyph: PhysicalGlyph, ink: Color) {
        let Fonts { system, glyphs, .. } = &mut *self.fonts;
        glyphs.with_pixels(system, glyph.cache_key, ink, |x, y, ink| {
            let (x, y) = (glyph.x.saturating_add(x), glyph.y.saturating_add(y));
            if self.clip.contains(&y) {
                self.canvas
                    .blend(x, y, [ink.r(), ink.g(), ink.b()], ink.a());
            }
        });
    }
}

/// Whether an invisible character changes how its neighbours are drawn or where a line ends.
fn is_control_of_shaping(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}'
    )
}

/// Whether a glyph of a right-to-left text is on none of its lines.
fn is_incomplete(buffer: &Buffer) -> bool {
    buffer.lines.iter().any(|line| {
        let text = line.text();
        let is_drawn = |start, end| !text[start..end].trim().is_empty();
        let (Some(shape), Some(layout)) = (line.shape_opt(), line.layout_opt()) else {
            return true;
        };
        let words = shape.spans.iter().flat_map(|span| &span.words);
        let shaped = words.flat_map(|word| &word.glyphs);
        let laid = layout.iter().flat_map(|line| &line.glyphs);
        text.contains(is_right_to_left)
            && shaped
                .filter(|glyph| is_drawn(glyph.start, glyph.end))
                .count()
                != laid
                    .filter(|glyph| is_drawn(glyph.start, glyph.end))
                    .count()
    })
}

/// Whether a character only colours the emoji before it. The compiled-in emoji have no colours.
fn is_skin_tone(c: char) -> bool {
    matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
}

/// Whether a character is of a script that is written from right to left.
pub(super) fn is_right_to_left(c: char) -> bool {
    matches!(
        c,
        '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}'
    )
}

/// Width and height of a set text.
pub(super) fn extent(buffer: &Buffer) -> (f32, f32) {
    buffer.layout_runs().fold((0.0, 0.0), |(width, _), run| {
        (f32::max(width, run.line_w), run.line_top + run.line_height)
    })
}

/// The nearest pixel.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float outside of the range saturates"
)]
pub(super) fn round(length: f32) -> i32 {
    length.round() as i32
}
