//! `silverstream man`, hidden: what builds a package wants manual pages, and they are as the program is.

use std::path::PathBuf;

use clap::Args;

use super::context::Failure;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream man /tmp/man                    writes silverstream.1, silverstream-run.1 and so on")]
pub struct ManArgs {
    /// Where the pages go; made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub fn run(args: &ManArgs, command: clap::Command) -> Result<(), Failure> {
    let failed = |error| Failure::Other(format!("cannot write manual pages to {}: {error}", args.folder.display()));
    std::fs::create_dir_all(&args.folder).map_err(failed)?;
    clap_mangen::generate_to(command, &args.folder).map_err(failed)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_public_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let args = ManArgs { folder: folder.path().join("man") };
        run(&args, crate::cli::Cli::command()).unwrap();
        for command in crate::cli::Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let page = args.folder.join(format!("silverstream-{}.1", command.get_name()));
            let text = std::fs::read_to_string(&page).unwrap_or_default();
            assert!(text.contains(".SH SYNOPSIS"), "{}", page.display());
        }
        assert!(!args.folder.join("silverstream-man.1").exists());
    }
}
