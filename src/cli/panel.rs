//! `silverstream panel`

mod emulate;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::context::{Context, Failure, unexpected};
use crate::control::{Command, Reply};
use crate::panel::Frame;

/// Pixels of the file a pixel of the display.
const SCALE: u32 = 4;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream panel turn 3                    three detents clockwise
  silverstream panel press
  silverstream panel png now.png")]
pub struct PanelArgs {
    #[command(subcommand)]
    gesture: Gesture,
}

#[derive(Debug, Subcommand)]
enum Gesture {
    /// Turn the knob, clockwise for positive numbers
    #[command(allow_negative_numbers = true)]
    Turn {
        /// Detents
        #[arg(value_parser = clap::value_parser!(i32).range(-1000..=1000))]
        detents: i32,
    },
    /// Press the knob
    Press,
    /// Press the knob twice: the second of two presses is told as such
    Double,
    /// Press the knob for long
    Hold,
    /// Be a serial front panel: show its picture here, with its knob on the keys or on lines of standard input
    Emulate(emulate::EmulateArgs),
    /// Save what the screen shows
    Png {
        /// Where to
        file: PathBuf,
    },
}

pub fn run(context: &Context, args: PanelArgs) -> Result<(), Failure> {
    match args.gesture {
        Gesture::Emulate(args) => emulate::run(args),
        Gesture::Turn { detents } => context.order(&Command::PanelTurn { detents }, ""),
        Gesture::Press => context.order(&Command::PanelPress, ""),
        Gesture::Double => {
            context.order(&Command::PanelPress, "")?;
            context.order(&Command::PanelDouble, "")
        }
        Gesture::Hold => context.order(&Command::PanelHold, ""),
        Gesture::Png { file } => {
            let picture = match context.ask(&Command::PanelPicture)? {
                Reply::Picture(picture) => picture,
                other => return Err(unexpected(&other)),
            };
            let frame = Frame::from_picture(&picture)
                .ok_or_else(|| Failure::Unexpected("a picture of an unknown size".to_owned()))?;
            let png = frame.to_png(SCALE).map_err(std::io::Error::other)?;
            std::fs::write(&file, png)
                .map_err(|error| Failure::Other(format!("{}: {error}; choose another place", file.display())))?;
            if context.json { context.print_json(&serde_json::json!({ "ok": true })) } else { Ok(()) }
        }
    }
}
