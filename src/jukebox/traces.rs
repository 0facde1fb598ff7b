//! What the rooms leave behind for those who look for a fault.

mod events;

pub use events::{DhtEvent, PlayerEvent, SoundEvent, StorageEvent, SwarmEvent, TaskEvent};

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::supervise::{TaskError, Tick};
use crate::audio::AudioEvent;
use crate::control::{PlayerStatus, TraceRing};
use crate::crawler::CrawlerStatus;
use crate::system::trace::{Ring, story};
use crate::types::{Clock, Time};

/// Events kept of each room: some minutes of trouble, hours without.
const EVENTS: usize = 64;

/// Between two notes of what the DHT does.
const DHT_EVERY: Duration = Duration::from_secs(60);

/// Events that are told when the process dies.
const LAST_WORDS: usize = 40;

/// Events that wait for the player at most; when full, the engine keeps them back.
const TAPPED: usize = 16;

/// The rings, one a room.
#[derive(Debug)]
pub struct Traces {
    clock: Clock,
    player: Ring<PlayerEvent, EVENTS>,
    sound: Ring<SoundEvent, EVENTS>,
    swarm: Ring<SwarmEvent, EVENTS>,
    storage: Ring<StorageEvent, EVENTS>,
    tasks: Ring<TaskEvent, EVENTS>,
    dht: Ring<DhtEvent, EVENTS>,
}

impl Traces {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            player: Ring::new("player"),
            sound: Ring::new("sound"),
            swarm: Ring::new("swarm"),
            storage: Ring::new("storage"),
            tasks: Ring::new("tasks"),
            dht: Ring::new("dht"),
        }
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    pub fn player(&self, event: PlayerEvent) {
        self.player.record(self.now(), event);
    }

    pub fn sound(&self, event: SoundEvent) {
        self.sound.record(self.now(), event);
    }

    pub fn swarm(&self, event: SwarmEvent) {
        self.swarm.record(self.now(), event);
    }

    pub fn storage(&self, event: StorageEvent) {
        self.storage.record(self.now(), event);
    }

    pub fn task(&self, event: TaskEvent) {
        self.tasks.record(self.now(), event);
    }

    pub fn dht(&self, event: DhtEvent) {
        self.dht.record(self.now(), event);
    }

    /// All rings; while somebody records, only if it may `wait`.
    pub fn rings(&self, wait: bool) -> Vec<TraceRing> {
        vec![
            self.player.shown(wait),
            self.sound.shown(wait),
            self.swarm.shown(wait),
            self.storage.shown(wait),
            self.tasks.shown(wait),
            self.dht.shown(wait),
        ]
    }

    /// The last events of all rooms, for the log of a process that ends.
    pub fn last_words(&self) -> String {
        let now = self.now().as_millis() as f64 / 1000.0;
        let events = story(&self.rings(false), LAST_WORDS);
        format!("what led up to it, in seconds since the start ({now:.3} now):\n{}", events.join("\n"))
    }

    /// Has a panic anywhere in the process tell what led up to it, too. Once a process.
    pub fn tell_on_panic(self: &Arc<Self>) {
        static TRACES: OnceLock<Arc<Traces>> = OnceLock::new();
        if TRACES.set(Arc::clone(self)).is_err() {
            return;
        }
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            if let Some(traces) = TRACES.get() {
                eprintln!("{}", traces.last_words());
            }
        }));
    }
}

/// Takes note of what the engine tells on its way to the player.
pub fn tap(mut events: mpsc::Receiver<AudioEvent>, traces: Arc<Traces>) -> mpsc::Receiver<AudioEvent> {
    let (sender, tapped) = mpsc::channel(TAPPED);
    tokio::spawn(async move {
        // Its end is the engine's death, which the player must learn: the sender goes with it.
        while let Some(event) = events.recv().await {
            if let Some(event) = SoundEvent::of(&event) {
                traces.sound(event);
            }
            if sender.send(event).await.is_err() {
                return;
            }
        }
    });
    tapped
}

/// Takes note of what player and crawler publish, until the token is cancelled.
///
/// # Errors
/// If the player is gone.
pub async fn follow(
    mut player: watch::Receiver<PlayerStatus>,
    crawler: watch::Receiver<CrawlerStatus>,
    traces: Arc<Traces>,
    tick: Tick,
    cancel: CancellationToken,
) -> Result<(), TaskError> {
    let (mut seen, mut counted) = (PlayerStatus::default(), counts(&crawler.borrow()));
    let mut minutes = tokio::time::interval_at(tokio::time::Instant::now() + DHT_EVERY, DHT_EVERY);
    loop {
        tick.tick();
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = tokio::time::sleep(Tick::IDLE) => {}
            changed = player.changed() => {
                changed?;
                let now = player.borrow_and_update().clone();
                changes(&seen, &now, |event| traces.player(event));
                seen = now;
            }
            _ = minutes.tick() => {
                let now = counts(&crawler.borrow());
                traces.dht(DhtEvent {
                    contacts: now.contacts,
                    datagrams_in: now.datagrams_in - counted.datagrams_in,
                    datagrams_out: now.datagrams_out - counted.datagrams_out,
                    sightings: now.sightings - counted.sightings,
                    dropped: now.dropped - counted.dropped,
                });
                counted = now;
            }
        }
    }
}

