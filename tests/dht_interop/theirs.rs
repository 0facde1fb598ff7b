//! The other side: five clients as their makers ship them, each told what to do in its own way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use silverstream::types::InfoHash;
use tempfile::TempDir;

use crate::common::{PATIENCE, cache, wait_for};

/// UDP and TCP port of every client: each has an address of its own in a namespace of its own.
pub const PORT: u16 = 6881;

/// A client of the DHT.
pub trait Client {
    fn version(&self) -> String;
    /// Looks for peers of a torrent and announces itself as one, on TCP [`PORT`].
    fn take_up(&mut self, infohash: InfoHash);
    /// The peers that it found, if it tells; who does not will connect to them.
    fn found(&mut self, _infohash: InfoHash) -> Option<Vec<SocketAddr>> {
        None
    }
    /// Its own address as it was told by others (BEP 42); None also if it cannot be asked.
    fn external(&mut self) -> Option<IpAddr> {
        None
    }
    /// Asks a node for a sample (BEP 51), if it can: infohashes and how many there are.
    fn sample(&mut self, _from: SocketAddr) -> Option<(Vec<InfoHash>, i64)> {
        None
    }
}

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A daemon with a folder of its own; its last words are shown if the test fails.
struct Daemon {
    _running: Running,
    folder: TempDir,
}

impl Daemon {
    fn start(process: &mut Process, folder: TempDir) -> Self {
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = process.current_dir(folder.path()).stdin(Stdio::null());
        let child = process.stdout(log.try_clone().unwrap()).stderr(log).spawn();
        Self { _running: Running(child.expect("`.ci/setup test` installs it")), folder }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
            println!("{}", String::from_utf8_lossy(&log[log.len().saturating_sub(4_000)..]));
        }
    }
}

/// A library in a small program that obeys JSON, one document a line.
pub struct Driven {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    version: String,
    is_libtorrent: bool,
    _running: Running,
}

impl Driven {
    pub fn libtorrent(ip: IpAddr, nodes: &[SocketAddr]) -> Self {
        let mut process = Process::new(cache("venv").join("bin/python"));
        process.args(["-W", "ignore", "tests/real/dht_libtorrent.py"]);
        Self { is_libtorrent: true, ..Self::start(process, ip, nodes) }
    }

    pub fn npm(ip: IpAddr, nodes: &[SocketAddr]) -> Self {
        let mut process = Process::new("node");
        process.arg("tests/real/dht_node.mjs").arg(cache("npm"));
        Self::start(process, ip, nodes)
    }

    fn start(mut process: Process, ip: IpAddr, nodes: &[SocketAddr]) -> Self {
        let nodes: Vec<Value> = nodes.iter().map(|node| json!([node.ip(), node.port()])).collect();
        let process = process.arg(ip.to_string()).arg(PORT.to_string()).arg(Value::from(nodes).to_string());
        let child = process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("`.ci/setup test` installs it");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut driven = Self { stdin, stdout, version: String::new(), is_libtorrent: false, _running: Running(child) };
        driven.version = driven.read()["version"].as_str().expect("it says its version").to_owned();
        driven
    }

    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the client said {line:?}: {error}"))
    }

    fn order(&mut self, command: &Value) -> Value {
        writeln!(self.stdin, "{command}").unwrap();
        let answer = self.read();
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer
    }
}

fn address_of(pair: &Value) -> SocketAddr {
    SocketAddr::new(pair[0].as_str().unwrap().parse().unwrap(), pair[1].as_u64().unwrap() as u16)
}

impl Client for Driven {
    fn version(&self) -> String {
        self.version.clone()
    }

    fn take_up(&mut self, infohash: InfoHash) {
        self.order(&json!({"do": "announce", "infohash": infohash.to_string(), "port": PORT}));
    }

    fn found(&mut self, infohash: InfoHash) -> Option<Vec<SocketAddr>> {
        let answer = self.order(&json!({"do": "found", "infohash": infohash.to_string()}));
        Some(answer["peers"].as_array().unwrap().iter().map(address_of).collect())
    }

    fn external(&mut self) -> Option<IpAddr> {
        if !self.is_libtorrent {
            return None;
        }
        self.order(&json!({"do": "external"}))["ip"].as_str().map(|ip| ip.parse().unwrap())
    }

