//! Colour displays on SPI whose chips speak the MIPI display command set: ST7789 and ILI9341.

use std::io;
use std::iter::repeat_n;

use embedded_graphics::geometry::Size;
use embedded_graphics::pixelcolor::{Rgb565, RgbColor};
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;
use embedded_hal::spi::SpiDevice;
use linux_embedded_hal::Delay;
use mipidsi::Builder;
use mipidsi::interface::{Interface, InterfaceKind};
use mipidsi::models::{ILI9341Rgb565, Model, ST7789};
use mipidsi::options::{ColorInversion, ColorOrder, Orientation, Rotation};
use tokio::sync::watch;

use super::{SpiWires, closed, silent};
use crate::panel::{Canvas, Display, Frame, Light, PAGE_ROWS, PanelError};

/// Bytes that are collected for one transfer: what the kernel's driver takes at once (spidev's `bufsiz`).
const BUFFER: usize = 4096;

/// Which chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chip {
    St7789,
    Ili9341,
}

/// Pixels of the chips' memory, which glass may have fewer of.
pub const MEMORY: Size = Size::new(240, 320);

/// Glass that is sold with an ST7789, and the column and row of the memory at which it begins: in the middle, but for the
/// square one (Adafruit_ST7789.cpp, `init` and rotation 2, which is the chip's own direction).
const GLASS_OF_ST7789: [(Size, Size); 6] = [
    (Size::new(240, 240), Size::zero()),
    (MEMORY, Size::zero()),
    (Size::new(240, 280), Size::new(0, 20)),
    (Size::new(172, 320), Size::new(34, 0)),
    (Size::new(170, 320), Size::new(35, 0)),
    (Size::new(135, 240), Size::new(52, 40)),
];

impl Chip {
    /// Where in the memory glass of this size begins, if that is known.
    pub fn offset(self, glass: Size) -> Option<Size> {
        match self {
            Self::St7789 => GLASS_OF_ST7789.iter().find(|(size, _)| *size == glass).map(|(_, offset)| *offset),
            Self::Ili9341 => (glass == MEMORY).then(Size::zero),
        }
    }
}

/// A display and how it is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tft {
    pub chip: Chip,
    pub wires: SpiWires,
    /// Pixels of the glass when it is not turned.
    pub glass: Size,
    /// Column and row of the memory at which the glass begins; all of it is within [`MEMORY`].
    pub offset: Size,
    /// Quarters of a turn, clockwise.
    pub quarters: u8,
    /// Whether lit and dark are swapped in the chip, as glass of the IPS kind needs it.
    pub inverted: bool,
}

impl Tft {
    /// Pixels as they are looked at.
    pub fn size(&self) -> Size {
        if self.quarters.is_multiple_of(2) { self.glass } else { Size::new(self.glass.height, self.glass.width) }
    }

    /// The display, and why it cannot be had, if so; it is looked for again with every frame.
    pub fn open(self) -> (TftDisplay, Option<PanelError>) {
        let size = self.size();
        TftDisplay::new(
            size,
            Box::new(move || {
                let wires = &self.wires;
                let open = || -> io::Result<_> {
                    let wire = Wire::new(wires.bus()?, wires.line(wires.dc, false)?);
                    Ok((wire, wires.optional(wires.reset)?, wires.optional(wires.light)?))
                };
                let (wire, reset, light) = open().map_err(|error| closed(&wires.device, error))?;
                self.glass(wire, reset, light, &mut Delay)
            }),
        )
    }

    /// Sets the chip up.
    fn glass<W, P>(
        &self,
        wire: W,
        reset: Option<P>,
        light: Option<P>,
        delay: &mut impl DelayNs,
    ) -> Result<Box<dyn Glass>, PanelError>
    where
        W: Interface<Word = u8> + Send + 'static,
        P: OutputPin + Send + 'static,
    {
        match self.chip {
            Chip::St7789 => self.init(ST7789, wire, reset, light, delay),
            Chip::Ili9341 => self.init(ILI9341Rgb565, wire, reset, light, delay),
        }
    }

