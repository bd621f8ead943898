//! Encodes pictures: a PNG for each slide, and one animated GIF for the deck.

use crate::render::Canvas;
use std::io::{self, Write};

/// How long the GIF shows a slide, in hundredths of a second.
const DELAY: u16 = 200;

/// Colour reduction from 1 (best) to 30 (fastest), for a picture of more than 256 colours.
const QUANTISATION: i32 = 10;

/// Writes one picture as PNG.
///
/// # Errors
///
/// Returns the error of `to`.
pub fn write_png(to: impl Write, canvas: &Canvas) -> io::Result<()> {
    let size = canvas.size();
    let mut encoder = png::Encoder::new(to, size.width.into(), size.height.into());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    // A picture is written once and sent often.
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(canvas.pixels())?;
    writer.finish()?;
    Ok(())
}

/// An animated GIF that grows by one frame at a time and repeats for ever. Only the frame that is
/// being written is in memory.
#[derive(Debug)]
pub struct Animation<W: Write> {
    to: Option<W>,
    encoder: Option<Frames<W>>,
}

struct Frames<W: Write>(gif::Encoder<W>);

impl<W: Write> std::fmt::Debug for Frames<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Frames")
    }
}

impl<W: Write> Animation<W> {
    /// Returns an animation without frames. The first frame determines its size.
    pub fn new(to: W) -> Self {
        Self {
            to: Some(to),
            encoder: None,
        }
    }

    /// Adds a frame.
    ///
    /// # Errors
    ///
    /// Returns the error of the writer.
    pub fn push(&mut self, canvas: &Canvas) -> io::Result<()> {
        let size = canvas.size();
        if let Some(to) = self.to.take() {
            let mut encoder = gif::Encoder::new(to, size.width, size.height, &[]).map_err(other)?;
            encoder.set_repeat(gif::Repeat::Infinite).map_err(other)?;
            self.encoder = Some(Frames(encoder));
        }
        let frame =
            gif::Frame::from_rgb_speed(size.width, size.height, canvas.pixels(), QUANTISATION);
        let frame = gif::Frame {
            delay: DELAY,
            ..frame
        };
        match &mut self.encoder {
            Some(Frames(encoder)) => encoder.write_frame(&frame).map_err(other),
            // This occurs only after an error above, which the caller has got.
            None => Err(io::Error::other("the animation could not be begun")),
        }
    }

    /// Ends the file and flushes the buffer.
    ///
    /// # Errors
    ///
    /// Returns the error of the writer.
    pub fn finish(self) -> io::Result<()> {
        match self.encoder {
            Some(Frames(encoder)) => encoder.into_inner().map_err(other)?.flush(),
            None => Ok(()),
        }
    }
}

fn other(error: gif::EncodingError) -> io::Error {
    match error {
        gif::EncodingError::Io(error) => error,
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::PageSize;

    const SIZE: PageSize = PageSize {
        width: 16,
        height: 9,
    };

    #[test]
    fn a_png_holds_the_picture() {
        let mut canvas = Canvas::new(SIZE, [9, 8, 7]);
        canvas.fill(2, 2, 3, 3, [200, 100, 50]);
        let mut file = Vec::new();
        write_png(&mut file, &canvas).unwrap();
        let mut reader = png::Decoder::new(io::Cursor::new(file))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, canvas.pixels());
    }

    #[test]
    fn a_gif_holds_a_frame_for_each_picture() {
        let mut file = Vec::new();
        let mut animation = Animation::new(&mut file);
        let pictures = [[1, 2, 3], [40, 50, 60], [7, 8, 9]].map(|ink| Canvas::new(SIZE, ink));
        for picture in &pictures {
            animation.push(picture).unwrap();
        }
        animation.finish().unwrap();

        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut reader = options.read_info(&file[..]).unwrap();
        for picture in &pictures {
            let frame = reader.read_next_frame().unwrap().expect("another frame");
            assert_eq!(frame.delay, DELAY);
            let seen: Vec<u8> = frame
                .buffer
                .chunks(4)
                .flat_map(|p| p[..3].to_vec())
                .collect();
            assert_eq!(seen, picture.pixels());
        }
        assert!(reader.read_next_frame().unwrap().is_none());
    }
}
