//! What is accepted and what is refused.

use super::*;

fn wires(dc: u32) -> SpiWires {
    SpiWires {
        device: "/dev/spidev0.0".into(),
        chip: GPIO_CHIP.into(),
        dc,
        reset: None,
        light: None,
        speed: OLED_SPEED,
        mode: SpiModeFlags::SPI_MODE_0,
    }
}

#[test]
fn displays_are_named_as_in_the_board_files() {
    assert_eq!("none".parse(), Ok(DisplaySpec::None));
    assert_eq!("simulated".parse(), Ok(DisplaySpec::Simulated { size: OLED }));
    assert_eq!("simulated:160x120".parse(), Ok(DisplaySpec::Simulated { size: Size::new(160, 120) }));
    let i2c = |address| Bus::I2c { device: "/dev/i2c-1".into(), address };
    let oled = |chip, bus| Ok(DisplaySpec::Oled { chip, bus });
    assert_eq!("ssd1306-i2c:/dev/i2c-1".parse(), oled(oled::Chip::Ssd1306, i2c(0x3C)));
    assert_eq!("sh1106-i2c:/dev/i2c-1:address=3d".parse(), oled(oled::Chip::Sh1106, i2c(0x3D)));
    let with_reset = SpiWires { reset: Some(27), ..wires(25) };
    assert_eq!("ssd1309-spi:/dev/spidev0.0:dc=25,reset=27".parse(), oled(oled::Chip::Ssd1306, Bus::Spi(with_reset)));
    assert_eq!("serial:/dev/ttyS1".parse(), Ok(DisplaySpec::Serial { device: "/dev/ttyS1".into() }));
    assert_eq!("framebuffer:/dev/fb0".parse(), Ok(DisplaySpec::Framebuffer { device: "/dev/fb0".into() }));
}