    fn sample(&mut self, from: SocketAddr) -> Option<(Vec<InfoHash>, i64)> {
        if !self.is_libtorrent {
            return None;
        }
        let target = "00".repeat(20);
        let answer = self.order(&json!({"do": "sample", "from": [from.ip(), from.port()], "target": target}));
        let samples = answer["samples"].as_array().unwrap().iter().map(|hash| hash.as_str().unwrap().parse().unwrap());
        Some((samples.collect(), answer["total"].as_i64().unwrap()))
    }
}

/// The crate `mainline`, on a thread of its own in this process.
pub struct Mainline {
    dht: mainline::async_dht::AsyncDht,
    runtime: tokio::runtime::Runtime,
    found: std::sync::Arc<std::sync::Mutex<Vec<(InfoHash, SocketAddr)>>>,
}

impl Mainline {
    pub fn start(ip: IpAddr, nodes: &[SocketAddr]) -> Self {
        let IpAddr::V4(ip) = ip else { panic!("it has no IPv6") };
        let dht = mainline::Dht::builder().bind_address(ip).port(PORT).bootstrap(nodes).server_mode().build().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        Self { dht: dht.as_async(), runtime, found: std::sync::Arc::default() }
    }
}

impl Client for Mainline {
    fn version(&self) -> String {
        let lock = std::fs::read_to_string("Cargo.lock").unwrap();
        let package = lock.split("[[package]]").find(|package| package.starts_with("\nname = \"mainline\"\n")).unwrap();
        package.split('"').nth(3).unwrap().to_owned()
    }

    fn take_up(&mut self, infohash: InfoHash) {
        let id = mainline::Id::from(infohash.0);
        let (dht, found) = (self.dht.clone(), std::sync::Arc::clone(&self.found));
        self.runtime.spawn(async move {
            let mut peers = dht.get_peers(id);
            while let Some(peers) = futures_lite::StreamExt::next(&mut peers).await {
                found.lock().unwrap().extend(peers.into_iter().map(|peer| (infohash, SocketAddr::V4(peer))));
            }
            dht.announce_peer(id, Some(PORT)).await.unwrap();
        });
    }

    fn found(&mut self, infohash: InfoHash) -> Option<Vec<SocketAddr>> {
        let found = self.found.lock().unwrap();
        Some(found.iter().filter(|(of, _)| *of == infohash).map(|(_, peer)| *peer).collect())
    }

    fn external(&mut self) -> Option<IpAddr> {
        let info = self.runtime.block_on(self.dht.info());
        info.public_address().map(|address| IpAddr::V4(*address.ip()))
    }
}

/// A POST to a daemon: status and headers, and the body.
fn post(to: &str, path: &str, headers: &str, body: &Value) -> std::io::Result<(String, String)> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let body = body.to_string();
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.0\r\nHost: {to}\r\n{headers}Content-Length: {length}\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((head.to_owned(), body.to_owned()))
}

fn version_of(program: &str, argument: &str) -> String {
    let output = Process::new(program).arg(argument).output().expect("`.ci/setup test` installs it");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let is_version = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.');
    text.split_whitespace().find(is_version).expect("it says its version").to_owned()
}

/// transmission-daemon.
pub struct Transmission {
    _daemon: Daemon,
    rpc: SocketAddr,
}

impl Transmission {
    pub fn start(ip: IpAddr, nodes: &[SocketAddr]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path();
        // Commands are taken in IPv4 only, and every process has a loopback address of its own.
        let (v4, v6, rpc) = match ip {
            IpAddr::V4(ip) => (ip.to_string(), "::1".to_owned(), SocketAddr::from((ip, 9091))),
            IpAddr::V6(ip) => ("127.0.0.1".to_owned(), ip.to_string(), SocketAddr::from(([127, 0, 0, 1], 9091))),
        };
        let settings = json!({
            "bind-address-ipv4": v4, "bind-address-ipv6": v6, "peer-port": PORT, "dht-enabled": true, "lpd-enabled": false,
            "port-forwarding-enabled": false, "pex-enabled": false, "utp-enabled": false, "rpc-port": 9091,
            "rpc-bind-address": rpc.ip(), "rpc-whitelist-enabled": false, "rpc-host-whitelist-enabled": false,
        });
        std::fs::write(folder.join("settings.json"), settings.to_string()).unwrap();
        std::fs::write(folder.join("dht.dat"), Self::state(nodes)).unwrap();
        let mut process = Process::new("transmission-daemon");
        process.arg("--foreground").arg("--config-dir").arg(folder).arg("--download-dir").arg(folder);
        process.arg("--log-debug");
        Self { _daemon: Daemon::start(&mut process, home), rpc }
    }

