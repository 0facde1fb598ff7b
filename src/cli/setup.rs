//! `silverstream setup`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::context::{Context, Failure};
use crate::jukebox::checkup;
use crate::system::setup::{self, Mistake, Outcome, Places};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream setup check silverstream.toml   before the card goes into the board
  silverstream setup apply --boot /boot/firmware --state /data/system

Exit status 1 if there are mistakes in it; then only the sections without one are taken over. \
Exit status 3 of `apply` if something is to be written to the boot partition, which is read-only: make it writable and do it \
again.")]
pub struct SetupArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Look for mistakes in a file of settings
    Check {
        /// The file
        file: PathBuf,
    },
    /// Take over silverstream.toml from the boot partition, as root when the board starts
    Apply {
        /// Folder of the boot partition
        #[arg(long, value_name = "DIR")]
        boot: PathBuf,
        /// Folder for what is taken over
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// The system that is set up
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    ok: bool,
    mistakes: &'a [Mistake],
}

pub fn run(context: &Context, args: SetupArgs) -> Result<(), Failure> {
    match args.what {
        What::Check { file } => match setup::check(&file, std::path::Path::new("/"), &checkup::objections) {
            Ok(()) => tell(context, &[], "no mistakes"),
            Err(mistakes) => tell(context, &mistakes, ""),
        },
        What::Apply { boot, state, root } => {
            let places = Places { boot: &boot, state: &state, root: &root };
            let outcome = setup::apply(&places, &checkup::objections);
            let outcome = outcome.and_then(|outcome| setup::limit(&state).map(|()| outcome)).map_err(|error| {
                Failure::Other(format!("the settings cannot be kept in {}: {error}", state.display()))
            })?;
            match outcome {
                Outcome::NoFile => tell(context, &[], "there are no settings; what was taken over before stays"),
                Outcome::Taken(mistakes) => tell(context, &mistakes, "the settings are taken over"),
                // They are told when it is done again.
                Outcome::Unwritten(_) => Err(Failure::ReadOnly(boot)),
            }
        }
    }
}

fn tell(context: &Context, mistakes: &[Mistake], done: &str) -> Result<(), Failure> {
    if context.json {
        context.print_json(&Answer { ok: mistakes.is_empty(), mistakes })?;
    } else {
        mistakes.iter().try_for_each(|mistake| context.print(&mistake.to_string()))?;
        if mistakes.is_empty() {
            context.print(done)?;
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}
