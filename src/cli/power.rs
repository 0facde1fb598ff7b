//! `silverstream power-off`

use super::context::{Context, Failure};
use crate::control::Command;

pub fn run(context: &Context) -> Result<(), Failure> {
    context.order(&Command::PowerOff, "the jukebox ends; its screen says when it is safe to unplug")
}
