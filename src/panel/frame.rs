//! A picture of the display, one bit a pixel.

use std::convert::Infallible;
use std::fmt;

use embedded_graphics::Pixel;
use embedded_graphics::geometry::{OriginDimensions, Size};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::DrawTarget;
use embedded_graphics::primitives::Rectangle;

use crate::control::Picture;

/// Pixels across; one row is one `u128`.
pub const WIDTH: u32 = 128;
/// Pixels down.
pub const HEIGHT: u32 = 64;
/// Rows that a byte of the display's memory holds (SSD1306 datasheet, 8.7 "GDDRAM": a page).
const PAGE_ROWS: usize = 8;
/// Pages of the display.
const PAGES: usize = HEIGHT as usize / PAGE_ROWS;

/// What the display shows: a row is a number whose most significant bit is the leftmost pixel, 1 is lit.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    rows: [u128; HEIGHT as usize],
}

/// A part of one page (a band of eight rows).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Band from the top, 0 to 7.
    pub page: u8,
    /// First column.
    pub x: u8,
    /// Columns, 1 to 128.
    pub width: u8,
}

impl Default for Frame {
    fn default() -> Self {
        Self { rows: [0; HEIGHT as usize] }
    }
}

impl Frame {
    /// Whether the pixel is lit; outside of the display nothing is.
    pub fn pixel(&self, x: u32, y: u32) -> bool {
        x < WIDTH && self.rows.get(y as usize).is_some_and(|row| row >> (WIDTH - 1 - x) & 1 == 1)
    }

