//! The messages as a whole, and server and client against each other and against hostile input.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::client::{Client, ClientError};
use super::server::{Limits, Server, ServerError};
use super::*;
use crate::types::{InfoHash, TrackId};

/// Numbers that JSON carries without rounding.
fn number() -> impl Strategy<Value = f64> {
    (-8_000_000i32..8_000_000).prop_map(|eighths| f64::from(eighths) / 8.0)
}

fn track() -> impl Strategy<Value = TrackId> {
    (any::<[u8; 20]>(), any::<u32>()).prop_map(|(hash, file)| TrackId { infohash: InfoHash(hash), file })
}

fn command() -> impl Strategy<Value = Command> {
    let mode = prop_oneof![Just(SearchMode::Fuzzy), Just(SearchMode::Exact), Just(SearchMode::Prefix)];
    let bare = prop::sample::select(vec![
        Command::QueueClear,
        Command::QueueList,
        Command::Pause,
        Command::Resume,
        Command::Toggle,
        Command::Stop,
        Command::Next,
        Command::Previous,
        Command::Status,
        Command::PanelPress,
        Command::PanelDouble,
        Command::PanelHold,
        Command::PanelPicture,
        Command::Shutdown,
    ]);
    prop_oneof![
        bare,
        (any::<String>(), any::<u32>(), mode).prop_map(|(query, limit, mode)| Command::Search { query, limit, mode }),
        any::<String>().prop_map(|prefix| Command::Dial { prefix }),
        prop::option::of(track()).prop_map(|track| Command::Play { track }),
        prop::collection::vec(track(), 0..5).prop_map(|tracks| Command::QueueAdd { tracks }),
        any::<u32>().prop_map(|position| Command::QueueRemove { position }),
        number().prop_map(|seconds| Command::Seek { to: SeekTo::Absolute(seconds) }),
        number().prop_map(|seconds| Command::Seek { to: SeekTo::Relative(seconds) }),
        any::<u8>().prop_map(|percent| Command::Volume { to: VolumeTo::Absolute(percent) }),
        any::<i8>().prop_map(|points| Command::Volume { to: VolumeTo::Relative(points) }),
        any::<String>().prop_map(|source| Command::Add { source }),
        any::<String>().prop_map(|path| Command::Share { path: PathBuf::from(path) }),
        any::<[u8; 20]>().prop_map(|hash| Command::Unshare { infohash: InfoHash(hash) }),
        any::<i32>().prop_map(|detents| Command::PanelTurn { detents }),
    ]
}

fn track_info() -> impl Strategy<Value = TrackInfo> {
    (track(), any::<[String; 3]>(), any::<u64>()).prop_map(|(track, [title, artist, album], bytes)| TrackInfo {
        track,
        title,
        artist,
        album,
        format: "flac".to_owned(),
        bytes,
    })
}

fn status() -> impl Strategy<Value = Status> {
    let player = (prop::option::of(track_info()), number(), prop::option::of(number()), any::<u64>()).prop_map(
        |(track, position_s, startup_ms, underruns)| PlayerStatus {
            state: PlayState::Buffering,
            track,
            position_s,
            startup_ms,
            underruns,
            ..PlayerStatus::default()
        },
    );
    (any::<String>(), any::<u64>(), player).prop_map(|(board, uptime_s, player)| Status {
        board,
        uptime_s,
        player,
        ..Status::default()
    })
}

fn reply() -> impl Strategy<Value = Reply> {
    let hit = (track_info(), any::<u32>(), number()).prop_map(|(info, seeders, score)| SearchHit {
        track: info.track,
        title: info.title,
        artist: info.artist,
        album: info.album.clone(),
        path: info.album,
        format: info.format,
        bytes: info.bytes,
        seeders,
        score,
    });
    let code = prop::sample::select(vec![ErrorCode::Usage, ErrorCode::NotFound, ErrorCode::Full, ErrorCode::NotNow]);
    prop_oneof![
        Just(Reply::Done),
        (any::<String>(), prop::option::of(any::<String>()), number(), prop::collection::vec(hit, 0..4)).prop_map(
            |(query, corrected, elapsed_ms, results)| {
                Reply::Search(SearchResults { query, corrected, elapsed_ms, results })
            }
        ),
        (any::<String>(), any::<u64>(), prop::collection::vec((any::<char>(), any::<u64>()), 0..4)).prop_map(
            |(prefix, hits, letters)| {
                let letters = letters.into_iter().map(|(letter, hits)| DialLetter { letter, hits }).collect();
                Reply::Dial(DialState { prefix, hits, letters })
            }
        ),
        (prop::option::of(track_info()), prop::collection::vec(track_info(), 0..4))
            .prop_map(|(current, upcoming)| Reply::Queue(QueueState { current, upcoming })),
        status().prop_map(|status| Reply::Status(Box::new(status))),
        (any::<[u8; 20]>(), any::<[String; 2]>(), any::<u32>()).prop_map(|(hash, [name, magnet], tracks)| {
            Reply::Torrent(TorrentAdded { infohash: InfoHash(hash), name, tracks, magnet })
        }),
        any::<u8>().prop_map(|percent| Reply::Volume { percent }),
        (any::<u32>(), any::<u32>(), any::<String>()).prop_map(|(width, height, bits)| Reply::Picture(Picture {
            width,
            height,
            bits
        })),
        (code, any::<String>()).prop_map(|(code, message)| Reply::Error(CommandError { code, message })),
    ]
}

