//! The Linux framebuffer: HDMI, DSI and DPI displays, and SPI displays that have a driver in the kernel.
//!
//! What it looks like is read from sysfs and the pixels are written to the device file, so that no `ioctl` is needed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use embedded_graphics::geometry::{OriginDimensions, Size};
use tokio::sync::watch;

use super::closed;
use crate::panel::{Canvas, Display, Frame, Light, PAGE_ROWS, PanelError};

/// Where the kernel describes its framebuffers.
const SYSFS: &str = "/sys/class/graphics";
/// Widest display that is drawn on: 8K.
const MAX_WIDTH: u32 = 7680;

/// How pixels lie in the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mode {
    /// What is to be seen; the memory may be larger.
    visible: Size,
    /// Bytes from one row to the next.
    stride: u64,
    /// Bytes of a pixel: 2 (565), 3 or 4 (blue first).
    depth: usize,
}

impl Mode {
    fn read(sysfs: &Path) -> io::Result<Self> {
        let text = |name: &str| std::fs::read_to_string(sysfs.join(name)).map(|text| text.trim().to_owned());
        let wrong = |what: &str, text: &str| io::Error::other(format!("its {what} is {text:?}"));
        let bits = text("bits_per_pixel")?;
        let depth = match bits.as_str() {
            "16" => 2,
            "24" => 3,
            "32" => 4,
            _ => return Err(wrong("depth (framebuffer_depth=32 in config.txt helps)", &bits)),
        };
        // As "U:1920x1080p-60"; drivers without modes have only the size of their memory, as "1920,1080".
        let memory = text("virtual_size")?;
        let memory = sides(&memory, ',').ok_or_else(|| wrong("size", &memory))?;
        let visible = text("modes").ok().and_then(|modes| {
            let mode = modes.lines().next()?.split_once(':')?.1;
            sides(mode.trim_end_matches(|ch| ch != 'p' && ch != 'i').trim_end_matches(['p', 'i', 'd']), 'x')
        });
        let visible = visible.unwrap_or(memory);
        let visible = Size::new(visible.width.min(memory.width).min(MAX_WIDTH), visible.height.min(memory.height));
        let stride = match text("stride") {
            Ok(stride) => stride.parse().map_err(|_| wrong("stride", &stride))?,
            Err(_) => u64::from(memory.width) * depth as u64,
        };
        if stride < u64::from(visible.width) * depth as u64 {
            return Err(wrong("stride", &stride.to_string()));
        }
        Ok(Self { visible, stride, depth })
    }

    /// The bytes of a pixel of this grey-blue, as far as the depth goes.
    fn pixel(self, [red, green, blue]: [u8; 3]) -> [u8; 4] {
        if self.depth == 2 {
            let packed = u16::from(red >> 3) << 11 | u16::from(green >> 2) << 5 | u16::from(blue >> 3);
            let [low, high] = packed.to_le_bytes();
            return [low, high, 0, 0];
        }
        [blue, green, red, 0]
    }
}

/// `1920x1080` with this separator; sides are at least 1.
fn sides(text: &str, separator: char) -> Option<Size> {
    let (width, height) = text.split_once(separator)?;
    let size = Size::new(width.trim().parse().ok()?, height.trim().parse().ok()?);
    (size.width > 0 && size.height > 0).then_some(size)
}

/// An open framebuffer.
struct Screen {
    memory: File,
    mode: Mode,
    canvas: Canvas,
}

/// The display and what is known to be shown on it.
pub struct Framebuffer {
    device: PathBuf,
    /// What the kernel says of it.
    sysfs: PathBuf,
    /// None: an error since.
    screen: Option<Screen>,
    canvas: watch::Sender<Size>,
    shown: Option<(Frame, Light)>,
    light: Light,
}

/// The colour of what is lit, as red, green, blue.
fn lit(light: Light) -> [u8; 3] {
    match light {
        Light::Full => [0xE8, 0xF4, 0xFF],
        Light::Dim => [0x44, 0x48, 0x4C],
        Light::Off => [0, 0, 0],
    }
}

impl Framebuffer {
    /// The framebuffer with this device file (`/dev/fb0`), and why it cannot be had, if so; it is looked for again with
    /// every frame.
    pub fn open(device: &Path) -> (Self, Option<PanelError>) {
        let name = device.file_name().unwrap_or_default();
        Self::with_sysfs(device, &Path::new(SYSFS).join(name))
    }

    fn with_sysfs(device: &Path, sysfs: &Path) -> (Self, Option<PanelError>) {
        let mut framebuffer = Self {
            device: device.to_owned(),
            sysfs: sysfs.to_owned(),
            screen: None,
            canvas: watch::channel(crate::panel::OLED).0,
            shown: None,
            light: Light::default(),
        };
        let problem = framebuffer.reopen().map(|screen| framebuffer.screen = Some(screen)).err();
        (framebuffer, problem)
    }

