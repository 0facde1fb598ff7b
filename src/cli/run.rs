//! `silverstream run`

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;

use super::context::{Context, Failure};
use crate::config::{Board, BoardProfile, Config, device_tree};
use crate::jukebox;

/// The first that is there is read if no other is named: of a package, of a board's image or by hand.
const DEFAULT_CONFIGS: [&str; 2] = ["/etc/silverstream/silverstream.toml", "/etc/silverstream.toml"];

/// Which configuration, the same for `run`, `doctor` and `board`.
#[derive(Debug, Args)]
pub struct Chosen {
    /// Configuration [default: /etc/silverstream/silverstream.toml, else /etc/silverstream.toml, where it exists]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep catalogue, music and socket in this folder
    #[arg(short, long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Board profile: a name, or the path of a .toml file
    #[arg(long, value_name = "NAME")]
    board: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream run --data ~/silverstream       everything in one folder, defaults for the rest
  silverstream run --config silverstream.toml

It logs to standard error; with the simulated panel on a terminal, to the file log beside the
catalogue. RUST_LOG takes a level (error, warn, info, debug, trace), or levels
of parts of the program: RUST_LOG=warn,silverstream=debug,silverstream::crawler=trace.")]
pub struct RunArgs {
    #[command(flatten)]
    chosen: Chosen,
}

pub fn run(context: &Context, args: RunArgs) -> Result<(), Failure> {
    let (config, board) = args.chosen.load(context)?;
    let display = config.panel.display.as_ref().unwrap_or(&board.display);
    if display == "simulated" && std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
        // The simulated panel draws on the terminal: lines of the log would stay in the picture.
        let path = config.index.path.join("log");
        let file = std::fs::create_dir_all(&config.index.path).and_then(|()| std::fs::File::create(&path));
        let file = file.map_err(|error| Failure::Other(format!("cannot write the log {}: {error}", path.display())))?;
        jukebox::log_to(file);
    } else {
        jukebox::log_to(std::io::stderr);
    }
    jukebox::run(&config, &board).map_err(|error| Failure::Other(error.to_string()))
}

impl Chosen {
    /// The file that is read, if one is.
    pub fn config_path(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| DEFAULT_CONFIGS.map(PathBuf::from).into_iter().find(|path| path.exists()))
    }

    /// The configuration and board profile with what the command line says.
    pub fn load(self, context: &Context) -> Result<(Config, BoardProfile), Failure> {
        self.load_from(context, &device_tree()).map(|(config, board)| (config, board.profile))
    }

    /// The same with how the board was found, by the device tree in the folder `tree`.
    pub fn load_from(self, context: &Context, tree: &Path) -> Result<(Config, Board), Failure> {
        let mut config = self.config_path().as_deref().map(Config::load).transpose()?.unwrap_or_default();
        if let Some(data) = self.data {
            config.index.path = data.join("index");
            config.storage.path = data.join("music");
            config.control.socket = data.join("control.sock");
        }
        if let Some(socket) = context.chosen_socket() {
            config.control.socket.clone_from(socket);
        }
        let name = self.board.as_deref().or(config.board.profile.as_deref()).unwrap_or("auto");
        let board = Board::find(name, tree)?.overridden(&config);
        Ok((config, board))
    }
}