    /// Lights or darkens the pixel; outside of the display nothing happens.
    pub fn set(&mut self, x: i32, y: i32, lit: bool) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), usize::try_from(y)) else { return };
        if x >= WIDTH {
            return;
        }
        if let Some(row) = self.rows.get_mut(y) {
            let bit = 1 << (WIDTH - 1 - x);
            *row = if lit { *row | bit } else { *row & !bit };
        }
    }

    /// Swaps lit and dark within the rectangle.
    pub fn invert(&mut self, area: Rectangle) {
        for (row, mask) in self.covered(area) {
            *row ^= mask;
        }
    }

    /// Fills the rectangle.
    pub fn fill(&mut self, area: Rectangle, lit: bool) {
        for (row, mask) in self.covered(area) {
            *row = if lit { *row | mask } else { *row & !mask };
        }
    }

    /// Rows that the rectangle touches, with the bits it covers in them.
    fn covered(&mut self, area: Rectangle) -> impl Iterator<Item = (&mut u128, u128)> {
        let clamp = |value: i64, max: u32| value.clamp(0, i64::from(max)) as u32;
        let left = clamp(i64::from(area.top_left.x), WIDTH);
        let right = clamp(i64::from(area.top_left.x) + i64::from(area.size.width), WIDTH);
        let top = clamp(i64::from(area.top_left.y), HEIGHT);
        let bottom = clamp(i64::from(area.top_left.y) + i64::from(area.size.height), HEIGHT);
        let tail = |from: u32| u128::MAX.checked_shr(from).unwrap_or(0);
        let mask = tail(left) & !tail(right);
        self.rows[top as usize..(bottom.max(top)) as usize].iter_mut().map(move |row| (row, mask))
    }

    /// The picture moved right and down by so many pixels; what leaves is lost, what enters is dark.
    #[must_use]
    pub fn shifted(&self, right: i32, down: i32) -> Self {
        let mut moved = Self::default();
        for (y, row) in self.rows.iter().enumerate() {
            let Some(to) = moved.rows.get_mut((y as i64 + i64::from(down)) as usize) else { continue };
            *to = if right >= 0 {
                row.checked_shr(right.unsigned_abs()).unwrap_or(0)
            } else {
                row.checked_shl(right.unsigned_abs()).unwrap_or(0)
            };
        }
        moved
    }

    /// The bytes of a region as displays keep them: a byte a column, least significant bit on top.
    pub fn page_bytes(&self, region: Region) -> impl Iterator<Item = u8> + '_ {
        let top = usize::from(region.page) * PAGE_ROWS;
        let rows = self.rows.get(top..top + PAGE_ROWS).unwrap_or(&[]);
        (0..u32::from(region.width)).map(move |column| {
            let x = u32::from(region.x) + column;
            rows.iter().rev().fold(0, |byte, row| byte << 1 | (x < WIDTH && row >> (WIDTH - 1 - x) & 1 == 1) as u8)
        })
    }

    /// Puts bytes as of [`Frame::page_bytes`] back; what lies outside of the display is ignored.
    pub fn set_page_bytes(&mut self, region: Region, bytes: &[u8]) {
        for (column, byte) in bytes.iter().take(usize::from(region.width)).enumerate() {
            for bit in 0..PAGE_ROWS {
                let (x, y) = (usize::from(region.x) + column, usize::from(region.page) * PAGE_ROWS + bit);
                self.set(x as i32, y as i32, byte >> bit & 1 == 1);
            }
        }
    }

    /// What must be sent to turn `shown` into this frame; everything if nothing is known to be shown. At most one
    /// region a page: what lies between two changes in a page costs less than addressing twice.
    pub fn changes(&self, shown: Option<&Self>) -> impl Iterator<Item = Region> {
        let mut regions = [None; PAGES];
        for (page, (to, rows)) in regions.iter_mut().zip(self.rows.chunks_exact(PAGE_ROWS)).enumerate() {
            let changed = match shown {
                Some(shown) => {
                    let old = &shown.rows[page * PAGE_ROWS..];
                    rows.iter().zip(old).fold(0, |changed, (new, old)| changed | (new ^ old))
                }
                None => u128::MAX,
            };
            if changed != 0 {
                let x = changed.leading_zeros();
                let width = WIDTH - changed.trailing_zeros() - x;
                *to = Some(Region { page: page as u8, x: x as u8, width: width as u8 });
            }
        }
        regions.into_iter().flatten()
    }

    /// As it travels over the control socket.
    pub fn to_picture(&self) -> Picture {
        let bits = self.rows.iter().map(|row| format!("{row:032x}")).collect();
        Picture { width: WIDTH, height: HEIGHT, bits }
    }

    /// The frame of a picture; none if the picture is not one of this display.
    pub fn from_picture(picture: &Picture) -> Option<Self> {
        let digits = WIDTH as usize / 4;
        let right_size = picture.width == WIDTH && picture.height == HEIGHT;
        if !right_size || picture.bits.len() != digits * HEIGHT as usize || !picture.bits.is_ascii() {
            return None;
        }
        let mut frame = Self::default();
        for (row, text) in frame.rows.iter_mut().zip(picture.bits.as_bytes().chunks_exact(digits)) {
            let text = std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+'))?;
            *row = u128::from_str_radix(text, 16).ok()?;
        }
        Some(frame)
    }
}

