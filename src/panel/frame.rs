//! A picture of the display, one bit a pixel.

use std::convert::Infallible;
use std::fmt;

use embedded_graphics::Pixel;
use embedded_graphics::geometry::{OriginDimensions, Size};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::DrawTarget;
use embedded_graphics::primitives::Rectangle;

use crate::control::Picture;

/// The smallest display: an OLED of 128×64 pixels.
pub const OLED: Size = Size::new(128, 64);
/// Pixels across and down at most: no canvas is larger ([`super::Canvas`]).
pub const MAX_SIDE: u32 = 640;
/// Rows that a byte of an OLED's memory holds (SSD1306 datasheet, 8.7 "GDDRAM": a page).
pub const PAGE_ROWS: u32 = 8;

/// What the display shows: rows from the top, each of whole bytes whose most significant bit is the leftmost pixel;
/// 1 is lit. Bits beyond the right edge are always 0.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Frame {
    size: Size,
    bytes: Vec<u8>,
}

/// A part of one page (a band of eight rows).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Band from the top.
    pub page: u32,
    /// First column.
    pub x: u32,
    /// Columns, at least 1.
    pub width: u32,
}

impl Default for Frame {
    fn default() -> Self {
        Self::new(OLED)
    }
}

impl Frame {
    /// A dark frame of this size, of [`MAX_SIDE`] pixels at most either way.
    pub fn new(size: Size) -> Self {
        let size = Size::new(size.width.min(MAX_SIDE), size.height.min(MAX_SIDE));
        Self { size, bytes: vec![0; (size.width.div_ceil(8) * size.height) as usize] }
    }

    /// Pixels across, as positions are counted.
    pub fn width(&self) -> i32 {
        self.size.width as i32
    }

    /// Pixels down, as positions are counted.
    pub fn height(&self) -> i32 {
        self.size.height as i32
    }

    /// Bytes of a row.
    fn stride(&self) -> usize {
        self.size.width.div_ceil(8) as usize
    }

