//! `silverstream run`

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;

use super::context::{Context, Failure};
use crate::config::{Board, Config, device_tree};
use crate::jukebox::{self, checkup};
use crate::system::setup::{self, Mistake};

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
    // A configuration that somebody names must be right. The one of a service is better used as far as it goes: the
    // jukebox plays, and its display tells what is wrong.
    let Loaded { config, board, mistakes } =
        if args.chosen.config.is_some() { args.chosen.load(context)? } else { args.chosen.forgive(context)? };
    let board = board.profile;
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
    let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    jukebox::run(&config, &board, &mistakes).map_err(|error| Failure::Other(error.to_string()))
}

impl Chosen {
    /// The file that is read, if one is.
    pub fn config_path(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| DEFAULT_CONFIGS.map(PathBuf::from).into_iter().find(|path| path.exists()))
    }

    /// The configuration and the board with what the command line says.
    pub fn load(self, context: &Context) -> Result<Loaded, Failure> {
        self.load_from(context, &device_tree())
    }

    /// The same, the board being recognised by the device tree in the folder `tree`.
    pub fn load_from(self, context: &Context, tree: &Path) -> Result<Loaded, Failure> {
        // The parser shows the line itself, with a mark below it.
        self.config_path().as_deref().map(Config::load).transpose()?;
        let loaded = self.read(context, tree)?;
        if loaded.mistakes.is_empty() { Ok(loaded) } else { Err(Failure::Mistakes(loaded.mistakes)) }
    }

    /// The same without what is mistaken.
    pub fn forgive(self, context: &Context) -> Result<Loaded, Failure> {
        self.read(context, &device_tree())
    }

    fn read(self, context: &Context, tree: &Path) -> Result<Loaded, Failure> {
        let path = self.config_path();
        let (mut config, mistakes) = path.map(|path| setup::forgiving(&path, &checkup::objections)).unwrap_or_default();
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
        match checkup::faults(&board.profile) {
            Some(fault) => Err(Failure::Usage(fault)),
            None => Ok(Loaded { config, board, mistakes }),
        }
    }
}

/// What holds.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub board: Board,
    /// What is not in it.
    pub mistakes: Vec<Mistake>,
}