/// Two rows a line, with half blocks: what it looks like, for terminals and snapshots.
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rows in self.rows.chunks_exact(2) {
            let line: String = (0..WIDTH)
                .map(|x| match rows.iter().fold(0, |bits, row| bits << 1 | (row >> (WIDTH - 1 - x) & 1)) {
                    0b00 => ' ',
                    0b10 => '▀',
                    0b01 => '▄',
                    _ => '█',
                })
                .collect();
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl OriginDimensions for Frame {
    fn size(&self) -> Size {
        Size::new(WIDTH, HEIGHT)
    }
}

impl DrawTarget for Frame {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(point, color) in pixels {
            self.set(point.x, point.y, color.is_on());
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, color: BinaryColor) -> Result<(), Infallible> {
        self.fill(*area, color.is_on());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_graphics::geometry::Point;
    use proptest::prelude::*;

    fn frames() -> impl Strategy<Value = Frame> {
        prop::collection::vec(any::<u128>(), HEIGHT as usize).prop_map(|rows| Frame { rows: rows.try_into().unwrap() })
    }

    /// Frames that differ in a few pixels, as those of a screen do.
    fn neighbours() -> impl Strategy<Value = (Frame, Frame)> {
        (frames(), prop::collection::vec((0..WIDTH as i32, 0..HEIGHT as i32), 0..6)).prop_map(|(frame, pixels)| {
            let mut other = frame.clone();
            for (x, y) in pixels {
                other.set(x, y, !frame.pixel(x as u32, y as u32));
            }
            (frame, other)
        })
    }

    #[test]
    fn a_row_is_leftmost_bit_first() {
        let mut frame = Frame::default();
        frame.set(0, 0, true);
        frame.set(127, 1, true);
        let picture = frame.to_picture();
        assert!(picture.bits.starts_with("80000000000000000000000000000000000000000000000000000000000000010"));
    }

    #[test]
    fn outside_of_the_display_nothing_happens() {
        let mut frame = Frame::default();
        for (x, y) in [(-1, 0), (0, -1), (128, 0), (0, 64), (i32::MIN, i32::MAX)] {
            frame.set(x, y, true);
        }
        let far = Rectangle::new(Point::new(i32::MAX - 1, -5), Size::new(u32::MAX, 3));
        frame.fill(far, true);
        frame.invert(far);
        assert_eq!(frame, Frame::default());
        assert!(!frame.pixel(128, 0) && !frame.pixel(0, 64));
    }

    #[test]
    fn foreign_pictures_are_refused() {
        let good = Frame::default().to_picture();
        for bits in [String::new(), "g".repeat(2048), "é".repeat(1024), "0".repeat(2047), "+0".repeat(1024)] {
            assert_eq!(Frame::from_picture(&Picture { bits, ..good }), None);
        }
        assert_eq!(Frame::from_picture(&Picture { width: 64, ..good }), None);
    }

    proptest! {
        #[test]
        fn pictures_round_trip(frame in frames()) {
            prop_assert_eq!(Frame::from_picture(&frame.to_picture()), Some(frame));
        }

        #[test]
        fn sent_changes_make_the_new_frame((old, new) in neighbours(), known: bool) {
            let mut device = if known { old.clone() } else { Frame::default() };
            let shown = known.then_some(&old);
            for region in new.changes(shown) {
                let bytes: Vec<u8> = new.page_bytes(region).collect();
                prop_assert_eq!(bytes.len(), usize::from(region.width));
                device.set_page_bytes(region, &bytes);
            }
            prop_assert_eq!(&device, &new);
            prop_assert_eq!(new.changes(Some(&new)).count(), 0);
        }

        #[test]
        fn filling_is_setting_every_pixel(x in -40i32..160, y in -40i32..100, w in 0u32..200, h in 0u32..100, lit: bool) {
            let area = Rectangle::new(Point::new(x, y), Size::new(w, h));
            let mut fast = Frame::default();
            fast.invert(Rectangle::new(Point::new(0, 20), Size::new(128, 9)));
            let mut slow = fast.clone();
            fast.fill(area, lit);
            for y in y..y + h as i32 {
                for x in x..x + w as i32 {
                    slow.set(x, y, lit);
                }
            }
            prop_assert_eq!(fast, slow);
        }

        #[test]
        fn shifting_moves_every_pixel(frame in frames(), right in -130i32..130, down in -70i32..70) {
            let moved = frame.shifted(right, down);
            for y in 0..HEIGHT {
                for x in 0..WIDTH {
                    let from = (x as i32 - right, y as i32 - down);
                    let lit = from.0 >= 0 && from.1 >= 0 && frame.pixel(from.0 as u32, from.1 as u32);
                    prop_assert_eq!(moved.pixel(x, y), lit);
                }
            }
        }
    }
}
