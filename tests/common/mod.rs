//! What the whole-behaviour tests share: a network namespace of their own, a jukebox process, a world of real clients.

// Each test binary uses a part of this.
#![allow(dead_code, reason = "every test file compiles its own copy and uses some of it")]

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use silverstream::control::{Command, QueueState, Reply, SearchMode, SearchResults, Status, client::Client};

/// Set for the copy of the test that runs inside the namespace: a file that it makes, so that the copy outside knows
/// that it ran.
const INSIDE: &str = "SILVERSTREAM_TEST_INSIDE";

/// The jukebox's own address inside: a /24 that no other client is in. What binds no address of its own sends from
/// it. Left to itself the kernel would send from the address that is dialled, so that every peer would be called by
/// itself; libtorrent bans its own address for good once it has dialled itself, which it may when it looks up peers.
pub const OWN_IP: &str = "80.0.60.38";

/// How long anything may take that is waited for without a bound of its own.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the test `name` of this binary once more in namespaces of its own and says whether this is that copy.
///
/// Inside there is no network but loopback, on which every address of 80.0.0.0/8 is local, and all processes end with
/// the test.
pub fn in_private_network(name: &str) -> bool {
    if let Some(marker) = std::env::var_os(INSIDE) {
        std::fs::write(marker, name).expect("the copy outside can be told that this one runs");
        return true;
    }
    let told = tempfile::tempdir().expect("a folder for the copy inside");
    let marker = told.path().join("ran");
    let test = std::env::current_exe().expect("a test knows its program");
    let root = rustix::process::getuid().is_root();
    let status = Process::new("unshare")
        .args(if root { &["-n"][..] } else { &["-Urn"][..] })
        .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "sh", "-c"])
        .arg(
            "ip link set lo up && ip address add \"$2\"/32 dev lo && \
             ip route add local 80.0.0.0/8 dev lo src \"$2\" && exec \"$0\" --exact \"$1\" --nocapture",
        )
        .arg(test)
        .arg(name)
        .arg(OWN_IP)
        .env(INSIDE, &marker)
        .status()
        .expect("util-linux (unshare) is installed; run `.ci/setup test`");
    assert!(status.success(), "{name} failed inside its namespace");
    // Of a name that no test has, none runs, and that is a success to the test harness.
    assert!(marker.exists(), "no test is called {name}; it was given another name than the call says");
    false
}

/// Looks again and again until the condition gives something; a panic that says what was missed after `patience`.
pub fn wait_for<T>(what: &str, patience: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "{what} did not happen within {patience:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Where `.ci/setup test` puts what it fetches.
pub fn cache(name: &str) -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .expect("HOME is set");
    let path = base.join("silverstream").join(name);
    assert!(path.exists(), "{} is missing; run `.ci/setup test`", path.display());
    path
}

/// The library that tells a process another time, of Debian's package `faketime`.
pub fn faketime() -> PathBuf {
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    let path = Path::new("/usr/lib").join(triple).join("faketime/libfaketimeMT.so.1");
    assert!(path.exists(), "{} is missing; run `.ci/setup test`", path.display());
    path
}

/// A jukebox process with a folder of its own.
pub struct Jukebox {
    pub folder: PathBuf,
    pub config: PathBuf,
    pub socket: PathBuf,
    /// Set for the process on top of what the test has.
    pub environment: Vec<(OsString, OsString)>,
    child: Option<Child>,
}

impl Jukebox {
    /// Writes a configuration with private scope and the given further lines, and does not start it yet.
    pub fn prepare(folder: &Path, bootstrap: &[&str], listen: &str, more: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let config = folder.join("silverstream.toml");
        let socket = folder.join("control.sock");
        let text = format!(
            "board = \"sim\"\n[dht]\nnodes = 8\nlisten = {listen:?}\nbootstrap = {bootstrap:?}\n\
             [network]\nscope = \"private\"\n[index]\npath = {:?}\n[control]\nsocket = {socket:?}\n\
             [panel]\ndisplay = \"none\"\nknob = \"none\"\n{more}",
            folder.join("index"),
        );
        std::fs::write(&config, text).unwrap();
        Self { folder: folder.to_owned(), config, socket, environment: Vec::new(), child: None }
    }

    /// `[storage]` and `[audio]` lines for [`Self::prepare`].
    pub fn sections(folder: &Path, budget: &str, output: &str) -> String {
        format!("[storage]\npath = {:?}\nbudget = {budget:?}\n[audio]\noutput = {output:?}\n", folder.join("music"))
    }

