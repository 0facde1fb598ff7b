//! The dialogue with a service manager, played by a socket of the test.

use std::os::unix::net::UnixDatagram;

use super::super::supervise::{Restart, Supervisor};
use super::*;
use crate::control::server::{Limits, Server};
use crate::control::{self, QueueState};
use crate::types::Clock;

const WATCHDOG: Duration = Duration::from_secs(30);

/// A jukebox of which only the signs of life are real.
struct World {
    manager: UnixDatagram,
    supervisor: Supervisor,
    hang: watch::Sender<bool>,
    farewell: Farewell,
    _attended: AbortOnDropHandle<()>,
    _status: watch::Sender<Arc<Status>>,
    _folder: tempfile::TempDir,
}

impl World {
    fn start(missing: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let cancel = CancellationToken::new();
        let mut supervisor = Supervisor::new(cancel.clone());
        let (hang, hangs) = watch::channel(false);
        for name in NEEDED.into_iter().filter(|name| Some(*name) != missing) {
            let hangs = hangs.clone();
            supervisor.spawn(name, Restart::Always, Duration::from_secs(20), move |tick| {
                let hangs = hangs.clone();
                async move {
                    loop {
                        if !(name == "player" && *hangs.borrow()) {
                            tick.tick();
                        }
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            });
        }
        let (publish, status) = watch::channel(Arc::new(Status::default()));
        let (handle, mut requests) = control::channel(status.clone());
        let socket = folder.path().join("control.sock");
        let server = Server::bind(&socket).unwrap();
        tokio::spawn(server.serve(handle, Limits::default(), cancel.clone()));
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                let _ = request.reply.send(Reply::Queue(QueueState::default()));
            }
        });
        let notifier = Notifier::to(path.to_str().unwrap()).unwrap();
        let traces = Arc::new(Traces::new(Clock::start()));
        let farewell = Farewell::default();
        let vitals = Vitals { status, tasks: supervisor.board(), socket, traces, farewell: farewell.clone(), cancel };
        let attended = Service::with(notifier, Some(WATCHDOG)).attend(vitals);
        Self { manager, supervisor, hang, farewell, _attended: attended, _status: publish, _folder: folder }
    }

    /// What the manager was told meanwhile.
    fn told(&self) -> Vec<String> {
        let mut buffer = [0; 1024];
        let receive =
            || self.manager.recv(&mut buffer).ok().map(|n| String::from_utf8_lossy(&buffer[..n]).into_owned());
        std::iter::from_fn(receive).collect()
    }

    async fn told_after(&self, seconds: u64) -> Vec<String> {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.told()
    }
}

fn count(told: &[String], what: &str) -> usize {
    told.iter().filter(|message| message.contains(what)).count()
}

#[tokio::test(start_paused = true)]
async fn ready_is_told_once_and_the_watchdog_fed_until_a_task_hangs_and_again_when_it_goes_on() {
    let world = World::start(None);
    let told = world.told_after(60).await;
    assert_eq!(told[0], "STATUS=Starting");
    assert_eq!(count(&told, "READY=1\nSTATUS=0 songs known"), 1, "{told:?}");
    assert!(count(&told, "WATCHDOG=1") >= 4, "at least every half of its time: {told:?}");
    world.hang.send_replace(true);
    world.told_after(30).await;
    let told = world.told_after(60).await;
    assert_eq!(count(&told, "WATCHDOG=1"), 0, "{told:?}");
    assert!(count(&told, "STATUS=player stands still") >= 1, "{told:?}");
    world.hang.send_replace(false);
    world.told_after(10).await;
    let told = world.told_after(30).await;
    assert!(count(&told, "WATCHDOG=1") >= 2, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn without_the_player_it_is_not_ready_and_the_manager_is_asked_for_bounded_patience() {
    let world = World::start(Some("player"));
    let told = world.told_after(60).await;
    assert_eq!((count(&told, "READY"), count(&told, "WATCHDOG")), (0, 0), "{told:?}");
    assert!(count(&told, "EXTEND_TIMEOUT_USEC=15000000") >= 10, "{told:?}");
    world.told_after(START_BOUND.as_secs()).await;
    assert_eq!(count(&world.told_after(60).await, "EXTEND"), 0, "a start that hangs goes on for ever");
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_and_so_is_that_it_takes_long() {
    let world = World::start(None);
    world.told_after(10).await;
    let cancelled = world.supervisor.board();
    let World { manager, supervisor, .. } = world;
    let ended = supervisor.shutdown(Duration::from_secs(1)).await;
    assert!(!ended, "these tasks do not heed it, {cancelled:?}");
    tokio::time::sleep(Duration::from_secs(12)).await;
    let mut buffer = [0; 1024];
    let mut told = Vec::new();
    while let Ok(length) = manager.recv(&mut buffer) {
        told.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    assert_eq!(count(&told, "STOPPING=1\nSTATUS=Ending\nEXTEND_TIMEOUT_USEC=15000000"), 1, "{told:?}");
    assert!(count(&told, "EXTEND_TIMEOUT_USEC") >= 2, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_to_be_switched_off_says_not_that_it_ends_and_is_not_taken_for_dead() {
    let world = World::start(None);
    world.told_after(10).await;
    world.farewell.ask();
    let World { manager, supervisor, .. } = world;
    supervisor.shutdown(Duration::from_secs(1)).await;
    tokio::time::sleep(WATCHDOG).await;
    let mut buffer = [0; 1024];
    let mut told = Vec::new();
    while let Ok(length) = manager.recv(&mut buffer) {
        told.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    assert_eq!((count(&told, "STATUS=Switching off"), count(&told, "STOPPING")), (1, 0), "{told:?}");
    assert!(count(&told, "WATCHDOG=1") >= 3, "{told:?}");
}