    fn reopen(&mut self) -> Result<Screen, PanelError> {
        let open = || -> io::Result<Screen> {
            let memory = OpenOptions::new().write(true).open(&self.device)?;
            let mode = Mode::read(&self.sysfs)?;
            Ok(Screen { memory, mode, canvas: Canvas::of(mode.visible) })
        };
        let screen = open().map_err(|error| closed(&self.device, error))?;
        self.canvas.send_replace(screen.canvas.size);
        self.shown = None;
        Ok(screen)
    }

    /// Writes what differs from what is shown.
    fn send(&mut self, screen: &Screen, frame: &Frame) -> io::Result<()> {
        let shown = self.shown.take();
        let Screen { memory, mode, canvas } = screen;
        if shown.is_none() {
            // What was there, a console perhaps, is gone also beside the canvas.
            let row = vec![0; mode.visible.width as usize * mode.depth];
            for y in 0..u64::from(mode.visible.height) {
                memory.write_all_at(&row, y * mode.stride)?;
            }
        }
        let pixels = [mode.pixel([0, 0, 0]), mode.pixel(lit(self.light))];
        let same_light = shown.as_ref().filter(|(_, before)| *before == self.light);
        let mut row = Vec::new();
        for region in frame.changes(same_light.map(|(frame, _)| frame)) {
            let top = region.page * PAGE_ROWS;
            for y in top..(top + PAGE_ROWS).min(frame.height() as u32) {
                row.clear();
                for x in region.x..region.x + region.width {
                    let pixel = &pixels[usize::from(frame.pixel(x, y))][..mode.depth];
                    (0..canvas.scale).for_each(|_| row.extend_from_slice(pixel));
                }
                let left = u64::from(canvas.margin.width + region.x * canvas.scale) * mode.depth as u64;
                for line in 0..canvas.scale {
                    let y = u64::from(canvas.margin.height + y * canvas.scale + line);
                    memory.write_all_at(&row, y * mode.stride + left)?;
                }
            }
        }
        if shown.is_none_or(|(_, before)| before != self.light) {
            // FB_BLANK_UNBLANK and FB_BLANK_POWERDOWN of linux/fb.h: the display's own light. Only root may, so it is
            // tried; the picture is black anyway.
            let _ = std::fs::write(self.sysfs.join("blank"), if self.light == Light::Off { "4" } else { "0" });
        }
        self.shown = Some((frame.clone(), self.light));
        Ok(())
    }
}

impl Display for Framebuffer {
    fn canvas(&self) -> watch::Receiver<Size> {
        self.canvas.subscribe()
    }

    fn show(&mut self, frame: &Frame) -> Result<(), PanelError> {
        let screen = match self.screen.take() {
            Some(screen) => screen,
            None => self.reopen()?,
        };
        if frame.size() != screen.canvas.size {
            self.screen = Some(screen);
            return Ok(()); // Drawn before the size was known; the next frame has it.
        }
        self.send(&screen, frame).map_err(|error| PanelError::Display { reason: error.to_string() })?;
        self.screen = Some(screen);
        Ok(())
    }

