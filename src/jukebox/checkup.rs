//! What `doctor` looks at: everything outside the program that it needs, each with a way to mend it.

mod objections;

use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::budget::first_nodes;
use crate::audio::OutputSpec;
use crate::catalogue::{CatalogueError, Inspection, inspect};
use crate::config::{BoardProfile, Config};
use crate::control::client::{Client, ClientError};
use crate::control::{Command, PlayState, Reply, Status};
use crate::crawler::Crawler;
use crate::dht::{Event, Lookup, Node, NodeConfig};
use crate::panel::{DisplaySpec, KnobSpec, advice};
use crate::system::finding::Finding;
use crate::system::health::Machine;
use crate::system::limits;
use crate::system::setup::{self, Mistake};
use crate::types::{Bytes, Clock, NodeId};
pub use objections::{faults, objections};

/// How long strangers of the DHT may take to answer.
const DHT_PATIENCE: Duration = Duration::from_secs(5);

/// How long the catalogue may be read: the whole of a usual one, and no coffee break where it is large and the card slow.
const CHECK_PATIENCE: Duration = Duration::from_secs(10);

/// Room that the catalogue and the logs need beside the music.
const SPARE_ROOM: Bytes = Bytes::mib(256);

/// Remedy for a mistake in the configuration.
const MISTAKE: &str = "mend it and restart the jukebox; until then it does without what is mistaken";

/// Looks at all of it. `mistakes` are those of the configuration. Takes some seconds where strangers are asked.
pub fn examine(config: &Config, board: &BoardProfile, mistakes: &[Mistake]) -> Vec<Finding> {
    let (running, is_absent, jukebox) = jukebox(&config.control.socket);
    let mut findings: Vec<Finding> = mistakes.iter().map(|m| Finding::bad("config", m.to_string(), MISTAKE)).collect();
    if mistakes.is_empty() {
        findings.push(Finding::good("config", format!("is valid; the board is {}", board.name)));
    }
    findings.extend([jukebox, audio(config, board, running.as_ref()), panel(config, board)]);
    findings.extend(running.as_ref().and_then(playback));
    findings.extend(running.as_ref().and_then(xruns));
    findings.extend(running.as_ref().and_then(tasks));
    findings.extend(running.as_ref().and_then(|status| limits::finding(&status.limits)));
    findings.extend(settings(&config.system.state));
    findings.push(folder("storage", &config.storage.path, config.storage.budget.unwrap_or(board.storage)));
    findings.push(folder("index", &config.index.path, config.index.budget));
    findings.push(catalogue(&config.index.path));
    findings.extend(Machine::default().examine(Clock::start().unix()));
    findings.push(match running {
        Some(status) => dht_of(&status),
        // Of one that runs and tells nothing, the ports are taken as they should be.
        None => is_absent.then(|| ports(config)).flatten().unwrap_or_else(|| dht_without_jukebox(config)),
    });
    findings
}

/// What a running jukebox says of itself, and whether there is none.
fn jukebox(socket: &Path) -> (Option<Status>, bool, Finding) {
    let answer = Client::connect(socket).and_then(|mut client| client.send(&Command::Status));
    match answer {
        Ok(Reply::Status(status)) => {
            let found = format!("is running and answers on {}", socket.display());
            (Some(*status), false, Finding::good("jukebox", found))
        }
        Ok(_) => (
            None,
            false,
            Finding::bad("jukebox", "answers something else than its state", "restart it; is it of this version?"),
        ),
        Err(error @ ClientError::NotRunning { .. }) => {
            (None, true, Finding::warning("jukebox", "is not running", error.to_string()))
        }
        Err(error) => (None, false, Finding::bad("jukebox", "does not answer", error.to_string())),
    }
}

