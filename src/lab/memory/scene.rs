//! What goes on around the jukebox while its memory is watched.

use std::collections::{HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;

use super::Pace;
use crate::control::{Command, PlayState, SearchMode};
use crate::lab::child::ChildJukebox;
use crate::lab::stage::{self, Scenery, Stage};
use crate::lab::world::Seeding;
use crate::lab::world::leech::Leech;
use crate::lab::world::press::Press;
use crate::lab::{LabError, Options};
use crate::types::{InfoHash, Rate, TrackId};

/// Torrents that the jukebox finds when it starts.
const FIRST_RELEASES: usize = 6;

/// Seeders of each torrent; together they send about four times what FLAC takes.
const COPIES: usize = 3;
const SEEDER_UPLOAD: Rate = Rate(128 << 10);

/// Records that the listener remembers; older ones leave the world before long.
const MAX_UNHEARD: usize = 8;

/// Downloaders from the jukebox.
const LEECHES: usize = 3;

/// Songs are queued when fewer wait.
const REFILL_AT: u32 = 2;

/// Of so many songs one is skipped once it has begun: what is no longer wanted must leave nothing behind.
const SKIP_EVERY: u64 = 5;

/// Between two searches that somebody types.
const SEARCH_EVERY: Duration = Duration::from_secs(3);

/// Where the jukebox listens: other addresses of the loopback network belong to the world.
const JUKEBOX_IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What happened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub nodes: u32,
    pub songs: u64,
    pub published: u64,
    /// Of the published, those in the catalogue: as music or as none.
    pub indexed: u64,
    /// Bytes that leeches took.
    pub uploaded: u64,
    pub downloaded: u64,
    pub evicted: u64,
    pub datagrams: u64,
    pub underruns: u64,
}

/// A song to take from the jukebox.
type Offer = Option<(Bytes, TrackId)>;

/// World, jukebox, and those who use it.
pub struct Scene {
    stage: Stage,
    press: Press,
    publish_every: Duration,
    next_publish: Instant,
    next_search: Instant,
    published: u64,
    /// The latest records that were not queued yet, by name, the newest first.
    unheard: VecDeque<String>,
    queued: HashSet<InfoHash>,
    playing: Option<TrackId>,
    songs: u64,
    /// Whether the song that played last was not heard to its end, so that it is not whole.
    skipped: bool,
    offers: watch::Sender<Offer>,
    uploaded: Arc<AtomicU64>,
}

impl Scene {
    /// Begins everything.
    pub fn set(options: &Options, pace: &Pace) -> Result<Self, LabError> {
        let folder = stage::folder()?;
        let mut press = Press::new(&folder.path().join("releases"), options.seed, pace.song_s)
            .map_err(LabError::failed("the music cannot be written"))?;
        let releases: Result<Vec<_>, _> = (0..FIRST_RELEASES).map(|_| press.press()).collect();
        let releases = releases.map_err(LabError::failed("a release cannot be written"))?;
        let unheard = releases.iter().filter(|release| release.tracks > 0).map(|release| release.name()).collect();
        let scratch = folder.path().join("leeches");
        let seeding = Seeding { seeders: 8, copies: COPIES, upload: Some(SEEDER_UPLOAD) };
        let scenery = Scenery { seeding, budget: pace.budget, ..Scenery::of(releases) };
        let stage = Stage::open("memory", options, folder, scenery)?;
        let (offers, _) = watch::channel(None);
        let uploaded = Arc::new(AtomicU64::new(0));
        for index in 0..LEECHES {
            // From the other end of the members, away from the seeders.
            let member = &stage.world.members()[stage.world.members().len() - 1 - index];
            let scratch = scratch.join(index.to_string());
            let leech = stage.runtime.block_on(Leech::start(member, &scratch, JUKEBOX_IP))?;
            stage.runtime.spawn(take_what_is_offered(leech, offers.subscribe(), uploaded.clone()));
        }
        let now = Instant::now();
        Ok(Self {
            stage,
            press,
            publish_every: pace.publish_every,
            next_publish: now + pace.publish_every,
            next_search: now,
            published: FIRST_RELEASES as u64,
            unheard,
            queued: HashSet::new(),
            playing: None,
            songs: 0,
            skipped: false,
            offers,
            uploaded,
        })
    }