    fn light(&mut self, light: Light) -> Result<(), PanelError> {
        self.light = light;
        match self.shown.clone() {
            Some((frame, _)) => self.show(&frame),
            None => Ok(()), // Set with the first frame.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panel::displays::model::sequences;
    use proptest::prelude::*;

    /// A framebuffer of files: what the kernel would say of it, and its memory.
    struct Card {
        folder: tempfile::TempDir,
        visible: Size,
        memory: Size,
        depth: usize,
    }

    impl Card {
        fn new(visible: (u32, u32), memory: (u32, u32), depth: usize, modes: bool) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
            write("bits_per_pixel", format!("{}\n", depth * 8));
            write("virtual_size", format!("{},{}\n", memory.0, memory.1));
            write("stride", format!("{}\n", (memory.0 as usize + 8) * depth));
            if modes {
                write("modes", format!("U:{}x{}p-0\n", visible.0, visible.1));
            }
            let size = (memory.0 as usize + 8) * depth * memory.1 as usize;
            std::fs::write(folder.path().join("fb0"), vec![0x77; size]).unwrap();
            Self { folder, visible: Size::new(visible.0, visible.1), memory: Size::new(memory.0, memory.1), depth }
        }

        fn open(&self) -> Framebuffer {
            let (display, problem) = Framebuffer::with_sysfs(&self.folder.path().join("fb0"), self.folder.path());
            assert!(problem.is_none(), "{problem:?}");
            display
        }

        /// Bytes of the visible pixels, row by row.
        fn pixels(&self) -> Vec<Vec<u8>> {
            let bytes = std::fs::read(self.folder.path().join("fb0")).unwrap();
            let stride = (self.memory.width as usize + 8) * self.depth;
            assert_eq!(bytes.len(), stride * self.memory.height as usize, "written beyond the end");
            let rows = bytes.chunks_exact(stride).take(self.visible.height as usize);
            let seen = self.visible.width as usize * self.depth;
            rows.flat_map(|row| row[..seen].chunks_exact(self.depth).map(<[u8]>::to_vec)).collect()
        }

        fn wanted(&self, frame: &Frame, lit: &[u8]) -> Vec<Vec<u8>> {
            let canvas = Canvas::of(self.visible);
            let dark = vec![0; self.depth];
            let places = (0..self.visible.height).flat_map(|y| (0..self.visible.width).map(move |x| (x, y)));
            places.map(|(x, y)| if canvas.lit(frame, x, y) { lit.to_vec() } else { dark.clone() }).collect()
        }
    }

    /// The colour of lit pixels, of each depth: 0xE8F4FF.
    const LIT: [&[u8]; 3] = [&[0xBF, 0xEF], &[0xFF, 0xF4, 0xE8], &[0xFF, 0xF4, 0xE8, 0x00]];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

        #[test]
        fn framebuffers_show_what_is_wanted(
            (visible, frames) in prop::sample::select(vec![(320, 240), (480, 320), (251, 130)]).prop_flat_map(|visible| {
                (Just(visible), sequences(Canvas::of(Size::new(visible.0, visible.1)).size))
            }),
            depth in 2usize..5,
            modes: bool,
        ) {
            // With modes the memory may be larger than what is to be seen.
            let memory = if modes { (visible.0 + 24, visible.1 * 2) } else { visible };
            let card = Card::new(visible, memory, depth, modes);
            let mut display = card.open();
            prop_assert_eq!(*display.canvas().borrow(), frames[0].size());
            for frame in &frames {
                display.show(frame).unwrap();
                prop_assert!(card.pixels() == card.wanted(frame, LIT[depth - 2]));
            }
        }
    }

    #[test]
    fn a_framebuffer_is_dimmed_and_darkened() {
        let card = Card::new((320, 240), (320, 240), 4, true);
        let mut display = card.open();
        let mut frame = Frame::new(Size::new(160, 120));
        frame.set(3, 3, true);
        display.show(&frame).unwrap();
        display.light(Light::Dim).unwrap();
        assert!(card.pixels() == card.wanted(&frame, &[0x4C, 0x48, 0x44, 0]));
        display.light(Light::Off).unwrap();
        assert!(card.pixels().iter().all(|pixel| *pixel == [0; 4]));
        assert_eq!(std::fs::read_to_string(card.folder.path().join("blank")).unwrap(), "4");
        display.light(Light::Full).unwrap();
        assert!(card.pixels() == card.wanted(&frame, LIT[2]));
        assert_eq!(std::fs::read_to_string(card.folder.path().join("blank")).unwrap(), "0");
    }

    #[test]
    fn a_display_that_is_plugged_in_later_has_its_own_size() {
        let card = Card::new((320, 240), (320, 240), 2, true);
        let device = card.folder.path().join("fb0");
        std::fs::rename(&device, card.folder.path().join("away")).unwrap();
        let (mut display, problem) = Framebuffer::with_sysfs(&device, card.folder.path());
        let problem = problem.unwrap().to_string();
        assert!(problem.contains("fb0") && problem.contains("video"), "{problem}");
        let canvas = display.canvas();
        assert!(display.show(&Frame::default()).is_err());
        std::fs::rename(card.folder.path().join("away"), &device).unwrap();
        display.show(&Frame::default()).unwrap();
        assert_eq!(*canvas.borrow(), Size::new(160, 120));
        let mut frame = Frame::new(*canvas.borrow());
        frame.set(159, 119, true);
        display.show(&frame).unwrap();
        assert!(card.pixels() == card.wanted(&frame, LIT[0]));
    }

    #[test]
    fn odd_modes_are_told() {
        for (name, text) in [("bits_per_pixel", "8"), ("virtual_size", "wide"), ("stride", "4"), ("stride", "x")] {
            let card = Card::new((320, 240), (320, 240), 4, true);
            std::fs::write(card.folder.path().join(name), text).unwrap();
            let (_, problem) = Framebuffer::with_sysfs(&card.folder.path().join("fb0"), card.folder.path());
            assert!(problem.unwrap().to_string().contains(text), "{name}");
        }
    }
}
