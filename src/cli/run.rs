//! `silverstream run`

use std::path::{Path, PathBuf};

use clap::Args;

use super::context::{Context, Failure};
use crate::config::{BoardProfile, Config};
use crate::jukebox;

/// Read if it is there and no other is named.
const DEFAULT_CONFIG: &str = "/etc/silverstream.toml";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream run --data ~/silverstream       everything in one folder, defaults for the rest
  silverstream run --config silverstream.toml

It logs to standard error; RUST_LOG=debug (or silverstream=trace) makes it say more.")]
pub struct RunArgs {
    /// Configuration [default: /etc/silverstream.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep catalogue, music and socket in this folder
    #[arg(short, long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Board profile: a name, or the path of a .toml file
    #[arg(long, value_name = "NAME")]
    board: Option<String>,
}

pub fn run(context: &Context, args: RunArgs) -> Result<(), Failure> {
    let (config, board) = load(context, args)?;
    jukebox::log_to_stderr();
    jukebox::run(&config, &board).map_err(|error| Failure::Other(error.to_string()))
}

fn load(context: &Context, args: RunArgs) -> Result<(Config, BoardProfile), Failure> {
    let mut config = load_config(args.config.as_deref())?;
    if let Some(data) = args.data {
        config.index.path = data.join("index");
        config.storage.path = data.join("music");
        config.control.socket = data.join("control.sock");
    }
    if let Some(socket) = context.chosen_socket() {
        config.control.socket.clone_from(socket);
    }
    let board = BoardProfile::load(args.board.as_deref().or(config.board.as_deref()).unwrap_or("auto"))?;
    Ok((config, board))
}

/// The named configuration, or the machine's, or the defaults.
pub fn load_config(path: Option<&Path>) -> Result<Config, Failure> {
    match path {
        Some(path) => Ok(Config::load(path)?),
        None if Path::new(DEFAULT_CONFIG).exists() => Ok(Config::load(Path::new(DEFAULT_CONFIG))?),
        None => Ok(Config::default()),
    }
}