    pub fn jukebox(&self) -> &ChildJukebox {
        &self.stage.jukebox
    }

    /// Does what is due, and tells whether there is sound.
    pub fn go_on(&mut self) -> Result<bool, LabError> {
        let now = Instant::now();
        if now >= self.next_publish {
            self.next_publish += self.publish_every;
            self.publish()?;
        }
        if now >= self.next_search {
            self.next_search += SEARCH_EVERY;
            // With a typing error, so that the vocabulary is in use.
            let query = "Mareble Lantern".to_owned();
            self.jukebox().ask(&Command::Search { query, limit: 20, mode: SearchMode::Fuzzy })?;
        }
        let player = self.jukebox().status()?.player;
        let sounds = player.state == PlayState::Playing;
        let track = player.track.as_ref().map(|info| info.track);
        if sounds && track != self.playing {
            self.songs += 1;
            let before = std::mem::replace(&mut self.playing, track);
            if let Some(heard) = before.filter(|_| !self.skipped) {
                self.offer(heard);
            }
            self.skipped = self.songs.is_multiple_of(SKIP_EVERY);
            if self.skipped {
                self.jukebox().ask(&Command::Next)?;
            }
        }
        if player.queued < REFILL_AT {
            self.refill(player.state)?;
        }
        Ok(sounds)
    }

    fn publish(&mut self) -> Result<(), LabError> {
        let release = self.press.press().map_err(LabError::failed("a release cannot be written"))?;
        if release.tracks > 0 {
            self.unheard.push_front(release.name());
            self.unheard.truncate(MAX_UNHEARD);
        }
        self.published += 1;
        self.stage.runtime.block_on(self.stage.world.publish(release)).map(|_| ())
    }

    /// Queues a record that was never heard, if the jukebox knows one.
    fn refill(&mut self, state: PlayState) -> Result<(), LabError> {
        for index in 0..self.unheard.len() {
            let hits = self.jukebox().search(&self.unheard[index])?;
            let tracks: Vec<TrackId> = hits
                .iter()
                .filter(|hit| hit.format == "flac" && !self.queued.contains(&hit.track.infohash))
                .map(|hit| hit.track)
                .collect();
            if tracks.is_empty() {
                continue;
            }
            self.unheard.remove(index);
            self.queued.extend(tracks.iter().map(|track| track.infohash));
            self.jukebox().ask(&Command::QueueAdd { tracks })?;
            if state == PlayState::Stopped {
                self.jukebox().ask(&Command::Play { track: None })?;
            }
            break;
        }
        Ok(())
    }

    /// Tells the leeches of a song that the jukebox has.
    fn offer(&self, track: TrackId) {
        let torrent = self.stage.world.shared().find(|shared| shared.infohash == track.infohash);
        if let Some(shared) = torrent {
            self.offers.send_replace(Some((shared.torrent.clone(), track)));
        }
    }

    /// Only crawling goes on.
    pub fn rest(&mut self) -> Result<(), LabError> {
        self.jukebox().ask(&Command::QueueClear)?;
        self.jukebox().ask(&Command::Stop)?;
        Ok(())
    }

    /// What happened until now.
    pub fn tally(&self) -> Result<Tally, LabError> {
        let status = self.jukebox().status()?;
        Ok(Tally {
            nodes: status.dht.nodes,
            songs: self.songs,
            published: self.published,
            indexed: status.index.torrents + status.index.not_music,
            uploaded: self.uploaded.load(Ordering::Relaxed),
            downloaded: status.seeding.downloaded_bytes,
            evicted: status.storage.evicted_bytes,
            datagrams: status.dht.datagrams_in + status.dht.datagrams_out,
            underruns: status.player.underruns,
        })
    }
}

async fn take_what_is_offered(leech: Leech, mut offers: watch::Receiver<Offer>, taken: Arc<AtomicU64>) {
    while offers.changed().await.is_ok() {
        let offer = offers.borrow_and_update().clone();
        if let Some((torrent, track)) = offer {
            taken.fetch_add(leech.take(torrent, track).await, Ordering::Relaxed);
        }
    }
}
