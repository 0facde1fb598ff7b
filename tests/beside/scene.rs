//! One contender in a world of its own.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity};
use silverstream::lab::child::Usage;
use silverstream::lab::udp::{UdpConfig, UdpWorld};
use silverstream::lab::{LabError, private};
use silverstream::types::InfoHash;

use super::ROLE;
use super::clients::Clients;
use super::contenders::{BOOTSTRAP, Contender};
use super::findings::Findings;

/// How large the comparison is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub nodes: usize,
    pub torrents: usize,
    /// Of each contender, from the start of its process.
    pub time: Duration,
}

pub const QUICK: Size = Size { nodes: 20_000, torrents: 20_000, time: Duration::from_secs(180) };
pub const FULL: Size = Size { nodes: 100_000, torrents: 100_000, time: Duration::from_secs(900) };

/// The role of the copy that serves the world, and what it is told.
pub const WORLD: &str = "world";
const CONTENDER: &str = "SILVERSTREAM_BESIDE_CONTENDER";
const SIZE: &str = "SILVERSTREAM_BESIDE_SIZE";
const FINDINGS: &str = "SILVERSTREAM_BESIDE_FINDINGS";
/// Addresses that a contender begins with.
const ROUTERS: usize = 8;
/// Bytes of an infohash.
const LEN: usize = 20;

/// Lets one contender listen to a world in a network of their own.
pub fn play(contender: &Contender, size: &Size, seed: u64) -> Result<Findings, LabError> {
    let failed = LabError::failed::<std::io::Error>("the world of a contender cannot be had");
    let folder = tempfile::tempdir().map_err(&failed)?;
    let path = folder.path().join("findings.json");
    let (world, theirs) = processors()?;
    let program = std::env::current_exe().map_err(&failed)?;
    let numbers = [size.nodes as u64, size.torrents as u64, size.time.as_secs(), seed];
    let status = private::command("taskset")
        .args(["-c", &world])
        .arg(program)
        .env(ROLE, WORLD)
        .env(CONTENDER, serde_json::to_string(&pinned(contender, &theirs)?).map_err(|error| failed(error.into()))?)
        .env(SIZE, serde_json::to_string(&numbers).map_err(|error| failed(error.into()))?)
        .env(FINDINGS, &path)
        .status()
        .map_err(&failed)?;
    if !status.success() {
        return Err(LabError::failed("a contender could not be compared")(contender.name));
    }
    let text = std::fs::read(&path).map_err(&failed)?;
    serde_json::from_slice(&text).map_err(|error| failed(error.into()))
}

/// The contender's command line on its processor.
fn pinned(contender: &Contender, processor: &str) -> Result<Vec<String>, LabError> {
    let text = |word: OsString| {
        word.into_string().map_err(|word| LabError::failed("a path is no text")(word.to_string_lossy().into_owned()))
    };
    let mut words: Vec<String> = ["taskset", "-c", processor].map(str::to_owned).into();
    for word in contender.command(ROLE)? {
        words.push(text(word)?);
    }
    Ok(words)
}

/// Processors for the world and for the contender, as `taskset` wants them: the contender has the last one for itself, if
/// there is more than one.
fn processors() -> Result<(String, String), LabError> {
    let failed = LabError::failed::<std::io::Error>("the processors cannot be listed");
    let set = sched_getaffinity(None).map_err(|error| failed(error.into()))?;
    let all: Vec<String> = (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).map(|cpu| cpu.to_string()).collect();
    Ok(match all.split_last() {
        Some((last, others)) if !others.is_empty() => (others.join(","), last.clone()),
        _ => (all.join(","), all.join(",")),
    })
}

/// Inside: serves the world, starts the contender and finds out what it heard.
pub fn serve() -> Result<ExitCode, LabError> {
    let failed = LabError::failed::<std::io::Error>("the world is not told what to be");
    let told = |name: &str| std::env::var(name).map_err(|error| failed(std::io::Error::other(error)));
    let words: Vec<String> = serde_json::from_str(&told(CONTENDER)?).map_err(|error| failed(error.into()))?;
    let [nodes, torrents, seconds, seed]: [u64; 4] =
        serde_json::from_str(&told(SIZE)?).map_err(|error| failed(error.into()))?;
    let mut udp = UdpWorld::open(UdpConfig { nodes: nodes as usize, torrents: torrents as usize, seed })?;
    let mut clients = Clients::new(&udp, seed ^ 2);
    let folder = tempfile::tempdir().map_err(&failed)?;
    let heard = folder.path().join("heard");

    let routers: Vec<String> = udp.routers(ROUTERS).iter().map(ToString::to_string).collect();
    let mut contender = Running::start(&words, &routers, File::create(&heard).map_err(&failed)?)?;
    clients.run(&mut udp, Duration::from_secs(seconds), || contender.check())?;
    let usage = Usage::of(contender.0.id());
    drop(contender);

    let bytes = std::fs::read(&heard).map_err(&failed)?;
    let infohashes = bytes.chunks_exact(LEN).filter_map(|bytes| bytes.try_into().ok().map(InfoHash));
    let heard: HashSet<InfoHash> = infohashes.collect();
    let known = &udp.live.knowledge.torrents;
    let right = heard.iter().filter(|infohash| known.find(infohash).is_some()).count();
    let findings = Findings {
        right: right as u64,
        wrong: (heard.len() - right) as u64,
        messages: (bytes.len() / LEN) as u64,
        cpu_seconds: usage.cpu.as_secs_f64(),
        peak: usage.memory.peak,
        resident: usage.memory.resident,
        sent: udp.live.counts.sent,
        received: udp.live.counts.received,
    };
    let path = told(FINDINGS)?;
    std::fs::write(path, serde_json::to_vec(&findings).map_err(|error| failed(error.into()))?).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// A contender; killed when dropped.
struct Running(Child);

impl Running {
    fn start(words: &[String], routers: &[String], heard: File) -> Result<Self, LabError> {
        let failed = LabError::failed::<std::io::Error>("a contender does not start; run `.ci/setup test`");
        let (program, arguments) =
            words.split_first().ok_or_else(|| failed(std::io::ErrorKind::InvalidInput.into()))?;
        let mut command = Command::new(program);
        command.args(arguments).env(BOOTSTRAP, routers.join(",")).env_remove(ROLE);
        command.stdin(Stdio::null()).stdout(heard).spawn().map(Self).map_err(failed)
    }

    /// It must not end by itself.
    fn check(&mut self) -> Result<(), LabError> {
        let failed = LabError::failed::<std::io::Error>("a contender ended");
        match self.0.try_wait().map_err(&failed)? {
            None => Ok(()),
            Some(status) => Err(failed(std::io::Error::other(status.to_string()))),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
