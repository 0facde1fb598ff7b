//! The world for other programs.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::{Child, Command};

use super::{UdpConfig, UdpWorld};
use crate::lab::{LabError, private};

/// Where the program in the world finds addresses to begin with, separated by commas.
const BOOTSTRAP: &str = "SILVERSTREAM_BOOTSTRAP";
/// How many of them.
const ROUTERS: usize = 8;
/// Set for the copy of this program in the network of its own.
const INSIDE: &str = "SILVERSTREAM_LAB_INSIDE";

/// Serves a world until the program in it ends, and returns that one's status; without one, for ever. Outside of a network
/// of its own this program is started once more in one. `tell` is told where to begin.
///
/// # Errors
/// If the network, the world or the program cannot be had.
pub fn serve<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    config: UdpConfig,
    program: &[OsString],
    tell: impl FnOnce(&[SocketAddr]) -> Result<(), E>,
) -> Result<i32, LabError> {
    if private::check().is_err() && std::env::var_os(INSIDE).is_none() {
        return inside();
    }
    let mut udp = UdpWorld::open(config)?;
    let routers = udp.routers(ROUTERS);
    tell(&routers).map_err(LabError::failed("where to begin cannot be told"))?;
    let mut guest = Guest::start(program, &routers)?;
    loop {
        udp.turn()?;
        if let Some(status) = guest.ended()? {
            return Ok(status);
        }
    }
}

/// The same command line in a network of its own.
fn inside() -> Result<i32, LabError> {
    let failed = LabError::failed::<std::io::Error>(private::NOT_HAD);
    let mut command = private::command(std::env::current_exe().map_err(&failed)?);
    let status = command.args(std::env::args_os().skip(1)).env(INSIDE, "1").status().map_err(&failed)?;
    Ok(status.code().unwrap_or(1))
}

/// The program in the world; killed when dropped.
struct Guest(Option<Child>);

impl Guest {
    fn start(program: &[OsString], routers: &[SocketAddr]) -> Result<Self, LabError> {
        let Some((name, arguments)) = program.split_first() else { return Ok(Self(None)) };
        let routers: Vec<String> = routers.iter().map(ToString::to_string).collect();
        let child = Command::new(name).args(arguments).env(BOOTSTRAP, routers.join(",")).spawn();
        child.map(Some).map(Self).map_err(LabError::failed("the program cannot be started"))
    }

    fn ended(&mut self) -> Result<Option<i32>, LabError> {
        let Some(child) = &mut self.0 else { return Ok(None) };
        let status = child.try_wait().map_err(LabError::failed("the program is lost"))?;
        Ok(status.map(|status| status.code().unwrap_or(1)))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
