//! `silverstream board`

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::context::{Context, Failure};
use super::output::{Style, styled, table};
use super::run::{Chosen, Loaded};
use crate::config::{Recognition, Setting, compatible, device_tree};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream board                    what this board is taken for
  silverstream board --config silverstream.toml
  silverstream board --board mine.toml  a file that changes a part: extends = \"pi-3\", then keys")]
pub struct BoardArgs {
    #[command(flatten)]
    chosen: Chosen,
    /// Folder of the device tree to recognise the board by [default: this machine's]
    #[arg(long, value_name = "DIR")]
    device_tree: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Answer {
    board: String,
    recognised: Recognition,
    /// What the device tree says.
    compatible: Vec<String>,
    values: Vec<Setting>,
}

pub fn run(context: &Context, args: BoardArgs) -> Result<(), Failure> {
    let tree = args.device_tree.unwrap_or_else(device_tree);
    let Loaded { config, board, .. } = args.chosen.load_from(context, &tree)?;
    let values = board.settings(&config);
    let answer =
        Answer { board: board.profile.name, recognised: board.recognition, compatible: compatible(&tree), values };
    if context.json {
        return context.print_json(&answer);
    }
    let how = match &answer.recognised {
        Recognition::Name => "as it was told".to_owned(),
        Recognition::DeviceTree { compatible } => format!("the device tree says {compatible}"),
        Recognition::Fallback if answer.compatible.is_empty() => "there is no device tree".to_owned(),
        Recognition::Fallback => format!("no profile is for {}", answer.compatible.join(", ")),
    };
    context.print(&format!("{}: {how}", styled(&answer.board, Style::Bold)))?;
    let rows: Vec<Vec<String>> = (answer.values.into_iter())
        .map(|setting| vec![setting.key, setting.value, setting.origin.to_string()])
        .collect();
    for line in table(&rows, &[16, 48]) {
        context.print(&format!("  {line}"))?;
    }
    Ok(())
}