#[test]
fn tfts_are_as_wide_as_they_are_turned() {
    let size = |text: &str| match text.parse() {
        Ok(DisplaySpec::Tft(tft)) => tft.size(),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(size("st7789-spi:/dev/spidev0.0:dc=25"), Size::new(240, 240));
    assert_eq!(size("ili9341-spi:/dev/spidev0.0:dc=25,reset=27,light=18"), Size::new(320, 240));
    assert_eq!(size("ili9341-spi:/dev/spidev0.0:dc=25,rotate=180"), Size::new(240, 320));
    assert_eq!(size("st7789-spi:/dev/spidev0.0:dc=25,size=170x320,rotate=270,invert=no"), Size::new(320, 170));
}

#[test]
fn glass_has_its_place_in_the_memory() {
    let parsed = |options: &str| format!("st7789-spi:/dev/spidev0.0:dc=25,{options}").parse();
    let offset = |options: &str| match parsed(options) {
        Ok(DisplaySpec::Tft(tft)) => (tft.offset.width, tft.offset.height),
        other => panic!("{options}: {other:?}"),
    };
    assert_eq!(offset("size=135x240"), (52, 40));
    assert_eq!(offset("size=240x280,rotate=90"), (0, 20));
    assert_eq!(offset("size=170x320,offset=0x0"), (0, 0));
    assert_eq!(offset("size=76x284,offset=82x18"), (82, 18));
    let refused = |options: &str| parsed(options).unwrap_err().to_string();
    assert!(refused("size=76x284").contains("offset=XxY"));
    for options in ["size=320x240", "size=170x320,offset=71x0", "size=240x240,offset=0x81", "offset=4294967295x0"] {
        assert!(refused(options).contains("240x320"), "{options}");
    }
    assert!(refused("offset=35").contains("st7789-spi"));
    assert!("ili9341-spi:/dev/spidev0.0:dc=25,size=240x280".parse::<DisplaySpec>().is_err());
}

#[test]
fn a_line_has_one_end() {
    for options in ["dc=25,reset=25", "dc=25,reset=24,light=24", "dc=25,light=25"] {
        for kind in ["st7789-spi", "sh1106-spi"] {
            let refused = format!("{kind}:/dev/spidev0.0:{options}").parse::<DisplaySpec>().unwrap_err();
            assert!(refused.to_string().contains("one thing only"), "{refused}");
        }
    }
}

#[test]
fn a_module_without_chip_select_has_the_clock_it_needs() {
    let mode = |text: &str| match text.parse() {
        Ok(DisplaySpec::Tft(Tft { wires, .. }) | DisplaySpec::Oled { bus: Bus::Spi(wires), .. }) => {
            wires.options().spi_mode
        }
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(mode("st7789-spi:/dev/spidev0.0:dc=25"), Some(SpiModeFlags::SPI_MODE_0));
    assert_eq!(mode("st7789-spi:/dev/spidev0.0:dc=25,mode=3"), Some(SpiModeFlags::SPI_MODE_3));
    assert_eq!(mode("ssd1306-spi:/dev/spidev0.0:dc=25,mode=3"), Some(SpiModeFlags::SPI_MODE_3));
    assert!("st7789-spi:/dev/spidev0.0:dc=25,mode=1".parse::<DisplaySpec>().is_err());
}

#[test]
fn other_words_are_refused_with_examples() {
    for text in [
        "",
        "none:",
        "ssd1306-i2c",
        "ssd1306-i2c:",
        "ssd1306-i2c:/dev/i2c-1:address=7f",
        "ssd1306-i2c:/dev/i2c-1:adress=3c",
        "ssd1306-spi:/dev/spidev0.0",
        "ssd1306-spi:/dev/spidev0.0:dc=x",
        "ssd1306-spi::dc=25",
        "st7789-spi:/dev/spidev0.0:dc=25,rotate=45",
        "ili9341-spi:/dev/spidev0.0:dc=25,invert=perhaps",
        "simulated:0x64",
        "framebuffer:",
        "oled",
        "serial:",
    ] {
        let error = text.parse::<DisplaySpec>().unwrap_err().to_string();
        assert!(error.contains("ssd1306-i2c:/dev/i2c-1"), "{error}");
    }
}

#[test]
fn devices_are_files() {
    let devices = |text: &str| text.parse::<DisplaySpec>().unwrap().devices();
    assert!(devices("none").is_empty());
    assert_eq!(devices("serial:/dev/ttyS1@9600"), [PathBuf::from("/dev/ttyS1")]);
    assert_eq!(devices("sh1106-spi:/dev/spidev0.1:dc=25"), ["/dev/spidev0.1", GPIO_CHIP].map(PathBuf::from));
    assert_eq!("gpio:/dev/gpiochip4:1,2,3".parse::<KnobSpec>().unwrap().devices(), [PathBuf::from("/dev/gpiochip4")]);
}

#[test]
fn knobs_are_named_as_in_the_board_files() {
    let mut lines = Lines { a: 17, b: 27, press: 22, steps: Steps::Four, keys: Vec::new() };
    let gpio = |lines: &Lines| Ok(KnobSpec::Gpio { chip: "/dev/gpiochip0".into(), lines: lines.clone() });
    assert_eq!("gpio:/dev/gpiochip0:17,27,22".parse(), gpio(&lines));
    lines.steps = Steps::Two;
    lines.keys = vec![(Key::Next, 5), (Key::Play, 6)];
    assert_eq!("gpio:/dev/gpiochip0:17, 27, 22, steps=2, next=5, play=6".parse(), gpio(&lines));
    assert_eq!("input".parse(), Ok(KnobSpec::Input { devices: Vec::new() }));
    let devices = vec!["/dev/input/event0".into(), "/dev/input/event3".into()];
    assert_eq!("input:/dev/input/event0,/dev/input/event3".parse(), Ok(KnobSpec::Input { devices }));
    for text in [
        "",
        "input:",
        "input:/dev/a,,/dev/b",
        "gpio:/dev/gpiochip0",
        "gpio::1,2,3",
        "gpio:x:1,2",
        "gpio:x:1,2,3,4",
        "gpio:x:1,1,3",
        "gpio:x:-1,2,3",
        "gpio:x:1,2,3,steps=3",
        "gpio:x:1,2,3,next=3",
        "gpio:x:1,2,3,fire=4",
    ] {
        assert!(text.parse::<KnobSpec>().is_err(), "{text}");
    }
}