    fn init<M, W, P>(
        &self,
        model: M,
        wire: W,
        reset: Option<P>,
        light: Option<P>,
        delay: &mut impl DelayNs,
    ) -> Result<Box<dyn Glass>, PanelError>
    where
        M: Model<ColorFormat = Rgb565> + Send + 'static,
        W: Interface<Word = u8> + Send + 'static,
        P: OutputPin + Send + 'static,
    {
        let rotation = match self.quarters % 4 {
            0 => Rotation::Deg0,
            1 => Rotation::Deg90,
            2 => Rotation::Deg180,
            _ => Rotation::Deg270,
        };
        // Glass of the ILI9341 is wired with its columns from right to left and blue first. Linux (tiny/ili9341.c) sends the
        // same four values.
        let (mirrored, order) = match self.chip {
            Chip::St7789 => (false, ColorOrder::Rgb),
            Chip::Ili9341 => (true, ColorOrder::Bgr),
        };
        let builder = Builder::new(model, wire)
            .display_size(self.glass.width as u16, self.glass.height as u16)
            .display_offset(self.offset.width as u16, self.offset.height as u16)
            .orientation(Orientation { rotation, mirrored })
            .invert_colors(if self.inverted { ColorInversion::Inverted } else { ColorInversion::Normal })
            .color_order(order);
        Ok(match reset {
            Some(reset) => Box::new(Lit { display: builder.reset_pin(reset).init(delay).map_err(silent)?, light }),
            None => Box::new(Lit { display: builder.init(delay).map_err(silent)?, light }),
        })
    }
}

/// What is sent over SPI, with the line that tells commands from data.
struct Wire<SPI, DC> {
    spi: SPI,
    dc: DC,
    buffer: Vec<u8>,
}

/// Something on the wires does not answer.
#[derive(Debug)]
enum WireError<S, D> {
    Spi(S),
    Dc(D),
}

impl<SPI: SpiDevice, DC: OutputPin> Wire<SPI, DC> {
    fn new(spi: SPI, dc: DC) -> Self {
        Self { spi, dc, buffer: Vec::with_capacity(BUFFER) }
    }

    fn flush(&mut self) -> Result<(), WireError<SPI::Error, DC::Error>> {
        let sent = self.spi.write(&self.buffer).map_err(WireError::Spi);
        self.buffer.clear();
        sent
    }
}

impl<SPI: SpiDevice, DC: OutputPin> Interface for Wire<SPI, DC> {
    type Word = u8;
    type Error = WireError<SPI::Error, DC::Error>;

    const KIND: InterfaceKind = InterfaceKind::Serial4Line;

    fn send_command(&mut self, command: u8, args: &[u8]) -> Result<(), Self::Error> {
        self.dc.set_low().map_err(WireError::Dc)?;
        self.spi.write(&[command]).map_err(WireError::Spi)?;
        self.dc.set_high().map_err(WireError::Dc)?;
        if args.is_empty() { Ok(()) } else { self.spi.write(args).map_err(WireError::Spi) }
    }

    fn send_pixels<const N: usize>(&mut self, pixels: impl IntoIterator<Item = [u8; N]>) -> Result<(), Self::Error> {
        for pixel in pixels {
            self.buffer.extend_from_slice(&pixel);
            if self.buffer.len() + N > BUFFER {
                self.flush()?;
            }
        }
        self.flush()
    }

    fn send_repeated_pixel<const N: usize>(&mut self, pixel: [u8; N], count: u32) -> Result<(), Self::Error> {
        self.send_pixels(repeat_n(pixel, count as usize))
    }
}

/// The glass behind its chip.
trait Glass: Send {
    /// Fills `size` pixels from (x, y) row by row.
    fn fill(&mut self, x: u32, y: u32, size: Size, pixels: &mut dyn Iterator<Item = Rgb565>) -> Result<(), PanelError>;
    /// Switches the light behind the glass, if it can be.
    fn backlight(&mut self, on: bool) -> Result<(), PanelError>;
}

struct Lit<W, M, R, P>
where
    W: Interface<Word = u8>,
    M: Model<ColorFormat = Rgb565>,
    R: OutputPin,
{
    display: mipidsi::Display<W, M, R>,
    light: Option<P>,
}

