//! A picture in memory.

use super::PageSize;

/// A colour: red, green, blue.
pub type Rgb = [u8; 3];

/// Steps between no ink and full ink. The edges of letters are mixed in this many shades. A slide
/// then has fewer than 256 colours, and its GIF frame equals its PNG.
const SHADES: u16 = 15;

/// A picture, three bytes a pixel, from the top left to the bottom right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canvas {
    size: PageSize,
    pixels: Vec<u8>,
}

impl Canvas {
    /// A picture of one colour.
    #[must_use]
    pub fn new(size: PageSize, colour: Rgb) -> Self {
        let count = usize::from(size.width) * usize::from(size.height);
        let pixels = colour.repeat(count);
        Self { size, pixels }
    }

    /// Its size.
    #[must_use]
    pub fn size(&self) -> PageSize {
        self.size
    }

    /// Its bytes, three a pixel.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Mixes `ink` into one pixel, `coverage` of 255 parts. Pixels outside the picture are ignored.
    pub fn blend(&mut self, x: i32, y: i32, ink: Rgb, coverage: u8) {
        let (Ok(x), Ok(y)) = (u16::try_from(x), u16::try_from(y)) else {
            return;
        };
        if x >= self.size.width || y >= self.size.height {
            return;
        }
        let at = 3 * (usize::from(y) * usize::from(self.size.width) + usize::from(x));
        let shade = (u16::from(coverage) * SHADES + 127) / 255;
        for (below, ink) in self.pixels[at..at + 3].iter_mut().zip(ink) {
            let mixed = u16::from(ink) * shade + u16::from(*below) * (SHADES - shade);
            // A mean of two bytes is a byte.
            *below = u8::try_from(mixed / SHADES).unwrap_or(u8::MAX);
        }
    }

    /// Fills a rectangle. The part outside the picture is ignored.
    pub fn fill(&mut self, left: i32, top: i32, width: i32, height: i32, ink: Rgb) {
        for y in top..top.saturating_add(height).min(self.size.height.into()) {
            for x in left..left.saturating_add(width).min(self.size.width.into()) {
                self.blend(x, y, ink, u8::MAX);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: PageSize = PageSize {
        width: 4,
        height: 3,
    };

    #[test]
    fn drawing_outside_changes_nothing() {
        let empty = Canvas::new(SIZE, [1, 2, 3]);
        let mut canvas = empty.clone();
        for (x, y) in [(-1, 0), (0, -1), (4, 0), (0, 3), (i32::MAX, i32::MIN)] {
            canvas.blend(x, y, [255; 3], 255);
        }
        canvas.fill(4, 3, i32::MAX, i32::MAX, [255; 3]);
        assert_eq!(canvas, empty);
    }

    #[test]
    fn full_coverage_is_the_ink_and_none_is_what_was_there() {
        let mut canvas = Canvas::new(SIZE, [10, 20, 30]);
        canvas.blend(0, 0, [200, 100, 0], 255);
        canvas.blend(1, 0, [200, 100, 0], 0);
        assert_eq!(canvas.pixels()[..6], [200, 100, 0, 10, 20, 30]);
    }
}