proptest! {
    #[test]
    fn commands_round_trip_on_one_line(command in command()) {
        let line = wire::encode_command(&command);
        prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        prop_assert_eq!(wire::decode_command(&line).unwrap(), command);
    }

    #[test]
    fn replies_round_trip_on_one_line(reply in reply()) {
        let line = wire::encode_reply(&reply);
        prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        prop_assert_eq!(wire::decode_reply(&line).unwrap(), reply);
    }

    #[test]
    fn hostile_lines_are_refused_with_a_sentence(line in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Err(error) = wire::decode_command(&line) {
            prop_assert_eq!(error.code, ErrorCode::Usage);
            prop_assert!(error.message.len() < 1200);
        }
        let _ = wire::decode_reply(&line);
    }
}

#[test]
fn the_documented_lines_are_what_is_written() {
    let seek = Command::Seek { to: SeekTo::Relative(-10.0) };
    assert_eq!(wire::encode_command(&seek), b"{\"command\":\"seek\",\"to\":{\"relative\":-10.0}}\n");
    assert_eq!(wire::encode_reply(&Reply::Done), b"{\"reply\":\"done\"}\n");
}

#[test]
fn deep_nesting_and_absurd_replies_are_bounded() {
    assert_eq!(wire::decode_command(&vec![b'['; 60_000]).unwrap_err().code, ErrorCode::Usage);
    let huge = Reply::Picture(Picture { width: 1, height: 1, bits: "0".repeat(wire::MAX_REPLY_BYTES) });
    let line = wire::encode_reply(&huge);
    assert!(matches!(wire::decode_reply(&line), Ok(Reply::Error(error)) if error.code == ErrorCode::Full));
}

#[test]
fn status_has_the_documented_names() {
    let track = TrackInfo {
        track: TrackId { infohash: InfoHash([7; 20]), file: 3 },
        title: "Title".to_owned(),
        artist: String::new(),
        album: String::new(),
        format: "mp3".to_owned(),
        bytes: 1,
    };
    let player = PlayerStatus { track: Some(track), ..PlayerStatus::default() };
    let json = serde_json::to_value(Status { player, ..Status::default() }).unwrap();
    for (section, names) in [
        ("memory", "rss_bytes"),
        ("dht", "nodes contacts datagrams_in datagrams_out sightings infohashes"),
        ("index", "queued fetched failed torrents tracks bytes"),
        ("player", "state track position_s duration_s buffered_s startup_ms underruns"),
        ("storage", "used_bytes budget_bytes evicted_bytes"),
        ("seeding", "torrents uploaded_bytes"),
    ] {
        for name in names.split(' ') {
            assert!(json[section].get(name).is_some(), "{section}.{name}");
        }
    }
    assert_eq!(json["player"]["track"], format!("{}/3", "07".repeat(20)));
    assert_eq!(json["player"]["state"], "stopped");
}

/// A jukebox that knows one thing: how to repeat a query.
struct Fixture {
    folder: tempfile::TempDir,
    cancel: CancellationToken,
    server: JoinHandle<()>,
}

impl Fixture {
    fn start(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (_status, receiver) = watch::channel(Arc::new(Status::default()));
        let (handle, requests) = channel(receiver);
        tokio::spawn(repeat_queries(requests));
        let cancel = CancellationToken::new();
        let server = Server::bind(&folder.path().join("s")).unwrap();
        let server = tokio::spawn(server.serve(handle, limits, cancel.clone()));
        Self { folder, cancel, server }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    async fn connect(&self) -> BufReader<UnixStream> {
        BufReader::new(UnixStream::connect(self.path()).await.unwrap())
    }
}

async fn repeat_queries(mut requests: mpsc::Receiver<Request>) {
    while let Some(request) = requests.recv().await {
        let reply = match request.command {
            Command::Search { query, .. } => Reply::Search(SearchResults { query, ..SearchResults::default() }),
            _ => Reply::Done,
        };
        let _ = request.reply.send(reply);
    }
}

async fn ask(stream: &mut BufReader<UnixStream>, line: &[u8]) -> Option<Reply> {
    // The server may have sent us away before it reads; its answer is what counts.
    let _ = stream.write_all(line).await;
    let mut answer = Vec::new();
    stream.read_until(b'\n', &mut answer).await.ok()?;
    (!answer.is_empty()).then(|| wire::decode_reply(&answer).unwrap())
}

fn search(query: &str) -> Command {
    Command::Search { query: query.to_owned(), limit: 1, mode: SearchMode::Fuzzy }
}

#[tokio::test]
async fn the_blocking_client_gets_its_answers() {
    let fixture = Fixture::start(Limits::default());
    let path = fixture.path();
    let answers = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(&path).unwrap();
        [client.send(&search("één\nsong")).unwrap(), client.send(&Command::Pause).unwrap()]
    });
    let [first, second] = answers.await.unwrap();
    assert!(matches!(first, Reply::Search(results) if results.query == "één\nsong"));
    assert_eq!(second, Reply::Done);
    fixture.cancel.cancel();
    fixture.server.await.unwrap();
    assert!(!fixture.folder.path().join("s").exists());
}