impl<W, M, R, P> Glass for Lit<W, M, R, P>
where
    W: Interface<Word = u8> + Send,
    M: Model<ColorFormat = Rgb565> + Send,
    R: OutputPin + Send,
    P: OutputPin + Send,
{
    fn fill(&mut self, x: u32, y: u32, size: Size, pixels: &mut dyn Iterator<Item = Rgb565>) -> Result<(), PanelError> {
        let (right, bottom) = (x + size.width - 1, y + size.height - 1);
        self.display.set_pixels(x as u16, y as u16, right as u16, bottom as u16, pixels).map_err(silent)
    }

    fn backlight(&mut self, on: bool) -> Result<(), PanelError> {
        let Some(light) = &mut self.light else { return Ok(()) };
        if on { light.set_high() } else { light.set_low() }.map_err(silent)
    }
}

/// Opens the wires, resets the chip and sets it up.
type Opener = Box<dyn FnMut() -> Result<Box<dyn Glass>, PanelError> + Send>;

/// The display and what is known to be shown on it.
pub struct TftDisplay {
    opener: Opener,
    size: Size,
    canvas: Canvas,
    /// None: an error since.
    glass: Option<Box<dyn Glass>>,
    /// None: nothing that is known; everything must be sent.
    shown: Option<(Frame, Light)>,
    light: Light,
}

/// The colour of what is lit: the glass has no brightness, so dim is a darker colour.
fn lit(light: Light) -> Rgb565 {
    match light {
        Light::Full => Rgb565::new(0x1D, 0x3D, 0x1F),
        Light::Dim => Rgb565::new(0x08, 0x11, 0x09),
        Light::Off => Rgb565::BLACK,
    }
}

impl TftDisplay {
    fn new(size: Size, mut opener: Opener) -> (Self, Option<PanelError>) {
        let (glass, problem) = match opener() {
            Ok(glass) => (Some(glass), None),
            Err(problem) => (None, Some(problem)),
        };
        let display = Self { opener, size, canvas: Canvas::of(size), glass, shown: None, light: Light::default() };
        (display, problem)
    }

    /// Sends what differs from what is shown.
    fn send(&mut self, glass: &mut dyn Glass, frame: &Frame) -> Result<(), PanelError> {
        let shown = self.shown.take();
        let (light, lit) = (self.light, lit(self.light));
        if shown.is_none() {
            // The memory has noise, also beside the canvas.
            let pixels = (self.size.width * self.size.height) as usize;
            glass.fill(0, 0, self.size, &mut repeat_n(Rgb565::BLACK, pixels))?;
        }
        let Canvas { scale, margin, .. } = self.canvas;
        let same_light = shown.as_ref().filter(|(_, before)| *before == light);
        for region in frame.changes(same_light.map(|(frame, _)| frame)) {
            let top = region.page * PAGE_ROWS;
            let rows = PAGE_ROWS.min(frame.height() as u32 - top);
            let row = |y: u32| {
                let columns = region.x..region.x + region.width;
                columns.flat_map(move |x| {
                    let color = if frame.pixel(x, y) { lit } else { Rgb565::BLACK };
                    repeat_n(color, scale as usize)
                })
            };
            let mut pixels = (top..top + rows).flat_map(|y| (0..scale).flat_map(move |_| row(y)));
            let (x, y) = (margin.width + region.x * scale, margin.height + top * scale);
            glass.fill(x, y, Size::new(region.width, rows) * scale, &mut pixels)?;
        }
        if shown.is_none_or(|(_, before)| before != light) {
            glass.backlight(light != Light::Off)?;
        }
        self.shown = Some((frame.clone(), light));
        Ok(())
    }
}

impl Display for TftDisplay {
    fn canvas(&self) -> watch::Receiver<Size> {
        watch::channel(self.canvas.size).1
    }

    fn show(&mut self, frame: &Frame) -> Result<(), PanelError> {
        // Taken: after an error the next frame begins anew, for the display may have lost power.
        let mut glass = match self.glass.take() {
            Some(glass) => glass,
            None => {
                self.shown = None;
                (self.opener)()?
            }
        };
        self.send(&mut *glass, frame)?;
        self.glass = Some(glass);
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
mod tests;