    /// The rows from the top.
    fn rows(&self) -> std::slice::ChunksExact<'_, u8> {
        self.bytes.chunks_exact(self.stride().max(1))
    }

    /// Whether the pixel is lit; outside of the display nothing is.
    pub fn pixel(&self, x: u32, y: u32) -> bool {
        x < self.size.width
            && y < self.size.height
            && self.bytes[y as usize * self.stride() + x as usize / 8] & (0x80 >> (x % 8)) != 0
    }

    /// Lights or darkens the pixel; outside of the display nothing happens.
    pub fn set(&mut self, x: i32, y: i32, lit: bool) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if x < self.size.width && y < self.size.height {
            let stride = self.stride();
            let byte = &mut self.bytes[y as usize * stride + x as usize / 8];
            let bit = 0x80 >> (x % 8);
            *byte = if lit { *byte | bit } else { *byte & !bit };
        }
    }

    /// Swaps lit and dark within the rectangle.
    pub fn invert(&mut self, area: Rectangle) {
        self.change(area, |byte, mask| *byte ^= mask);
    }

    /// Fills the rectangle.
    pub fn fill(&mut self, area: Rectangle, lit: bool) {
        self.change(area, |byte, mask| *byte = if lit { *byte | mask } else { *byte & !mask });
    }

    /// Changes the bytes that the rectangle touches, each with the mask of the bits that it covers.
    fn change(&mut self, area: Rectangle, mut change: impl FnMut(&mut u8, u8)) {
        let clamp = |value: i64, max: u32| value.clamp(0, i64::from(max)) as usize;
        let left = clamp(i64::from(area.top_left.x), self.size.width);
        let right = clamp(i64::from(area.top_left.x) + i64::from(area.size.width), self.size.width);
        let top = clamp(i64::from(area.top_left.y), self.size.height);
        let bottom = clamp(i64::from(area.top_left.y) + i64::from(area.size.height), self.size.height);
        if left >= right {
            return;
        }
        let (first, last) = (left / 8, (right - 1) / 8);
        let stride = self.stride();
        for row in self.bytes.chunks_exact_mut(stride).take(bottom).skip(top) {
            for (index, byte) in row.iter_mut().enumerate().take(last + 1).skip(first) {
                let from = if index == first { 0xFF >> (left % 8) } else { 0xFF };
                let to = if index == last { 0xFF << (7 - (right - 1) % 8) } else { 0xFF };
                change(byte, from & to);
            }
        }
    }

    /// The picture moved right and down by so many pixels; what leaves is lost, what enters is dark.
    #[must_use]
    pub fn shifted(&self, right: i32, down: i32) -> Self {
        let mut moved = Self::new(self.size);
        let (bytes, bits) = ((right.unsigned_abs() / 8) as usize, right.unsigned_abs() % 8);
        let stride = self.stride();
        for (y, row) in self.rows().enumerate() {
            let Some(to) = usize::try_from(y as i64 + i64::from(down)).ok() else { continue };
            let Some(to) = moved.bytes.get_mut(to * stride..(to + 1) * stride) else { continue };
            for (index, to) in to.iter_mut().enumerate() {
                let from = |index: Option<usize>| u32::from(index.and_then(|at| row.get(at)).copied().unwrap_or(0));
                // Two neighbours as one number, out of which eight bits are taken.
                *to = if right >= 0 {
                    let near = index.checked_sub(bytes);
                    let far = near.and_then(|at| at.checked_sub(1));
                    ((from(far) << 8 | from(near)) >> bits) as u8
                } else {
                    let near = index.checked_add(bytes);
                    let far = near.and_then(|at| at.checked_add(1));
                    ((from(near) << 8 | from(far)) << bits >> 8) as u8
                };
            }
        }
        moved.trim();
        moved
    }

    /// Darkens what lies beyond the right edge.
    fn trim(&mut self) {
        let stride = self.stride();
        let beyond = stride as u32 * 8 - self.size.width;
        if beyond > 0 {
            self.bytes.chunks_exact_mut(stride).filter_map(<[u8]>::last_mut).for_each(|last| *last &= 0xFF << beyond);
        }
    }

    /// The bytes of a region as OLEDs keep them: a byte a column, least significant bit on top.
    pub fn page_bytes(&self, region: Region) -> impl Iterator<Item = u8> + '_ {
        let top = region.page * PAGE_ROWS;
        (region.x..region.x + region.width)
            .map(move |x| (0..PAGE_ROWS).rev().fold(0, |byte, row| byte << 1 | u8::from(self.pixel(x, top + row))))
    }

    /// Puts bytes as of [`Frame::page_bytes`] back; what lies outside of the display is ignored.
    pub fn set_page_bytes(&mut self, page: u32, x: u32, bytes: &[u8]) {
        let top = i64::from(page) * i64::from(PAGE_ROWS);
        for (column, byte) in (i64::from(x)..).zip(bytes) {
            for bit in 0..PAGE_ROWS {
                let (x, y) = (i32::try_from(column), i32::try_from(top + i64::from(bit)));
                if let (Ok(x), Ok(y)) = (x, y) {
                    self.set(x, y, byte >> bit & 1 == 1);
                }
            }
        }
    }

    /// What must be sent to turn `shown` into this frame; everything if nothing of this size is known to be shown. At
    /// most one region a page: what lies between two changes in a page costs less than addressing twice.
    pub fn changes<'a>(&'a self, shown: Option<&'a Self>) -> impl Iterator<Item = Region> + use<'a> {
        let shown = shown.filter(|shown| shown.size == self.size);
        let stride = self.stride().max(1);
        let band = stride * PAGE_ROWS as usize;
        let width = self.size.width;
        self.bytes.chunks(band).enumerate().filter_map(move |(page, rows)| {
            let page_number = page as u32;
            let Some(shown) = shown else { return Some(Region { page: page_number, x: 0, width }) };
            let old = shown.bytes.get(page * band..page * band + rows.len())?;
            let (mut left, mut right) = (u32::MAX, 0);
            for (index, (new, old)) in rows.iter().zip(old).enumerate() {
                let changed = new ^ old;
                if changed != 0 {
                    let x = (index % stride) as u32 * 8;
                    left = left.min(x + changed.leading_zeros());
                    right = right.max(x + 8 - changed.trailing_zeros());
                }
            }
            (left < right).then(|| Region { page: page_number, x: left, width: right - left })
        })
    }

    /// As it travels over the control socket.
    pub fn to_picture(&self) -> Picture {
        let bits = self.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Picture { width: self.size.width, height: self.size.height, bits }
    }

    /// The frame of a picture; none if the picture is not one of a display.
    pub fn from_picture(picture: &Picture) -> Option<Self> {
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&picture.width) || !sides.contains(&picture.height) {
            return None;
        }
        let mut frame = Self::new(Size::new(picture.width, picture.height));
        if picture.bits.len() != frame.bytes.len() * 2 {
            return None;
        }
        for (byte, digits) in frame.bytes.iter_mut().zip(picture.bits.as_bytes().chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = (digit(digits[0])? << 4 | digit(digits[1])?) as u8;
        }
        frame.trim();
        Some(frame)
    }
}

