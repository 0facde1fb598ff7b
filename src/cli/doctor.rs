//! `silverstream doctor`

use clap::Args;
use serde::Serialize;

use super::context::{Context, Failure};
use super::output::{Style, styled};
use super::run::{Chosen, Loaded};
use crate::jukebox::checkup;
use crate::system::finding::{Finding, Verdict};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream doctor --data ~/silverstream    for a jukebox that keeps everything in that folder
  silverstream doctor --config silverstream.toml

Exit status 1 if something does not work.")]
pub struct DoctorArgs {
    #[command(flatten)]
    chosen: Chosen,
}

#[derive(Debug, Serialize)]
struct Answer {
    ok: bool,
    findings: Vec<Finding>,
}

pub fn run(context: &Context, args: DoctorArgs) -> Result<(), Failure> {
    // What is wrong with the configuration is the first thing that a doctor should say, and not the only one.
    let Loaded { config, board, mistakes } = args.chosen.forgive(context)?;
    let findings = checkup::examine(&config, &board.profile, &mistakes);
    let ok = findings.iter().all(|finding| finding.verdict != Verdict::Bad);
    if context.json {
        context.print_json(&Answer { ok, findings })?;
    } else {
        lines(&findings).iter().try_for_each(|line| context.print(line))?;
    }
    if ok { Ok(()) } else { Err(Failure::Reported) }
}

/// Each finding, with what mends it below.
pub fn lines(findings: &[Finding]) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Good => styled("ok  ", Style::Green),
            Verdict::Warning => styled("note", Style::Yellow),
            Verdict::Bad => styled("BAD ", Style::Red),
        };
        lines.push(format!("{mark}  {:<9} {}", finding.what, finding.found));
        lines.extend(finding.remedy.as_ref().map(|remedy| format!("                {remedy}")));
    }
    lines
}
