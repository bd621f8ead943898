//! The fonts, and text set in them. No font of the machine is used: a slide looks the same on every
//! machine, and needs no installed fonts.

use super::Rgb;
use crate::deck::{Span, Style};
use cosmic_text::{
    Attrs, Buffer, Color, Family, FontSystem, Metrics, Shaping, SwashCache, Weight, Wrap,
    fontdb::{Database, Source},
};
use epaint_default_fonts::{EMOJI_ICON, HACK_REGULAR, NOTO_EMOJI_REGULAR, UBUNTU_LIGHT};
use std::sync::Arc;

/// The typeface of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    Text,
    Code,
}

/// The inks of a text's styles.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inks {
    pub(super) plain: Rgb,
    pub(super) strong: Rgb,
    pub(super) code: Rgb,
    pub(super) link: Rgb,
}

impl Inks {
    /// One ink for all.
    pub(super) const fn one(ink: Rgb) -> Self {
        Self {
            plain: ink,
            strong: ink,
            code: ink,
            link: ink,
        }
    }

    fn of(&self, style: Style) -> Rgb {
        match style {
            Style::Plain => self.plain,
            Style::Strong => self.strong,
            Style::Code => self.code,
            Style::Link => self.link,
        }
    }
}

/// The loaded fonts and the cache of drawn letters.
#[derive(Debug)]
pub(super) struct Fonts {
    system: FontSystem,
    glyphs: SwashCache,
    text: Named,
    code: Named,
}

/// The name of a loaded typeface. Its only weight is requested as well: a letter in another weight
/// would come from another typeface.
#[derive(Debug, Clone)]
struct Named {
    family: String,
    weight: Weight,
}

impl Fonts {
    pub(super) fn new() -> Self {
        let mut fonts = Database::new();
        let text = load(&mut fonts, UBUNTU_LIGHT);
        let code = load(&mut fonts, HACK_REGULAR);
        for signs in [NOTO_EMOJI_REGULAR, EMOJI_ICON] {
            load(&mut fonts, signs);
        }
        Self {
            system: FontSystem::new_with_locale_and_db("en-US".to_owned(), fonts),
            glyphs: SwashCache::new(),
            text,
            code,
        }
    }

    /// Sets `spans` at `size` pixels in lines at most `width` wide.
    pub(super) fn set(
        &mut self,
        spans: &[Span],
        face: Face,
        inks: Inks,
        size: f32,
        width: f32,
    ) -> Buffer {
        let spacing = if face == Face::Code { 1.3 } else { 1.36 };
        let mut buffer = Buffer::new(&mut self.system, Metrics::relative(size, spacing));
        buffer.set_size(Some(width), None);
        buffer.set_wrap(if face == Face::Code {
            Wrap::Glyph
        } else {
            Wrap::WordOrGlyph
        });
        let attributes = |style: Style| {
            let code = face == Face::Code || style == Style::Code;
            let named = if code { &self.code } else { &self.text };
            let [red, green, blue] = inks.of(style);
            Attrs::new()
                .family(Family::Name(&named.family))
                .weight(named.weight)
                .color(Color::rgb(red, green, blue))
        };
        buffer.set_rich_text(
            spans
                .iter()
                .map(|span| (&*span.text, attributes(span.style))),
            &attributes(Style::Plain),
            Shaping::Advanced,
            None,
        );
        buffer.shape_until_scroll(&mut self.system, false);
        buffer
    }

    /// Calls `put` with the position, ink and coverage of every pixel of a set text.
    pub(super) fn draw(&mut self, buffer: &mut Buffer, mut put: impl FnMut(i32, i32, Rgb, u8)) {
        let ink = Color::rgb(u8::MAX, u8::MAX, u8::MAX);
        buffer.draw(
            &mut self.system,
            &mut self.glyphs,
            ink,
            |left, top, width, height, ink| {
                let (right, bottom) = (
                    left.saturating_add_unsigned(width),
                    top.saturating_add_unsigned(height),
                );
                for y in top..bottom {
                    for x in left..right {
                        put(x, y, [ink.r(), ink.g(), ink.b()], ink.a());
                    }
                }
            },
        );
    }
}

fn load(fonts: &mut Database, bytes: &'static [u8]) -> Named {
    let loaded = fonts.load_font_source(Source::Binary(Arc::new(bytes)));
    let face = loaded.first().and_then(|id| fonts.face(*id));
    // The bytes are compiled in, so this does not depend on the machine.
    let face = face.expect("an embedded font can be read");
    Named {
        family: face
            .families
            .first()
            .map_or_else(String::new, |family| family.0.clone()),
        weight: face.weight,
    }
}

/// Width and height of a set text.
pub(super) fn extent(buffer: &Buffer) -> (f32, f32) {
    buffer.layout_runs().fold((0.0, 0.0), |(width, _), run| {
        (f32::max(width, run.line_w), run.line_top + run.line_height)
    })
}
