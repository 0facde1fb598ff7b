//! How the screens are laid on displays of any size.

use embedded_graphics::geometry::Size;

use super::frame::MAX_SIDE;
use super::{Frame, OLED};

/// Pixels of a canvas, either way, below which it is not enlarged: room for a list of eight rows, and for a line of
/// twenty letters.
const ROOM: u32 = 120;

/// The smallest canvas that screens are made for.
pub const SMALLEST: Size = Size::new(ROOM, OLED.height);

/// The canvas that the screens are drawn on, and how its pixels become those of the display: each a square of `scale`
/// pixels, in the middle of the display.
///
/// The scale is the largest whole number that leaves [`ROOM`] both ways: letters as large as the display allows, for a
/// jukebox is read from across the room, with lists that still are lists. Whole, because letters of one-bit pixels
/// stretched by fractions are hard to read. A 128×64 OLED is its own canvas; 240×240 pixels become 120×120, 320×240
/// become 160×120, 800×480 become 200×120 and 1920×1080 become 213×120.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canvas {
    /// What is drawn on.
    pub size: Size,
    /// Pixels of the display a pixel of the canvas, either way.
    pub scale: u32,
    /// Dark pixels of the display left of and above the canvas.
    pub margin: Size,
}

impl Canvas {
    /// For a display of so many pixels.
    pub fn of(display: Size) -> Self {
        let scale = (display.width / ROOM).min(display.height / ROOM).max(1);
        let side = |pixels: u32| (pixels / scale).min(MAX_SIDE);
        let size = Size::new(side(display.width), side(display.height));
        let margin = Size::new((display.width - size.width * scale) / 2, (display.height - size.height * scale) / 2);
        Self { size, scale, margin }
    }

    /// Whether this pixel of the display is lit when the canvas shows the frame.
    pub fn lit(&self, frame: &Frame, x: u32, y: u32) -> bool {
        let place = |at: u32, margin: u32| at.checked_sub(margin).map(|at| at / self.scale);
        place(x, self.margin.width).zip(place(y, self.margin.height)).is_some_and(|(x, y)| frame.pixel(x, y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn displays_that_people_have() {
        for (display, canvas, scale) in [
            ((128, 64), (128, 64), 1),
            ((240, 240), (120, 120), 2),
            ((240, 135), (240, 135), 1),
            ((320, 240), (160, 120), 2),
            ((240, 320), (120, 160), 2),
            ((480, 320), (240, 160), 2),
            ((800, 480), (200, 120), 4),
            ((1280, 720), (213, 120), 6),
            ((1920, 1080), (213, 120), 9),
            ((3840, 2160), (213, 120), 18),
        ] {
            let of = Canvas::of(Size::new(display.0, display.1));
            assert_eq!((of.size, of.scale), (Size::new(canvas.0, canvas.1), scale), "{display:?}");
        }
    }

    proptest! {
        #[test]
        fn a_canvas_fits_its_display(width in 1u32..5000, height in 1u32..5000) {
            let canvas = Canvas::of(Size::new(width, height));
            let right = canvas.margin.width + canvas.size.width * canvas.scale;
            let bottom = canvas.margin.height + canvas.size.height * canvas.scale;
            prop_assert!(right <= width && bottom <= height);
            prop_assert!(canvas.size.width >= 1 && canvas.size.height >= 1);
            let mut frame = Frame::new(canvas.size);
            let corner = (canvas.size.width as i32 - 1, canvas.size.height as i32 - 1);
            frame.set(corner.0, corner.1, true);
            prop_assert!(canvas.lit(&frame, right - 1, bottom - 1) && canvas.lit(&frame, right - canvas.scale, bottom - 1));
            let left = right.checked_sub(canvas.scale + 1);
            prop_assert!(!canvas.lit(&frame, right, bottom - 1));
            prop_assert!(left.is_none_or(|left| !canvas.lit(&frame, left, bottom - 1)), "nothing is left of a single column");
        }
    }
}
