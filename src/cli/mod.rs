//! The command line, one file a subcommand. Parsing is here; each subcommand says what it does with a [`Context`].
//!
//! Exit status: 0 done, 1 could not, 2 wrong usage.

mod board;
mod completions;
mod context;
mod demo;
mod doctor;
mod lab;
mod man;
mod output;
mod panel;
mod play;
mod power;
mod queue;
mod report;
mod run;
mod search;
mod setup;
mod status;
mod torrents;
mod trace;
mod transport;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use context::{Context, Failure};

/// A music jukebox that lives in the BitTorrent network.
#[derive(Debug, Parser)]
#[command(
    name = "silverstream",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  silverstream run --data ~/silverstream       start a jukebox that keeps everything in one folder
  export SILVERSTREAM_SOCKET=~/silverstream/control.sock
  silverstream search nina simone sinnerman
  silverstream play sinnerman
  silverstream demo                            see it at work in a private world, without any set-up

Exit status: 0 done, 1 could not, 2 wrong usage."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Args)]
struct Global {
    /// Print one JSON document, for programs
    #[arg(long, global = true)]
    json: bool,
    /// Socket of the running jukebox
    #[arg(long, global = true, value_name = "PATH", env = "SILVERSTREAM_SOCKET")]
    socket: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Run the jukebox until it is told to end (Ctrl-C, SIGTERM)
    Run(run::RunArgs),
    /// Build a private world on this machine and visit a jukebox in it
    Demo(demo::DemoArgs),
    /// Find songs; misspelt words are corrected
    Search(search::SearchArgs),
    /// Play a song now: a track as `search` names it, or words; without either, go on
    Play(play::PlayArgs),
    /// Show or change what plays next
    Queue(queue::QueueArgs),
    /// Hold the music
    Pause,
    /// Go on after a pause
    Resume,
    /// End playback; the queue stays
    Stop,
    /// Skip to the next song
    Next,
    /// Back to the start of the song, or to the one before
    Previous,
    /// Go to a place in the song
    Seek(transport::SeekArgs),
    /// Show or set the volume
    Volume(transport::VolumeArgs),
    /// Take up a magnet link or .torrent file
    Add(torrents::AddArgs),
    /// Publish a file or folder of yours and print its magnet link
    Share(torrents::ShareArgs),
    /// No longer publish a torrent; its files stay
    Unshare(torrents::UnshareArgs),
    /// Show what the jukebox is doing
    Status(status::StatusArgs),
    /// Check what the jukebox needs and say how to mend it
    Doctor(doctor::DoctorArgs),
    /// Show which board this is taken for, and where each value of its profile comes from
    Board(board::BoardArgs),
    /// Take over the settings on the boot partition, or check them before
    Setup(setup::SetupArgs),
    /// Show what happened last in each room, for those who look for a fault
    Trace(trace::TraceArgs),
    /// Write one file to attach to a bug report, without secrets
    Report(report::ReportArgs),
    /// End the jukebox and switch the machine off
    PowerOff,
    /// Turn and press the knob, or save what the screen shows
    Panel(panel::PanelArgs),
    /// Run experiments: every figure that is claimed can be measured here
    Lab(lab::LabArgs),
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
    /// Write manual pages, for packages
    #[command(hide = true)]
    Man(man::ManArgs),
}

/// Parses the arguments of the process and does what they say.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors: clap knows which stream and status each has.
            if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
                let failure = Failure::Usage(mistake(&error));
                return report(&Context::new(true, None), &failure);
            }
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let context = Context::new(cli.global.json, cli.global.socket);
    let outcome = match cli.command {
        Subcommands::Run(args) => run::run(&context, args),
        Subcommands::Demo(args) => demo::run(&context, args),
        Subcommands::Search(args) => search::run(&context, args),
        Subcommands::Play(args) => play::run(&context, args),
        Subcommands::Queue(args) => queue::run(&context, args),
        Subcommands::Pause => transport::pause(&context),
        Subcommands::Resume => transport::resume(&context),
        Subcommands::Stop => transport::stop(&context),
        Subcommands::Next => transport::next(&context),
        Subcommands::Previous => transport::previous(&context),
        Subcommands::Seek(args) => transport::seek(&context, args),
        Subcommands::Volume(args) => transport::volume(&context, args),
        Subcommands::Add(args) => torrents::add(&context, args),
        Subcommands::Share(args) => torrents::share(&context, args),
        Subcommands::Unshare(args) => torrents::unshare(&context, args),
        Subcommands::Status(args) => status::run(&context, args),
        Subcommands::Doctor(args) => doctor::run(&context, args),
        Subcommands::Board(args) => board::run(&context, args),
        Subcommands::Setup(args) => setup::run(&context, args),
        Subcommands::Trace(args) => trace::run(&context, args),
        Subcommands::Report(args) => report::run(&context, args),
        Subcommands::PowerOff => power::run(&context),
        Subcommands::Panel(args) => panel::run(&context, args),
        Subcommands::Lab(args) => lab::run(&context, args),
        Subcommands::Completions(args) => completions::run(args, &mut Cli::command()),
        Subcommands::Man(args) => man::run(&args, Cli::command()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&context, &failure),
    }
}

/// What is wrong with the arguments, without the help that clap adds for people.
fn mistake(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let sentence = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = sentence.trim_start_matches("error: ").split_whitespace().collect();
    words.join(" ")
}

fn report(context: &Context, failure: &Failure) -> ExitCode {
    match failure {
        // The reader of a pipe has seen enough: `silverstream search x | head`.
        Failure::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Failure::Reported => {}
        failure if context.json => {
            let _ = context.print_json(
                &serde_json::json!({ "error": { "code": failure.code(), "message": failure.to_string() } }),
            );
        }
        failure => eprintln!("silverstream: {failure}"),
    }
    ExitCode::from(failure.exit_status())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in
            ["", "dance", "seek", "seek soon", "volume loud", "panel turn left", "search", "unshare xyz", "lab --quick"]
        {
            let words = std::iter::once("silverstream").chain(line.split_whitespace());
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }

    #[test]
    fn a_mistake_is_one_sentence_for_programs() {
        let error = Cli::try_parse_from(["silverstream", "volume", "1000", "--json"]).unwrap_err();
        assert_eq!(
            mistake(&error),
            "invalid value '1000' for '[TO]': the volume goes from 0 to 100, changes from -100 to +100"
        );
        let error = Cli::try_parse_from(["silverstream", "search", "--json"]).unwrap_err();
        assert_eq!(mistake(&error), "the following required arguments were not provided: <WORD>...");
    }

    #[test]
    fn negative_amounts_are_understood() {
        for line in ["seek -10", "volume -5", "panel turn -3", "seek +10", "volume +5", "seek 1:23"] {
            let words = std::iter::once("silverstream").chain(line.split_whitespace());
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }
}
