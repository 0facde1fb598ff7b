//! `silverstream completions`

use clap::Args;
use clap_complete::Shell;

use super::context::Failure;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream completions bash > ~/.local/share/bash-completion/completions/silverstream
  silverstream completions fish > ~/.config/fish/completions/silverstream.fish")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub fn run(args: CompletionsArgs, command: &mut clap::Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "silverstream", &mut script);
    std::io::Write::write_all(&mut std::io::stdout().lock(), &script)?;
    Ok(())
}
