//! The display as a PNG for people.

use embedded_graphics::geometry::OriginDimensions;

use super::Frame;

/// Largest magnification; 16 gives a picture of 2,048 pixels for an OLED.
pub const MAX_SCALE: u32 = 16;
/// Dark frame around the display, in its pixels.
const BORDER: u32 = 3;
/// Palette: unlit and lit, as RGB; the lit one is the cold white of an OLED.
const PALETTE: [u8; 6] = [0x05, 0x07, 0x0c, 0xe8, 0xf4, 0xff];

impl Frame {
    /// The frame as a PNG in which each pixel is a square of `scale` (1 to [`MAX_SCALE`]) pixels.
    ///
    /// # Errors
    /// Never for lack of memory or because of what is shown; only what the encoder itself finds wrong.
    pub fn to_png(&self, scale: u32) -> Result<Vec<u8>, png::EncodingError> {
        let scale = scale.clamp(1, MAX_SCALE);
        let size = self.size();
        let (width, height) = ((size.width + 2 * BORDER) * scale, (size.height + 2 * BORDER) * scale);
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::One);
        encoder.set_palette(PALETTE.to_vec());
        let mut writer = encoder.write_header()?;
        let mut data = Vec::with_capacity((width.div_ceil(8) * height) as usize);
        for y in 0..height {
            let mut line = vec![0u8; width.div_ceil(8) as usize];
            for x in 0..width {
                let inside = (x / scale).checked_sub(BORDER).zip((y / scale).checked_sub(BORDER));
                if inside.is_some_and(|(x, y)| self.pixel(x, y)) {
                    line[x as usize / 8] |= 0x80 >> (x % 8);
                }
            }
            data.extend_from_slice(&line);
        }
        writer.write_image_data(&data)?;
        writer.finish()?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_is_a_square() {
        let mut frame = Frame::default();
        frame.set(0, 0, true);
        frame.set(127, 63, true);
        let file = frame.to_png(4).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut data = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut data).unwrap();
        assert_eq!((info.width, info.height), (134 * 4, 70 * 4));
        let lit = |x: u32, y: u32| data[(y * info.line_size as u32 + x / 8) as usize] & (0x80 >> (x % 8)) != 0;
        let squares: u32 = data.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(squares, 2 * 16);
        assert!(lit(12, 12) && lit(15, 15) && !lit(11, 12) && !lit(16, 15));
        assert!(lit(130 * 4, 66 * 4) && lit(130 * 4 + 3, 66 * 4 + 3));
    }
}
