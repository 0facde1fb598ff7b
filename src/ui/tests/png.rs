//! The screens on displays of all sizes, as PNGs that people can look at: `png/WIDTHxHEIGHT/SCREEN.png`.

use std::path::{Path, PathBuf};

use embedded_graphics::geometry::{OriginDimensions, Size};

use crate::panel::{Canvas, Frame};

/// Displays of which each has another canvas.
const DISPLAYS: [(u32, u32); 5] = [(128, 64), (240, 240), (320, 240), (800, 480), (1920, 1080)];
/// Pixels of a file a pixel of the canvas, and the frame around the picture in pixels of the canvas.
const SCALE: u32 = 2;
const BORDER: u32 = 3;
/// Set, the pictures are written anew. Look at them before they are committed.
const UPDATE: &str = "SILVERSTREAM_UPDATE_PNG";

fn file(display: Size, name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ui/tests/png");
    folder.join(format!("{}x{}", display.width, display.height)).join(format!("{name}.png"))
}

/// The frame of a picture as [`Frame::to_png`] makes them.
fn read(path: &Path, size: Size) -> Option<Frame> {
    let mut reader = ::png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path).ok()?)).read_info().ok()?;
    let mut data = vec![0; reader.output_buffer_size()?];
    let info = reader.next_frame(&mut data).ok()?;
    if (info.width, info.height) != ((size.width + 2 * BORDER) * SCALE, (size.height + 2 * BORDER) * SCALE) {
        return None;
    }
    let mut frame = Frame::new(size);
    for y in 0..size.height {
        for x in 0..size.width {
            let (at, row) = ((x + BORDER) * SCALE, (y + BORDER) * SCALE);
            let lit = data[row as usize * info.line_size + at as usize / 8] & (0x80 >> (at % 8)) != 0;
            frame.set(x as i32, y as i32, lit);
        }
    }
    Some(frame)
}

/// Compares what is drawn with the pictures of this name.
#[track_caller]
pub fn check(name: &str, draw: impl Fn(&mut Frame)) {
    for (width, height) in DISPLAYS {
        let display = Size::new(width, height);
        let mut frame = Frame::new(Canvas::of(display).size);
        draw(&mut frame);
        let path = file(display, name);
        if std::env::var_os(UPDATE).is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, frame.to_png(SCALE).unwrap()).unwrap();
        }
        let wanted = read(&path, frame.size());
        assert!(
            wanted.as_ref() == Some(&frame),
            "{} shows another picture than\n{frame}\nlook at both; {UPDATE}=1 writes it anew",
            path.display()
        );
    }
}
