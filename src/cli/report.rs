//! `silverstream report`

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::context::{Context, Failure};
use super::doctor;
use super::run::{Chosen, Loaded};
use super::trace;
use crate::config::{Config, compatible, device_tree};
use crate::control::{Command, Reply};
use crate::jukebox::checkup;
use crate::system::bundle::{self, Part};
use crate::system::setup;

/// Where it goes if nobody says.
const DEFAULT_FILE: &str = "silverstream-report.tar.gz";

/// Lines of the journal.
const JOURNAL_LINES: &str = "3000";

/// What is kept of the journal over restarts, and what was before it got too long.
const KEPT_LOGS: [&str; 2] = ["/data/system/log/warnings.log", "/data/system/log/warnings.1.log"];

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream report                          writes silverstream-report.tar.gz
  ssh root@silverstream.local silverstream report - > report.tar.gz

Passwords, keys and addresses of people on the internet are left out. What played is in it.")]
pub struct ReportArgs {
    /// Where to write it; - for standard output
    #[arg(default_value = DEFAULT_FILE)]
    file: PathBuf,
    #[command(flatten)]
    chosen: Chosen,
}

pub fn run(context: &Context, args: ReportArgs) -> Result<(), Failure> {
    let path = args.chosen.config_path();
    let mut parts = vec![versions()];
    if let Some(path) = &path {
        parts.push(Part::file("config.toml", path));
    }
    // A configuration that cannot be read is what the report may be about.
    let config = match args.chosen.forgive(context) {
        Ok(Loaded { config, board, mistakes }) => {
            let findings = checkup::examine(&config, &board.profile, &mistakes);
            parts.push(Part::new("doctor.txt", doctor::lines(&findings).join("\n")));
            config
        }
        Err(failure) => {
            parts.push(Part::new("doctor.txt", failure.to_string()));
            Config::default()
        }
    };
    parts.push(ask(context, &config, "status.json", &Command::Status));
    parts.push(ask(context, &config, "trace.txt", &Command::Trace));
    parts.push(Part::program(
        "journal.txt",
        "journalctl",
        &["--unit=silverstream*", "--lines", JOURNAL_LINES, "--no-pager", "--output=short-precise"],
    ));
    parts.push(Part::program("kernel.txt", "journalctl", &["--dmesg", "--lines", "1000", "--no-pager"]));
    parts.push(Part::program("units.txt", "systemctl", &["--no-pager", "--full", "status", "silverstream.service"]));
    for (name, file) in [
        ("mounts.txt", "/proc/mounts"),
        ("memory.txt", "/proc/meminfo"),
        ("warnings.log", KEPT_LOGS[0]),
        ("warnings.1.log", KEPT_LOGS[1]),
    ] {
        parts.push(Part::file(name, Path::new(file)));
    }
    parts.push(Part::file("setup-problems.json", &config.system.state.join("setup-problems.json")));
    write(context, &args.file, &parts, &setup::secrets(&config.system.state))
}

fn write(context: &Context, file: &Path, parts: &[Part], secrets: &[String]) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Other(format!("cannot write {}: {error}", file.display()));
    if file == Path::new("-") {
        return bundle::write(parts, secrets, io::stdout().lock()).map_err(Failure::Output);
    }
    // For the one who made it only: nobody else has to read it first.
    let mut to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file).map_err(failed)?;
    bundle::write(parts, secrets, &mut to).and_then(|()| to.flush()).map_err(failed)?;
    if context.json {
        return context.print_json(&serde_json::json!({ "file": file }));
    }
    context.print(&format!("{} is ready to be attached to a bug report; look into it before", file.display()))
}

fn versions() -> Part {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let text = format!(
        "silverstream {}\nboard {}\n{}{}",
        env!("CARGO_PKG_VERSION"),
        compatible(&device_tree()).join(", "),
        read("/proc/version"),
        read("/etc/os-release"),
    );
    Part::new("versions.txt", text)
}

/// What the running jukebox answers, or why it does not.
fn ask(context: &Context, config: &Config, name: &'static str, command: &Command) -> Part {
    let socket = context.chosen_socket().unwrap_or(&config.control.socket);
    let text = match Context::new(false, Some(socket.clone())).ask(command) {
        Ok(Reply::Trace { rings }) => trace::lines(&rings, usize::MAX).join("\n"),
        Ok(Reply::Status(mut status)) => {
            // Where a network of that name is, is in lists on the internet.
            status.network.wifi.iter_mut().for_each(|wifi| wifi.name = "<name>".to_owned());
            serde_json::to_string_pretty(&status).unwrap_or_default()
        }
        Ok(other) => format!("{other:?}"),
        Err(failure) => failure.to_string(),
    };
    Part::new(name, text)
}
