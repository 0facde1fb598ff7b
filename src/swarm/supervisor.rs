//! Looks after all torrents: writes down what is complete, calls for peers, and notices failures.

use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::error::SwarmError;
use super::host::{Host, blocking};
use super::resting;
use super::torrent::Torrent;

/// How often every torrent is looked at.
const PERIOD: Duration = Duration::from_millis(500);
/// A download with fewer connected peers asks for more; librqbit fetches a piece from one peer, so several are needed.
const WANTED_PEERS: u32 = 6;
/// How often a download asks again.
const NEED_PERIOD: Duration = Duration::from_secs(5);
/// A download without any peer dials all it knows again after this, and so on: librqbit itself waits 10 s, then
/// minutes. Longer than a connection may take, which dialling again would cut short.
const FIRST_REDIAL: Duration = Duration::from_secs(6);
const REDIAL_PERIOD: Duration = Duration::from_secs(15);
/// Peers that librqbit may remember for a torrent; it never forgets any itself, so at more the table is emptied.
const MAX_PEER_TABLE: u32 = 2000;

/// Runs until the session ends.
pub(super) async fn run(host: Weak<Host>, cancel: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Some(host) = host.upgrade() else { return };
        host.tick.tick();
        let torrents = host.all();
        for torrent in &torrents {
            if let Err(error) = look_after(&host, torrent).await {
                tracing::warn!(infohash = %torrent.meta.infohash, %error, "torrent needs attention");
            }
        }
        if let Err(error) = resting::keep_bound(&host, &torrents, Instant::now()).await {
            tracing::warn!(%error, "connections cannot be bounded");
        }
    }
}

async fn look_after(host: &Arc<Host>, torrent: &Arc<Torrent>) -> Result<(), SwarmError> {
    let (life, now) = (torrent.life(), Instant::now());
    life.store.sweep(now);
    if let Some(failure) = life.failure() {
        let mut upkeep = torrent.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        return if upkeep.reported.replace(life.number) == Some(life.number) { Ok(()) } else { Err(failure) };
    }
    if torrent.is_shared() {
        return tidy(host, torrent, 0, now).await;
    }
    // Busy: it is being changed right now, there is another turn.
    let Ok(selection) = torrent.selection.try_lock() else { return Ok(()) };
    let selected = selection.clone();
    drop(selection);
    let (complete, unfinished): (Vec<u32>, Vec<u32>) = selected.iter().partition(|file| torrent.is_complete(**file));
    let news = {
        let upkeep = torrent.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        complete.iter().any(|file| !upkeep.recorded.contains(file))
    };
    if news {
        record(host, torrent).await?;
        torrent.upkeep.lock().unwrap_or_else(PoisonError::into_inner).recorded.extend(complete);
    }
    tidy(host, torrent, unfinished.len(), now).await
}

/// Asks for peers where there are too few, dials again where there are none, and keeps librqbit's table small.
async fn tidy(host: &Arc<Host>, torrent: &Arc<Torrent>, unfinished: usize, now: Instant) -> Result<(), SwarmError> {
    let Some(live) = torrent.life().handle.live() else { return Ok(()) };
    let peers = torrent.live_peers();
    let seen = live.stats_snapshot().peer_stats.seen;
    let (mut need, mut redial) = (false, false);
    {
        let mut upkeep = torrent.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let due = |last: &mut Option<Instant>, period: Duration| {
            let due = last.is_none_or(|last| now.duration_since(last) >= period);
            if due {
                *last = Some(now);
            }
            due
        };
        if unfinished > 0 && peers < WANTED_PEERS {
            need = due(&mut upkeep.last_need, NEED_PERIOD);
        }
        upkeep.next_redial = match upkeep.next_redial {
            _ if unfinished == 0 || peers > 0 => None,
            None => Some(now + FIRST_REDIAL),
            Some(at) if now >= at => {
                redial = !torrent.known_peers().is_empty();
                Some(now + REDIAL_PERIOD)
            }
            waiting => waiting,
        };
        if seen > MAX_PEER_TABLE && !torrent.any_open() {
            redial |= due(&mut upkeep.last_refresh, REDIAL_PERIOD);
        }
    }
    if need {
        host.need(torrent.meta.infohash);
    }
    if redial { torrent.refresh(host).await } else { Ok(()) }
}

/// Makes what is there durable and writes it down, so that the next start needs neither hashing nor downloading.
pub(super) async fn record(host: &Arc<Host>, torrent: &Arc<Torrent>) -> Result<(), SwarmError> {
    let life = torrent.life();
    if !life.is_ready() {
        // What is on the disk is not known yet; the record of the last run, if any, is still the better one.
        return Ok(());
    }
    let mut kept = torrent.kept();
    kept.extend(torrent.selection.lock().await.iter());
    let (records, meta) = (host.records.clone(), torrent.meta.clone());
    blocking(move || {
        life.store.sync()?;
        records.save(&meta, &life.store, kept)
    })
    .await
}