/// Totals since the start, in the form of an event.
fn counts(status: &CrawlerStatus) -> DhtEvent {
    DhtEvent {
        contacts: status.core.contacts,
        datagrams_in: status.core.datagrams_in,
        datagrams_out: status.core.datagrams_out,
        sightings: status.core.sightings(),
        dropped: status.dropped(),
    }
}

/// What has changed between two states of the player.
fn changes(old: &PlayerStatus, new: &PlayerStatus, mut event: impl FnMut(PlayerEvent)) {
    let track = |status: &PlayerStatus| status.track.as_ref().map(|info| info.track);
    if let Some(now) = track(new).filter(|now| track(old) != Some(*now)) {
        event(PlayerEvent::Song(now));
    }
    if old.state != new.state {
        event(PlayerEvent::State(new.state));
    }
    if let Some(ms) = new.startup_ms.filter(|ms| old.startup_ms != Some(*ms)) {
        event(PlayerEvent::Started(ms as u32));
    }
    if new.underruns > old.underruns {
        event(PlayerEvent::Underrun(new.underruns));
    }
    if let Some(problem) = new.problem.as_ref().filter(|problem| old.problem.as_ref() != Some(problem)) {
        event(PlayerEvent::Problem(problem.as_str().into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::StreamInfo;
    use crate::control::{PlayState, TrackInfo};
    use crate::types::{InfoHash, TrackId};

    fn lines(traces: &Traces, room: &str) -> Vec<String> {
        let ring = traces.rings(true).into_iter().find(|ring| ring.room == room).unwrap();
        ring.entries.into_iter().map(|entry| entry.event).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_song_that_starves_and_a_device_that_goes_leave_their_story() {
        let traces = Arc::new(Traces::new(Clock::start()));
        let (engine, events) = mpsc::channel(8);
        let mut tapped = tap(events, Arc::clone(&traces));
        let info = StreamInfo {
            codec: "flac",
            sample_rate: 44_100,
            channels: 2,
            bits: None,
            duration: None,
            bitrate_bps: None,
        };
        for event in [
            AudioEvent::Opened { token: 1, info },
            AudioEvent::Started { token: 1 },
            AudioEvent::Starved { token: 1 },
            AudioEvent::OutputLost("the device is gone".to_owned()),
            AudioEvent::OutputBack,
        ] {
            engine.send(event).await.unwrap();
            tapped.recv().await.unwrap();
        }
        drop(engine);
        assert!(tapped.recv().await.is_none(), "the player does not learn that the engine died");
        assert_eq!(
            lines(&traces, "sound"),
            ["opened, 44100 Hz, 2 channels", "starved", "output lost: the device is gone", "output back"]
        );
        assert!(traces.last_words().contains("sound    output lost: the device is gone"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_player_s_changes_and_the_rates_of_the_dht_are_noted() {
        let traces = Arc::new(Traces::new(Clock::start()));
        let (player, status) = watch::channel(PlayerStatus::default());
        let (crawler, crawled) = watch::channel(CrawlerStatus::default());
        let (cancel, tick) = (CancellationToken::new(), Tick::default());
        let task = tokio::spawn(follow(status, crawled, Arc::clone(&traces), tick.clone(), cancel.clone()));
        tokio::task::yield_now().await;
        let text = || "x".to_owned();
        let track = TrackId { infohash: InfoHash([7; 20]), file: 3 };
        let song = TrackInfo { track, title: text(), artist: text(), album: text(), format: text(), bytes: 1 };
        for state in [PlayState::Buffering, PlayState::Playing] {
            player.send_replace(PlayerStatus {
                track: Some(song.clone()),
                state,
                underruns: 2,
                ..PlayerStatus::default()
            });
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        crawler.send_modify(|status| status.core.datagrams_in = 120);
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(
            lines(&traces, "player"),
            [format!("song {track}"), "Buffering".into(), "underrun, 2 so far".into(), "Playing".into()]
        );
        let dht = lines(&traces, "dht");
        assert!(dht.len() == 1 && dht[0].contains("120 in"), "{dht:?}");
        assert!(tick.count() >= 12, "it ticks while nothing happens");
        cancel.cancel();
        task.await.unwrap().unwrap();
    }
}
