//! `silverstream doctor`

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::context::{Context, Failure};
use super::output::{Style, styled};
use super::run::load_config;
use crate::config::BoardProfile;
use crate::jukebox::checkup::{self, Finding, Verdict};

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Configuration to check [default: /etc/silverstream.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Answer {
    ok: bool,
    findings: Vec<Finding>,
}

pub fn run(context: &Context, args: DoctorArgs) -> Result<(), Failure> {
    // A configuration that cannot be read is the first thing that a doctor should say, with the line.
    let mut config = load_config(args.config.as_deref())?;
    if let Some(socket) = context.chosen_socket() {
        config.control.socket.clone_from(socket);
    }
    let board = BoardProfile::load(config.board.as_deref().unwrap_or("auto"))?;
    let findings = checkup::examine(&config, &board);
    let ok = findings.iter().all(|finding| finding.verdict != Verdict::Bad);
    if context.json {
        context.print_json(&Answer { ok, findings })?;
    } else {
        for finding in &findings {
            print(context, finding)?;
        }
    }
    if ok { Ok(()) } else { Err(Failure::Reported) }
}

fn print(context: &Context, finding: &Finding) -> Result<(), Failure> {
    let mark = match finding.verdict {
        Verdict::Good => styled("ok  ", Style::Green),
        Verdict::Warning => styled("note", Style::Yellow),
        Verdict::Bad => styled("BAD ", Style::Red),
    };
    context.print(&format!("{mark}  {:<9} {}", finding.what, finding.found))?;
    if let Some(remedy) = &finding.remedy {
        context.print(&format!("                {remedy}"))?;
    }
    Ok(())
}