/// Two rows a line, with half blocks: what it looks like, for terminals and snapshots.
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for y in (0..self.size.height).step_by(2) {
            let line: String = (0..self.size.width)
                .map(|x| match (self.pixel(x, y), self.pixel(x, y + 1)) {
                    (false, false) => ' ',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (true, true) => '█',
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
        self.size
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

    fn sizes() -> impl Strategy<Value = Size> {
        prop_oneof![Just(OLED), (1u32..200, 1u32..130).prop_map(|(width, height)| Size::new(width, height))]
    }

    fn frames() -> impl Strategy<Value = Frame> {
        sizes().prop_flat_map(|size| {
            prop::collection::vec(any::<u8>(), Frame::new(size).bytes.len()).prop_map(move |bytes| {
                let mut frame = Frame { size, bytes };
                frame.trim();
                frame
            })
        })
    }

    /// Frames that differ in a few pixels, as those of a screen do.
    fn neighbours() -> impl Strategy<Value = (Frame, Frame)> {
        (frames(), prop::collection::vec((0i32..200, 0i32..130), 0..6)).prop_map(|(frame, pixels)| {
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
        let mut odd = Frame::new(Size::new(9, 1));
        odd.set(8, 0, true);
        assert_eq!(odd.to_picture().bits, "0080");
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
        frame.set_page_bytes(u32::MAX, u32::MAX, &[0xFF]);
        assert_eq!(frame, Frame::default());
        assert!(!frame.pixel(128, 0) && !frame.pixel(0, 64));
    }

    #[test]
    fn foreign_pictures_are_refused() {
        let good = Frame::default().to_picture();
        for bits in [String::new(), "g".repeat(2048), "é".repeat(1024), "0".repeat(2047), "+0".repeat(1024)] {
            assert_eq!(Frame::from_picture(&Picture { bits, ..good }), None);
        }
        for (width, height) in [(64, 64), (0, 0), (u32::MAX, u32::MAX), (MAX_SIDE + 1, 1)] {
            assert_eq!(Frame::from_picture(&Picture { width, height, ..good.clone() }), None);
        }
    }

    #[test]
    fn another_size_is_sent_whole() {
        let (small, large) = (Frame::default(), Frame::new(Size::new(160, 120)));
        let all: Vec<Region> = large.changes(Some(&small)).collect();
        assert_eq!(all.len(), 15);
        assert!(all.iter().all(|region| (region.x, region.width) == (0, 160)));
    }

    proptest! {
        #[test]
        fn pictures_round_trip(frame in frames()) {
            prop_assert_eq!(Frame::from_picture(&frame.to_picture()), Some(frame));
        }

        #[test]
        fn sent_changes_make_the_new_frame((old, new) in neighbours(), known: bool) {
            let mut device = if known { old.clone() } else { Frame::new(new.size) };
            let shown = known.then_some(&old);
            for region in new.changes(shown) {
                let bytes: Vec<u8> = new.page_bytes(region).collect();
                prop_assert_eq!(bytes.len(), region.width as usize);
                device.set_page_bytes(region.page, region.x, &bytes);
            }
            prop_assert_eq!(&device, &new);
            prop_assert_eq!(new.changes(Some(&new)).count(), 0);
        }

        #[test]
        fn filling_is_setting_every_pixel(size in sizes(), x in -40i32..160, y in -40i32..100, w in 0u32..200, h in 0u32..100, lit: bool) {
            let area = Rectangle::new(Point::new(x, y), Size::new(w, h));
            let mut fast = Frame::new(size);
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
            for y in 0..frame.height() {
                for x in 0..frame.width() {
                    let from = (x - right, y - down);
                    let lit = from.0 >= 0 && from.1 >= 0 && frame.pixel(from.0 as u32, from.1 as u32);
                    prop_assert_eq!(moved.pixel(x as u32, y as u32), lit);
                }
            }
        }
    }
}