fn audio(config: &Config, board: &BoardProfile, running: Option<&Status>) -> Finding {
    let text = config.audio.output.as_ref().unwrap_or(&board.audio);
    let spec: OutputSpec = match text.parse() {
        Ok(spec) => spec,
        Err(error) => return Finding::bad("audio", format!("{text} is no output"), format!("{error}")),
    };
    match spec.check() {
        Ok(found) => Finding::good("audio", found),
        // It is the jukebox itself that holds the device.
        Err(_) if running.is_some_and(|status| status.player.state == PlayState::Playing) => {
            Finding::good("audio", format!("{text} is in use by the jukebox"))
        }
        Err(error) => Finding::bad(
            "audio",
            error.to_string(),
            "without a sound card, set [audio] output to \"wav:FILE\" or \"null\"; a user must be in the group `audio`",
        ),
    }
}

/// What went wrong last with what plays, if anything did.
fn playback(running: &Status) -> Option<Finding> {
    let problem = running.player.problem.as_ref()?;
    Some(Finding::warning("playback", problem.clone(), "`silverstream status` shows if it still holds"))
}

/// Times that the output ran dry.
fn xruns(running: &Status) -> Option<Finding> {
    let times = running.player.underruns;
    let remedy =
        "a slow card, a weak network or a processor with too much to do: `silverstream trace` shows what came before";
    (times > 0)
        .then(|| Finding::warning("xruns", format!("the sound has stopped {times} times since the start"), remedy))
}

/// Tasks that had to be started again.
fn tasks(running: &Status) -> Option<Finding> {
    let failed: Vec<String> = (running.tasks.iter().filter(|task| task.restarts > 0))
        .map(|task| format!("{} ({} times)", task.name, task.restarts))
        .collect();
    let remedy = "the log says why; `silverstream report` makes a file to attach to a bug report";
    (!failed.is_empty())
        .then(|| Finding::warning("tasks", format!("had to be started again: {}", failed.join(", ")), remedy))
}

/// Mistakes in the settings on the boot partition.
fn settings(state: &Path) -> Vec<Finding> {
    let remedy = "mend silverstream.toml on the boot partition and restart; until then the settings before it hold";
    setup::problems(state).iter().map(|mistake| Finding::bad("settings", mistake.to_string(), remedy)).collect()
}

fn panel(config: &Config, board: &BoardProfile) -> Finding {
    let display = config.panel.display.as_ref().unwrap_or(&board.display);
    let knob = config.panel.knob.as_ref().unwrap_or(&board.knob);
    let display_spec = match display.parse::<DisplaySpec>() {
        Ok(spec) => spec,
        Err(error) => return Finding::bad("panel", format!("display {display:?} is unknown"), error.to_string()),
    };
    let knob_spec = match knob.parse::<KnobSpec>() {
        Ok(spec) => spec,
        Err(error) => return Finding::bad("panel", format!("knob {knob:?} is unknown"), error.to_string()),
    };
    let devices = display_spec.devices().into_iter().chain(knob_spec.devices());
    let mut missing: Vec<String> =
        devices.filter(|device| !device.exists()).map(|device| device.display().to_string()).collect();
    missing.dedup();
    if missing.is_empty() {
        return Finding::good("panel", format!("display {display}, knob {knob}"));
    }
    Finding::bad("panel", format!("{} is not there", missing.join(" and ")), advice::buses())
}

fn folder(what: &'static str, path: &Path, budget: Bytes) -> Finding {
    let Some(existing) = existing_parent(path) else {
        return Finding::bad(
            what,
            format!("{} has no parent folder", path.display()),
            "choose another path in the configuration",
        );
    };
    let probe = existing.join(".silverstream-probe");
    let written = std::fs::write(&probe, b"probe");
    let removed = std::fs::remove_file(&probe);
    if let Err(error) = written.and(removed) {
        let remedy = if error.kind() == std::io::ErrorKind::StorageFull {
            format!("free some space on that disk, or choose another [{what}] path")
        } else {
            format!("give this user the right to write there, or choose another [{what}] path")
        };
        return Finding::bad(what, format!("{} cannot be written: {error}", existing.display()), remedy);
    }
    let Ok(stat) = rustix::fs::statvfs(&existing) else {
        return Finding::warning(
            what,
            format!("{} does not say how much room it has", existing.display()),
            "check the filesystem",
        );
    };
    let free = Bytes(stat.f_bavail * stat.f_frsize);
    let needed = Bytes(budget.0.saturating_add(SPARE_ROOM.0));
    let used = Bytes(disk_usage(path));
    if free.0 + used.0 < needed.0 {
        let found = format!("{} has {free} free, and the budget is {budget}", path.display());
        return Finding::warning(
            what,
            found,
            format!("lower [{what}] budget or free some space; a full disk stops downloads"),
        );
    }
    Finding::good(what, format!("{} has {free} free for a budget of {budget}", path.display()))
}