    pub fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let child = Process::new(env!("CARGO_BIN_EXE_silverstream"))
            .args(["run", "--config"])
            .arg(&self.config)
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into()))
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Takes over a process that was started otherwise, and waits until it answers.
    pub fn adopt(&mut self, child: Child) {
        self.child = Some(child);
        self.wait_until_it_answers();
    }

    /// Starts it and waits until it answers.
    pub fn start_and_wait(&mut self) {
        self.start();
        self.wait_until_it_answers();
    }

    fn wait_until_it_answers(&mut self) {
        wait_for("the jukebox answers", PATIENCE, || {
            let child = self.child.as_mut().expect("it was started");
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the jukebox ended with {status}:\n{}", self.log());
            }
            Client::connect(&self.socket).ok()?.send(&Command::Status).ok()
        });
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it was started").id()
    }

    /// Ends it without a warning, as a power cut would end the process.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Asks it to end and waits until it has; its exit status.
    pub fn shutdown(&mut self) -> std::process::ExitStatus {
        assert_eq!(self.send(Command::Shutdown), Reply::Done);
        let mut child = self.child.take().expect("it was started");
        wait_for("the jukebox ends", PATIENCE, || child.try_wait().unwrap())
    }

    /// Waits for it to end by itself; whether it succeeded, and its log.
    pub fn wait_end(&mut self) -> (bool, String) {
        let mut child = self.child.take().expect("it was started");
        let status = wait_for("the jukebox ends", PATIENCE, || child.try_wait().unwrap());
        (status.success(), self.log())
    }

    pub fn send(&self, command: Command) -> Reply {
        Client::connect(&self.socket)
            .and_then(|mut client| client.send(&command))
            .unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    pub fn status(&self) -> Status {
        match self.send(Command::Status) {
            Reply::Status(status) => *status,
            other => panic!("no status but {other:?}"),
        }
    }

    pub fn search(&self, query: &str) -> SearchResults {
        match self.send(Command::Search { query: query.to_owned(), limit: 20, mode: SearchMode::Fuzzy }) {
            Reply::Search(results) => results,
            other => panic!("no results but {other:?}"),
        }
    }

    pub fn queue(&self) -> QueueState {
        match self.send(Command::QueueList) {
            Reply::Queue(queue) => queue,
            other => panic!("no queue but {other:?}"),
        }
    }

    /// Waits until the state satisfies the condition.
    pub fn wait_status(&self, what: &str, patience: Duration, condition: impl Fn(&Status) -> bool) -> Status {
        let mut last = Status::default();
        let end = Instant::now() + patience;
        while Instant::now() < end {
            last = self.status();
            if condition(&last) {
                return last;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{what} did not happen within {patience:?}: {last:#?}\n{}", self.log());
    }

    /// Runs a command of the command line against this jukebox; its exit code, output and errors.
    pub fn cli(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Process::new(env!("CARGO_BIN_EXE_silverstream"))
            .arg("--socket")
            .arg(&self.socket)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }
}

impl Drop for Jukebox {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The world of `tests/real/world.py`.
pub struct World {
    /// What it says of itself: the bootstrap address and the releases.
    pub description: Value,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl World {
    /// Makes the recordings below `folder` and starts the clients; they announce nothing before [`Self::ready`].
    pub fn start(folder: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/world.py");
        let mut child = Process::new(cache("venv").join("bin/python"))
            .args(["-W", "ignore"])
            .arg(script)
            .arg(cache("music"))
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().expect("it is piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let description = read_json(&mut stdout);
        Self { description, child, stdin, stdout }
    }

    /// Sends a command and waits for the answer; a panic with the world's own words if it could not.
    pub fn order(&mut self, command: Value) -> Value {
        writeln!(self.stdin, "{command}").unwrap();
        let answer = read_json(&mut self.stdout);
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer
    }

    /// Forms the DHT and announces all releases.
    pub fn ready(&mut self) {
        self.order(json!({"do": "ready"}));
    }

    pub fn bootstrap(&self) -> &str {
        self.description["bootstrap"].as_str().expect("it is text")
    }

    pub fn release(&self, name: &str) -> &Value {
        &self.description["releases"][name]
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = writeln!(self.stdin, "{}", json!({"do": "quit"}));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_json(from: &mut impl BufRead) -> Value {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("the world said {line:?}: {error}"))
}

/// Decodes a file with ffmpeg to interleaved samples of 16 bits.
pub fn reference_decode(path: &Path) -> Vec<i16> {
    let output = Process::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args(["-f", "s16le", "-"])
        .output()
        .expect("ffmpeg is installed; run `.ci/setup test`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// Bytes that a folder and everything in it take on disk.
pub fn disk_usage(folder: &Path) -> u64 {
    let own = std::fs::metadata(folder).map_or(0, |meta| meta.blocks() * 512);
    let Ok(entries) = std::fs::read_dir(folder) else { return own };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_usage(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    own + entries.flatten().map(of).sum::<u64>()
}