#[tokio::test]
async fn nonsense_is_answered_and_the_connection_goes_on() {
    let fixture = Fixture::start(Limits::default());
    let mut stream = fixture.connect().await;
    for line in [
        &b"hello\n"[..],
        b"{\"command\":\"fly\"}\n",
        b"\xff\xfe\n",
        b"{\"command\":\"seek\",\"to\":{\"absolute\":null}}\n",
    ] {
        assert!(matches!(ask(&mut stream, line).await, Some(Reply::Error(error)) if error.code == ErrorCode::Usage));
    }
    assert_eq!(ask(&mut stream, b"\n  \r\n{\"command\":\"pause\"}\r\n").await, Some(Reply::Done));
}

#[tokio::test]
async fn endless_line_is_cut_off() {
    let fixture = Fixture::start(Limits::default());
    let mut stream = fixture.connect().await;
    let reply = ask(&mut stream, &vec![b'x'; wire::MAX_COMMAND_BYTES + 1]).await;
    assert!(matches!(reply, Some(Reply::Error(error)) if error.code == ErrorCode::Usage));
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn client_beyond_the_bound_is_told_so_and_room_is_made_again() {
    let fixture = Fixture::start(Limits { connections: 1, ..Limits::default() });
    let mut first = fixture.connect().await;
    assert_eq!(ask(&mut first, b"{\"command\":\"pause\"}\n").await, Some(Reply::Done));
    let path = fixture.path();
    let refused = tokio::task::spawn_blocking(move || Client::connect(&path).unwrap().send(&Command::Pause));
    assert!(matches!(refused.await.unwrap(), Ok(Reply::Error(error)) if error.code == ErrorCode::Full));
    drop(first);
    loop {
        let mut next = fixture.connect().await;
        if ask(&mut next, b"{\"command\":\"pause\"}\n").await == Some(Reply::Done) {
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn silent_client_is_disconnected() {
    let fixture = Fixture::start(Limits { idle: Duration::from_secs(60), ..Limits::default() });
    let mut stream = fixture.connect().await;
    let begun = tokio::time::Instant::now();
    stream.write_all(b"{\"command\":").await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(begun.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn socket_is_for_owner_and_group_only() {
    let fixture = Fixture::start(Limits::default());
    assert_eq!(std::fs::metadata(fixture.path()).unwrap().permissions().mode() & 0o777, 0o660);
}

#[tokio::test]
async fn stale_socket_is_replaced_and_a_live_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    drop(StdListener::bind(&path).unwrap());
    let first = Server::bind(&path).unwrap();
    let refusal = Server::bind(&path).unwrap_err();
    assert!(matches!(refusal, ServerError::AlreadyRunning { .. }), "{refusal}");
    drop(first);
    assert!(!path.exists());
    // A program that knows nothing of our lock.
    let stranger = StdListener::bind(&path).unwrap();
    assert!(matches!(Server::bind(&path), Err(ServerError::AlreadyRunning { .. })));
    drop(stranger);
    drop(Server::bind(&path).unwrap());
}

#[tokio::test]
async fn impossible_paths_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "keep me").unwrap();
    assert!(matches!(Server::bind(&file), Err(ServerError::NotASocket { .. })));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "keep me");
    let missing = Server::bind(&folder.path().join("no/s")).unwrap_err();
    assert!(missing.to_string().contains("folder exists"), "{missing}");
    let long = folder.path().join("x".repeat(120));
    assert!(matches!(Server::bind(&long), Err(ServerError::PathTooLong { .. })));
}

/// What the client makes of a server that answers with `answer` and closes.
fn answer_of(answer: &'static [u8]) -> Result<Reply, ClientError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = StdListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _): (StdStream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(answer).unwrap();
    });
    let result = Client::connect(&path).and_then(|mut client| client.send(&Command::Status));
    server.join().unwrap();
    result
}

#[test]
fn client_says_what_is_wrong() {
    let missing = Client::connect(Path::new("/nonexistent/control.sock")).unwrap_err();
    assert!(missing.to_string().contains("silverstream run"), "{missing}");
    assert!(matches!(answer_of(b""), Err(ClientError::Closed { .. })));
    assert!(matches!(answer_of(b"{\"reply\":\"do"), Err(ClientError::Closed { .. })));
    assert!(matches!(answer_of(b"HTTP/1.1 400 Bad Request\r\n"), Err(ClientError::NotUnderstood { .. })));
    assert_eq!(answer_of(b"{\"reply\":\"done\",\"new_field\":1}\n").unwrap(), Reply::Done);
}
