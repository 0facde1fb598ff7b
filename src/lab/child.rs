//! The shipped program as a process of its own, so that an experiment measures it and not the world around it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use crate::control::client::Client;
use crate::control::{Command, Reply, SearchHit, SearchMode, Status};
use crate::lab::LabError;
use crate::types::Rate;

/// How long the program may take to answer its first command.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at something that is waited for. Figures come from the jukebox's own clock, not from this.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is done to start it: its process id goes into the files behind program and configuration.
const BECOME: &str = "program=$1 config=$2; shift 2; for group; do echo $$ >\"$group\" || exit 1; done; \
                      exec \"$program\" run --config \"$config\"";

/// What to run.
#[derive(Debug, Clone)]
pub struct ChildConfig {
    /// Everything is kept below.
    pub folder: PathBuf,
    pub bootstrap: Vec<SocketAddr>,
    pub network: ChildNetwork,
    /// `[audio] output`
    pub output: String,
    /// `[storage] budget`
    pub budget: String,
    /// `[dht] nodes`; None: `auto`.
    pub nodes: Option<u32>,
    /// `[board] memory` in bytes; None: what the profile `sim` says, which leaves it all processors.
    pub memory: Option<u64>,
    /// Files that its process id is written into before it is started, so that the kernel holds it to what their group may
    /// take (cgroups(7)).
    pub groups: Vec<PathBuf>,
    /// Where its log goes.
    pub log: PathBuf,
}

/// Where it is in the network.
#[derive(Debug, Clone)]
pub struct ChildNetwork {
    /// `[dht] listen`
    pub listen: SocketAddr,
    /// `[dht] id_strategy`
    pub id_strategy: String,
    /// `[network] scope`
    pub scope: &'static str,
    /// `[network] upload`; None: what the profile `sim` says.
    pub upload: Option<Rate>,
}

impl Default for ChildNetwork {
    /// On loopback.
    fn default() -> Self {
        Self { listen: ([127, 0, 0, 1], 0).into(), id_strategy: "spread".into(), scope: "private", upload: None }
    }
}

/// Memory of the process as the kernel counts it, in bytes; zero where it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChildMemory {
    /// Resident now.
    pub resident: u64,
    /// Largest resident size since the program was started.
    pub peak: u64,
    /// The part of what is resident that is the process's own: heap and stacks, not the program file.
    pub anonymous: u64,
}

/// A running jukebox; killed when dropped.
#[derive(Debug)]
pub struct ChildJukebox {
    child: Child,
    socket: PathBuf,
}

impl ChildJukebox {
    /// Starts this program as `run` and waits until it answers.
    ///
    /// # Errors
    /// If it does not; the text ends with its log.
    pub fn start(config: &ChildConfig) -> Result<Self, LabError> {
        let failed = LabError::failed::<std::io::Error>("the jukebox cannot be started");
        std::fs::create_dir_all(&config.folder).map_err(&failed)?;
        let socket = config.folder.join("control.sock");
        let path = config.folder.join("silverstream.toml");
        std::fs::write(&path, config.to_toml(&socket)).map_err(&failed)?;
        let log = std::fs::File::create(&config.log).map_err(&failed)?;
        // The shell becomes the program, whose process id stays.
        let child = Process::new("sh")
            .args(["-c", BECOME, "sh"])
            .arg(std::env::current_exe().map_err(&failed)?)
            .arg(&path)
            .args(&config.groups)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(&failed)?;
        let mut jukebox = Self { child, socket };
        jukebox.wait_until(START_PATIENCE, |jukebox| jukebox.status().ok()).map_err(|error| {
            let log = std::fs::read_to_string(&config.log).unwrap_or_default();
            failed(std::io::Error::other(format!("{error}; its log ends: {}", end_of(&log))))
        })?;
        Ok(jukebox)
    }

    /// Of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a command.
    ///
    /// # Errors
    /// If the jukebox is gone or refuses.
    pub fn ask(&self, command: &Command) -> Result<Reply, LabError> {
        let reply = Client::connect(&self.socket)
            .and_then(|mut client| client.send(command))
            .map_err(LabError::failed("the jukebox does not answer"))?;
        match reply {
            Reply::Error(error) => Err(LabError::failed("the jukebox refuses")(error)),
            reply => Ok(reply),
        }
    }

    /// Its state.
    ///
    /// # Errors
    /// If it is gone.
    pub fn status(&self) -> Result<Status, LabError> {
        match self.ask(&Command::Status)? {
            Reply::Status(status) => Ok(*status),
            other => Err(LabError::failed("the jukebox does not tell its state")(format!("{other:?}"))),
        }
    }

    /// What it finds.
    ///
    /// # Errors
    /// If it is gone.
    pub fn search(&self, query: &str) -> Result<Vec<SearchHit>, LabError> {
        let command = Command::Search { query: query.to_owned(), limit: 500, mode: SearchMode::Exact };
        match self.ask(&command)? {
            Reply::Search(results) => Ok(results.results),
            other => Err(LabError::failed("the jukebox does not search")(format!("{other:?}"))),
        }
    }

