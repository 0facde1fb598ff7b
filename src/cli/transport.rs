//! `silverstream pause | resume | stop | next | previous | seek | volume`

use clap::Args;

use super::context::{Context, Failure, unexpected};
use crate::control::{Command, Reply, SeekTo, VolumeTo};

#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  silverstream seek 1:23       to that time
  silverstream seek +10        ten seconds forward
  silverstream seek -10        ten seconds back"
)]
pub struct SeekArgs {
    /// A time (`83`, `1:23`), or seconds forward (`+10`) or back (`-10`)
    #[arg(value_parser = parse_seek)]
    to: SeekTo,
}

#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  silverstream volume          how loud it is
  silverstream volume 60       60 percent
  silverstream volume -5       five percentage points down"
)]
pub struct VolumeArgs {
    /// Percent, or percentage points up (`+5`) or down (`-5`)
    #[arg(value_parser = parse_volume)]
    to: Option<VolumeTo>,
}

fn parse_seek(text: &str) -> Result<SeekTo, String> {
    let error = || format!("{text:?} is no time; write 83, 1:23, +10 or -10");
    let number = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(error);
    if text.starts_with(['+', '-']) {
        return Ok(SeekTo::Relative(number(text)?));
    }
    let mut seconds = 0.0;
    for part in text.split(':') {
        let part = number(part)?;
        if part < 0.0 {
            return Err(error());
        }
        seconds = seconds * 60.0 + part;
    }
    Ok(SeekTo::Absolute(seconds))
}

fn parse_volume(text: &str) -> Result<VolumeTo, String> {
    let number: i32 =
        text.trim_end_matches('%').parse().map_err(|_| format!("{text:?} is no volume; write 60, +5 or -5"))?;
    let bounds = "the volume goes from 0 to 100, changes from -100 to +100";
    if !(-100..=100).contains(&number) {
        return Err(bounds.to_owned());
    }
    let relative = text.starts_with(['+', '-']);
    match (i8::try_from(number), u8::try_from(number)) {
        (Ok(change), _) if relative => Ok(VolumeTo::Relative(change)),
        (_, Ok(percent)) => Ok(VolumeTo::Absolute(percent)),
        _ => Err(bounds.to_owned()),
    }
}

pub fn pause(context: &Context) -> Result<(), Failure> {
    context.order(&Command::Pause, "")
}

pub fn resume(context: &Context) -> Result<(), Failure> {
    context.order(&Command::Resume, "")
}

pub fn stop(context: &Context) -> Result<(), Failure> {
    context.order(&Command::Stop, "")
}

pub fn next(context: &Context) -> Result<(), Failure> {
    context.order(&Command::Next, "")
}

pub fn previous(context: &Context) -> Result<(), Failure> {
    context.order(&Command::Previous, "")
}

pub fn seek(context: &Context, args: SeekArgs) -> Result<(), Failure> {
    context.order(&Command::Seek { to: args.to }, "")
}

pub fn volume(context: &Context, args: VolumeArgs) -> Result<(), Failure> {
    // To ask is to change it by nothing.
    match context.ask(&Command::Volume { to: args.to.unwrap_or(VolumeTo::Relative(0)) })? {
        Reply::Volume { percent } if context.json => context.print_json(&serde_json::json!({ "volume": percent })),
        Reply::Volume { percent } => context.print(&format!("{percent} %")),
        other => Err(unexpected(&other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, to) in [
            ("83", SeekTo::Absolute(83.0)),
            ("1:23", SeekTo::Absolute(83.0)),
            ("1:00:01.5", SeekTo::Absolute(3601.5)),
            ("+10", SeekTo::Relative(10.0)),
            ("-2.5", SeekTo::Relative(-2.5)),
        ] {
            assert_eq!(parse_seek(text), Ok(to), "{text}");
        }
        for text in ["", "soon", "1:", ":1", "1:-2", "nan", "inf", "--1"] {
            assert!(parse_seek(text).is_err(), "{text}");
        }
    }

    #[test]
    fn volumes_are_read_and_bounded() {
        assert_eq!(parse_volume("60%"), Ok(VolumeTo::Absolute(60)));
        assert_eq!(parse_volume("-5"), Ok(VolumeTo::Relative(-5)));
        for text in ["loud", "", "5 %%x"] {
            assert!(parse_volume(text).is_err_and(|error| error.contains("write 60")), "{text}");
        }
        for text in ["101", "1000", "-200", "+500"] {
            assert!(parse_volume(text).is_err_and(|error| error.contains("0 to 100")), "{text}");
        }
    }
}