    /// What it leaves itself for its next start: an id, and contacts in compact form.
    fn state(nodes: &[SocketAddr]) -> Vec<u8> {
        let mut state = b"d2:id20:silverstream-interop".to_vec();
        for (key, length) in [("nodes", 6), ("nodes6", 18)] {
            let compact: Vec<u8> =
                nodes.iter().map(|node| compact(*node)).filter(|node| node.len() == length).flatten().collect();
            if !compact.is_empty() {
                state.extend(format!("{}:{key}{}:", key.len(), compact.len()).into_bytes());
                state.extend(compact);
            }
        }
        state.push(b'e');
        state
    }
}

fn compact(addr: SocketAddr) -> Vec<u8> {
    let mut bytes = match addr.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    bytes.extend(addr.port().to_be_bytes());
    bytes
}

impl Client for Transmission {
    fn version(&self) -> String {
        version_of("transmission-daemon", "--version")
    }

    fn take_up(&mut self, infohash: InfoHash) {
        let magnet = format!("magnet:?xt=urn:btih:{infohash}");
        let request = json!({"method": "torrent-add", "arguments": {"filename": magnet, "paused": false}});
        let mut token = String::new();
        wait_for("transmission-daemon takes the torrent", PATIENCE, || {
            let (head, body) = post(&self.rpc.to_string(), "/transmission/rpc", &token, &request).ok()?;
            if let Some(line) =
                head.lines().find(|line| line.to_ascii_lowercase().starts_with("x-transmission-session-id:"))
            {
                token = format!("{line}\r\n");
            }
            body.contains("\"success\"").then_some(())
        });
    }
}

/// aria2.
pub struct Aria2 {
    _daemon: Daemon,
    rpc: SocketAddr,
}

impl Aria2 {
    pub fn start(ip: IpAddr, nodes: &[SocketAddr]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut process = Process::new("aria2c");
        process.args(["--no-conf", "--enable-rpc", "--enable-peer-exchange=false"]);
        process.args(["--bt-enable-lpd=false", "--log-level=debug", "--log=-", "--dir=."]);
        process.args(["--dht-file-path=dht.dat", "--dht-file-path6=dht6.dat"]);
        // Commands are taken on 127.0.0.1 only, and there are two of it.
        let rpc = SocketAddr::from(([127, 0, 0, 1], if ip.is_ipv4() { 6800 } else { 6801 }));
        process.arg(format!("--rpc-listen-port={}", rpc.port()));
        process.arg(format!("--interface={ip}")).arg(format!("--listen-port={PORT}"));
        process.arg(format!("--dht-listen-port={PORT}"));
        match ip {
            IpAddr::V4(_) => process.arg(format!("--dht-entry-point={}", nodes[0])),
            IpAddr::V6(_) => process
                .args(["--enable-dht=false", "--enable-dht6=true"])
                .args([format!("--dht-listen-addr6={ip}"), format!("--dht-entry-point6={}", nodes[0])]),
        };
        let mut aria2 = Self { _daemon: Daemon::start(&mut process, home), rpc };
        // Before it has a torrent it takes no part in the DHT.
        aria2.take_up(InfoHash([0x11; 20]));
        aria2
    }
}

impl Client for Aria2 {
    fn version(&self) -> String {
        version_of("aria2c", "--version")
    }

    fn take_up(&mut self, infohash: InfoHash) {
        let magnet = format!("magnet:?xt=urn:btih:{infohash}");
        let request = json!({"jsonrpc": "2.0", "id": "1", "method": "aria2.addUri", "params": [[magnet]]});
        wait_for("aria2 takes the torrent", PATIENCE, || {
            let (_, body) = post(&self.rpc.to_string(), "/jsonrpc", "", &request).ok()?;
            body.contains("result").then_some(())
        });
    }
}