    /// Looks again and again until there is something.
    ///
    /// # Errors
    /// If there is nothing after `patience`.
    pub fn wait_until<T>(
        &mut self,
        patience: Duration,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, LabError> {
        let end = Instant::now() + patience;
        loop {
            if let Some(value) = look(self) {
                return Ok(value);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(LabError::failed("the jukebox ended")(status.to_string()));
            }
            if Instant::now() >= end {
                let state = self.status().map_or_else(|error| error.to_string(), |status| told(&status));
                return Err(LabError::failed("the jukebox took too long")(state));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// What it takes of the machine's memory.
    pub fn memory(&self) -> ChildMemory {
        Usage::of(self.pid()).memory
    }

    /// Processor time that it has used so far; zero where the kernel does not say.
    pub fn cpu_time(&self) -> Duration {
        Usage::of(self.pid()).cpu
    }
}

/// In how far it got.
fn told(status: &Status) -> String {
    let Status { budget, index, player, dht, .. } = status;
    format!(
        "{}; {} contacts, {} tracks, player {:?}; with --out its log stays there",
        budget.sentence, dht.contacts, index.tracks, player.state
    )
}

/// What a process takes of the machine, as the kernel counts it; zero where it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub memory: ChildMemory,
    /// Processor time since it was started.
    pub cpu: Duration,
}

impl Usage {
    /// Of the process with that number.
    pub fn of(pid: u32) -> Self {
        let text = |name| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        Self { memory: ChildMemory::of(&text("status")), cpu: Self::cpu(&text("stat")) }
    }

    fn cpu(stat: &str) -> Duration {
        // proc(5): fields 14 and 15, counted behind the program's name in parentheses.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }
}

impl ChildMemory {
    /// From the text of `/proc/PID/status` (proc(5)), which counts in KiB.
    fn of(status: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let bytes = |name| field(name).unwrap_or(0) * 1024;
        Self { resident: bytes("VmRSS"), peak: bytes("VmHWM"), anonymous: bytes("RssAnon") }
    }
}

impl Drop for ChildJukebox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last line or so.
fn end_of(log: &str) -> &str {
    log.trim_end().lines().next_back().unwrap_or("(empty)")
}

impl ChildConfig {
    fn to_toml(&self, socket: &Path) -> String {
        let Self { folder, bootstrap, network, output, budget, nodes, memory, groups: _, log: _ } = self;
        let ChildNetwork { listen, id_strategy, scope, upload } = network;
        let upload = upload.map_or_else(String::new, |rate| format!("upload = \"{rate}\"\n"));
        let bootstrap: Vec<String> = bootstrap.iter().map(SocketAddr::to_string).collect();
        let nodes = nodes.map_or_else(|| "\"auto\"".to_owned(), |count| count.to_string());
        let memory =
            memory.map_or_else(String::new, |bytes| format!("memory = {:?}\n", format!("{} KiB", bytes >> 10)));
        format!(
            "[board]\nprofile = \"sim\"\n{memory}\
             [dht]\nnodes = {nodes}\nid_strategy = {id_strategy:?}\nlisten = \"{listen}\"\nbootstrap = {bootstrap:?}\n\
             [network]\nscope = {scope:?}\n{upload}\
             [index]\npath = {index:?}\n\
             [storage]\npath = {music:?}\nbudget = {budget:?}\n\
             [audio]\noutput = {output:?}\n\
             [control]\nsocket = {socket:?}\n\
             [panel]\ndisplay = \"none\"\nknob = \"none\"\n",
            index = folder.join("index"),
            music = folder.join("music"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::types::Bytes;

    #[test]
    fn memory_is_read_as_the_kernel_tells_it() {
        let status = "Name:\tsilverstream\nVmPeak:\t  900000 kB\nVmHWM:\t   50000 kB\nVmRSS:\t   40000 kB\n\
                      RssAnon:\t   30000 kB\nThreads:\t12\n";
        let memory = ChildMemory { resident: 40_000 * 1024, peak: 50_000 * 1024, anonymous: 30_000 * 1024 };
        assert_eq!(ChildMemory::of(status), memory);
        assert_eq!(ChildMemory::of(""), ChildMemory::default());
    }

    #[test]
    fn the_configuration_is_one_that_the_program_takes() {
        let config = ChildConfig {
            folder: "/tmp/some where".into(),
            bootstrap: vec![([127, 64, 0, 1], 4000).into()],
            network: ChildNetwork { upload: Some(Rate(3 << 20)), ..ChildNetwork::default() },
            output: "null".into(),
            budget: "1 GiB".into(),
            nodes: None,
            memory: Some(100 << 20),
            groups: Vec::new(),
            log: "/tmp/log".into(),
        };
        let text = config.to_toml(Path::new("/tmp/some where/control.sock"));
        let read = Config::from_text(Path::new("test"), &text).unwrap();
        assert_eq!(read.storage.path, Path::new("/tmp/some where/music"));
        assert_eq!(read.dht.bootstrap, ["127.64.0.1:4000"]);
        assert_eq!(read.board.memory, Some(Bytes::mib(100)));
        assert_eq!(read.network.upload, Some(Rate(3 << 20)));
    }
}