fn catalogue(folder: &Path) -> Finding {
    match inspect(folder, CHECK_PATIENCE) {
        Ok(Inspection::Nothing) => Finding::good("catalogue", "is not begun yet"),
        Ok(Inspection::Whole) => Finding::good("catalogue", "is whole"),
        Ok(Inspection::SoundSoFar) => {
            Finding::good("catalogue", format!("is right as far as {} s of reading went", CHECK_PATIENCE.as_secs()))
        }
        Err(error @ CatalogueError::Damaged(_)) => Finding::bad(
            "catalogue",
            error.to_string(),
            "copy it away if you want to keep it; if this comes again, the card is worn: replace it",
        ),
        Err(error) => Finding::warning("catalogue", error.to_string(), "run this as the user of the jukebox"),
    }
}

/// The folder itself, or the nearest one above it that is there.
fn existing_parent(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|folder| folder.is_dir()).map(Path::to_owned)
}

/// Bytes that the files below a folder take on the disk.
fn disk_usage(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_usage(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

fn dht_of(status: &Status) -> Finding {
    let dht = &status.dht;
    if dht.contacts > 0 {
        return Finding::good(
            "dht",
            format!("{} nodes with {} contacts, {} sightings", dht.nodes, dht.contacts, dht.sightings),
        );
    }
    let remedy = "check the network, that UDP may pass the router and firewall, and [dht] bootstrap";
    Finding::bad("dht", format!("nobody answers; {} datagrams were sent", dht.datagrams_out), remedy)
}

/// What a jukebox that is to be started would find wrong with its ports.
fn ports(config: &Config) -> Option<Finding> {
    let error = Crawler::check(config.dht.listen, first_nodes(config.dht.nodes).0).err()?;
    // Such an error says what to do after a semicolon.
    let text = error.to_string();
    let (found, remedy) = text.split_once("; ").unwrap_or((&text, "check [dht] listen and nodes"));
    Some(Finding::bad("dht", found, remedy))
}

fn dht_without_jukebox(config: &Config) -> Finding {
    if config.dht.bootstrap.is_empty() {
        let remedy =
            "take [dht] bootstrap out of the configuration for the public hosts; without, only kept contacts are asked";
        return Finding::warning("dht", "[dht] bootstrap names nobody", remedy);
    }
    let mut routers: Vec<SocketAddr> = Vec::new();
    let mut unknown = Vec::new();
    for host in &config.dht.bootstrap {
        match host.to_socket_addrs() {
            Ok(addresses) => routers.extend(addresses.filter(|addr| addr.is_ipv4() == config.dht.listen.is_ipv4())),
            Err(_) => unknown.push(host.as_str()),
        }
    }
    if routers.is_empty() {
        let found = if unknown.is_empty() {
            "no host of [dht] bootstrap has an address of the kind of [dht] listen".to_owned()
        } else {
            format!("cannot resolve {}", unknown.join(", "))
        };
        return Finding::bad("dht", found, "check the network and its name server, and [dht] bootstrap");
    }
    match ask_dht(config, &routers) {
        Ok(0) => {
            let found = format!("no answer from {} hosts within {} s", routers.len(), DHT_PATIENCE.as_secs());
            Finding::bad("dht", found, "check that UDP may pass the router and firewall")
        }
        Ok(contacts) => Finding::good("dht", format!("reachable: {contacts} nodes answered")),
        Err(error) => Finding::bad("dht", format!("no socket: {error}"), "check [dht] listen"),
    }
}

/// How many nodes answer a node that is made for the purpose.
fn ask_dht(config: &Config, routers: &[SocketAddr]) -> std::io::Result<usize> {
    let socket = UdpSocket::bind(SocketAddr::new(config.dht.listen.ip(), 0))?;
    let clock = Clock::start();
    let id = NodeId(rand::random());
    let node_config = NodeConfig { read_only: true, scope: config.network.scope, ..NodeConfig::default() };
    let mut node = Node::new(node_config, id, rand::random(), clock.now());
    node.bootstrap(clock.now(), routers);
    // A node that runs its bootstrap lookup already may refuse a second one.
    let _ = node.start(clock.now(), Lookup::FindNode(id));
    let end = Instant::now() + DHT_PATIENCE;
    let mut answered = std::collections::HashSet::new();
    let mut buffer = [0; 2048];
    while Instant::now() < end && answered.len() < 8 {
        while let Some(transmit) = node.poll_transmit() {
            // What cannot be sent is not answered either.
            let _ = socket.send_to(&transmit.payload, transmit.to);
        }
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            node.handle_datagram(clock.now(), from, &buffer[..length]);
        }
        node.handle_timeout(clock.now());
        while let Some(event) = node.poll_event() {
            if let Event::ContactSeen(contact) = event {
                answered.insert(contact.addr);
            }
        }
    }
    Ok(answered.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::finding::Verdict;

    #[test]
    fn a_folder_that_cannot_be_written_or_is_too_small_is_said() {
        let folder_here = tempfile::tempdir().unwrap();
        assert_eq!(folder("storage", &folder_here.path().join("new"), Bytes::mib(1)).verdict, Verdict::Good);
        assert_eq!(folder("storage", folder_here.path(), Bytes(u64::MAX)).verdict, Verdict::Warning);
        let forbidden = folder("storage", Path::new("/proc/silverstream"), Bytes::mib(1));
        assert!(forbidden.verdict == Verdict::Bad && forbidden.remedy.is_some(), "{forbidden:?}");
    }

    #[test]
    fn a_damaged_catalogue_is_said_and_a_missing_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(catalogue(folder.path()).verdict, Verdict::Good);
        std::fs::write(folder.path().join("catalogue.sqlite3"), vec![0x5a; 100_000]).unwrap();
        let finding = catalogue(folder.path());
        assert!(finding.verdict == Verdict::Bad && finding.found.contains("damaged"), "{finding:?}");
    }

    #[test]
    fn what_the_dht_cannot_have_is_said_before_anybody_is_asked() {
        let config = |text: &str| Config::from_text(Path::new("x"), text).unwrap();
        let told = |text: &str| ports(&config(text)).unwrap();
        let beyond = told("[dht]\nlisten = \"127.0.0.1:65500\"\nnodes = 60");
        assert!(beyond.verdict == Verdict::Bad && beyond.found.contains("beyond 65535"), "{beyond:?}");
        assert!(beyond.remedy.is_some_and(|remedy| remedy.contains("lower [dht] nodes")));
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let taken = told(&format!("[dht]\nlisten = \"{}\"\nnodes = 1", other.local_addr().unwrap()));
        assert!(taken.verdict == Verdict::Bad && taken.found.contains("in use"), "{taken:?}");
        let nobody = config("[dht]\nlisten = \"127.0.0.1:0\"\nbootstrap = []");
        assert_eq!(ports(&nobody), None);
        let nobody = dht_without_jukebox(&nobody);
        assert!(nobody.verdict == Verdict::Warning && nobody.found.contains("bootstrap"), "{nobody:?}");
    }

    #[test]
    fn a_jukebox_that_does_not_run_is_no_failure_of_the_machine() {
        let (status, is_absent, finding) = jukebox(Path::new("/nonexistent/control.sock"));
        assert_eq!((status, is_absent, finding.verdict), (None, true, Verdict::Warning));
    }

    #[test]
    fn restarts_and_xruns_of_a_running_jukebox_are_told() {
        let mut status = Status::default();
        assert_eq!((xruns(&status), tasks(&status)), (None, None));
        status.player.underruns = 2;
        status.tasks.push(crate::control::TaskStatus { name: "peers".to_owned(), rounds: 9, restarts: 3 });
        assert!(xruns(&status).unwrap().found.contains("2 times"));
        assert!(tasks(&status).unwrap().found.contains("peers (3 times)"));
    }
}
