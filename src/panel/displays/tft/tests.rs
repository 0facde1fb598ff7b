//! The driver against the model of its chips.

use super::*;
use crate::panel::displays::model::{Line, Mipi, Wires, sequences};
use embedded_graphics::geometry::OriginDimensions;
use embedded_graphics::pixelcolor::IntoStorage;
use linux_embedded_hal::spidev::SpiModeFlags;
use proptest::prelude::*;

struct NoDelay;

impl DelayNs for NoDelay {
    fn delay_ns(&mut self, _ns: u32) {}
}

fn tft(chip: Chip, glass: (u32, u32), quarters: u8) -> Tft {
    let wires = SpiWires {
        device: "/dev/spidev0.0".into(),
        chip: "/dev/gpiochip0".into(),
        dc: 25,
        reset: None,
        light: None,
        speed: 1,
        mode: SpiModeFlags::SPI_MODE_0,
    };
    let glass = Size::new(glass.0, glass.1);
    Tft { chip, wires, glass, offset: chip.offset(glass).unwrap(), quarters, inverted: chip == Chip::St7789 }
}

/// The chip with glass as modules have it: in the middle of the memory, but for the square one.
fn module(tft: &Tft) -> Wires<Mipi> {
    let (width, height) = (tft.glass.width as usize, tft.glass.height as usize);
    let offset = if width == height { (0, 0) } else { ((240 - width) / 2, (320 - height) / 2) };
    Wires::new(Mipi::new(tft.chip == Chip::Ili9341, offset))
}

fn open(tft: &Tft, wires: &Wires<Mipi>, with_reset: bool) -> TftDisplay {
    let (tft, wires) = (tft.clone(), wires.clone());
    let (display, problem) = TftDisplay::new(
        tft.size(),
        Box::new(move || {
            let wire = Wire::new(wires.clone(), wires.line(Line::Dc));
            let reset = with_reset.then(|| wires.line(Line::Reset));
            tft.glass(wire, reset, Some(wires.line(Line::Light)), &mut NoDelay)
        }),
    );
    assert!(problem.is_none());
    display
}

/// What a person sees who has turned the glass: whether each pixel has the colour of lit ones.
fn looked_at(tft: &Tft, chip: &Mipi, light: Light) -> Vec<bool> {
    let (width, height) = (tft.glass.width as usize, tft.glass.height as usize);
    let size = tft.size();
    let pixels = (0..size.height as usize).flat_map(|y| (0..size.width as usize).map(move |x| (x, y)));
    pixels
        .map(|(x, y)| {
            let (x, y) = match tft.quarters {
                0 => (x, y),
                1 => (width - 1 - y, x),
                2 => (width - 1 - x, height - 1 - y),
                _ => (y, height - 1 - x),
            };
            let color = chip.glass(x, y).expect("switched on");
            assert!(color == 0 || color == lit(light).into_storage(), "{color:04X} at {x},{y}");
            color != 0
        })
        .collect()
}

fn wanted(tft: &Tft, frame: &Frame) -> Vec<bool> {
    let (size, canvas) = (tft.size(), Canvas::of(tft.size()));
    (0..size.height).flat_map(|y| (0..size.width).map(move |x| canvas.lit(frame, x, y))).collect()
}

fn kinds() -> impl Strategy<Value = Tft> {
    const OF_ST7789: [(u32, u32); 6] = [(240, 240), (240, 320), (240, 280), (172, 320), (170, 320), (135, 240)];
    (0u8..4, 0..=OF_ST7789.len()).prop_map(|(quarters, kind)| match OF_ST7789.get(kind) {
        Some(glass) => tft(Chip::St7789, *glass, quarters),
        None => tft(Chip::Ili9341, (240, 320), quarters),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 28, ..ProptestConfig::default() })]

    #[test]
    fn tfts_show_what_is_wanted(
        (tft, frames) in kinds().prop_flat_map(|tft| (Just(tft.clone()), sequences(Canvas::of(tft.size()).size))),
        with_reset: bool,
        broken_after in 0usize..80,
    ) {
        let wires = module(&tft);
        let mut display = open(&tft, &wires, with_reset);
        prop_assert_eq!(*display.canvas().borrow(), frames[0].size());
        for frame in &frames {
            display.show(frame).unwrap();
            prop_assert!(looked_at(&tft, &wires.bench().chip, Light::Full) == wanted(&tft, frame));
        }
        wires.break_after(broken_after);
        let failed = frames.iter().rev().any(|frame| display.show(frame).is_err());
        wires.mend();
        if failed {
            display.show(&frames[0]).unwrap();
            prop_assert!(looked_at(&tft, &wires.bench().chip, Light::Full) == wanted(&tft, &frames[0]));
        }
    }
}

#[test]
fn only_changes_travel_and_the_light_is_a_colour() {
    let tft = tft(Chip::Ili9341, (240, 320), 1);
    let wires = module(&tft);
    let mut display = open(&tft, &wires, true);
    let mut frame = Frame::new(Size::new(160, 120));
    display.show(&frame).unwrap();
    let before = wires.bench().data_bytes;
    frame.set(10, 10, true);
    display.show(&frame).unwrap();
    // A column of eight canvas pixels, doubled both ways, and its address.
    assert_eq!(wires.bench().data_bytes - before, 2 * 16 * 2 + 8);
    assert!(wires.bench().light);
    for light in [Light::Dim, Light::Off, Light::Full] {
        display.light(light).unwrap();
        let bench = wires.bench();
        let seen = looked_at(&tft, &bench.chip, light);
        assert_eq!(
            (seen.iter().filter(|lit| **lit).count(), bench.light),
            if light == Light::Off { (0, false) } else { (4, true) }
        );
    }
    assert!(!wires.bench().chip.inverted());
    let tft = self::tft(Chip::St7789, (240, 240), 0);
    let wires = module(&tft);
    open(&tft, &wires, true);
    assert!(wires.bench().chip.inverted());
}

#[test]
fn an_ili9341_is_turned_as_linux_turns_it() {
    const MY: u8 = 0x80;
    const MX: u8 = 0x40;
    const MV: u8 = 0x20;
    const BGR: u8 = 0x08;
    // drivers/gpu/drm/tiny/ili9341.c, yx240qv29_enable().
    for (quarters, addressing) in [(0, MX), (1, MV), (2, MY), (3, MV | MY | MX)] {
        let tft = tft(Chip::Ili9341, (240, 320), quarters);
        let wires = module(&tft);
        open(&tft, &wires, true);
        assert_eq!(wires.bench().chip.addressing(), addressing | BGR, "{quarters} quarters");
    }
}
