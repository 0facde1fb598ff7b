//! Which infohashes were seen, how often and how lately, and which of them to fetch next.
//!
//! The queue is ordered by *heat*: the number of sightings where each counts half after [`HALF_LIFE_S`]. As all
//! decay alike, their order never changes while nothing is seen, so the heat is stored relative to 1970, where it only
//! grows: `log2(Σ weight · 2^(t / half-life))`. One sighting changes one row, and an index gives the hottest first.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rusqlite::{OptionalExtension, Row};

use super::error::Result;
use super::peers;
use super::rows::{DueRow, SightingRow};
use super::schema::state;
use super::store::{Store, int, uint};
use super::text::cut;
use crate::types::{InfoHash, UnixTime};

/// A sighting this long ago counts half, in seconds: swarms of new releases live for days.
const HALF_LIFE_S: f64 = 6.0 * 3600.0;
/// What an announce weighs against a question: somebody has it, at an address that was checked with a token.
const ANNOUNCE_WEIGHT: f64 = 4.0;
/// Infohashes handed out at most; `due` gives nothing more until some are reported back.
const MAX_IN_FLIGHT: usize = 4096;
/// After this an infohash that was never reported back is handed out again.
const IN_FLIGHT: Duration = Duration::from_secs(30 * 60);
/// Waiting infohashes that one call makes due at most, which bounds its time after a long pause; the next call goes on.
const PROMOTED: i64 = 1000;

/// An infohash that somebody is fetching.
pub(super) struct HandedOut {
    since: UnixTime,
    /// Whether no peer was known at that time.
    peerless: bool,
}

/// The sightings of one infohash within a batch.
#[derive(Default)]
struct Seen {
    count: u64,
    weight: f64,
    first: u64,
    last: u64,
    peers: Vec<SocketAddr>,
}

/// What is stored of an infohash, as far as a sighting changes it.
struct Known {
    state: i64,
    heat: f64,
    peers: Vec<u8>,
}

/// The heat of `weight` sightings at `at`.
fn heat(weight: f64, at: u64) -> f64 {
    weight.log2() + at as f64 / HALF_LIFE_S
}

/// The heat of two sets of sightings together.
fn sum(a: f64, b: f64) -> f64 {
    let (more, less) = if a > b { (a, b) } else { (b, a) };
    more + (less - more).exp2().ln_1p() / std::f64::consts::LN_2
}

fn group(sightings: &[SightingRow]) -> BTreeMap<InfoHash, Seen> {
    let mut groups: BTreeMap<InfoHash, Seen> = BTreeMap::new();
    for sighting in sightings {
        let at = sighting.at.0;
        let seen = groups.entry(sighting.infohash).or_insert_with(|| Seen { first: at, last: at, ..Seen::default() });
        seen.count += 1;
        seen.weight += if sighting.announce { ANNOUNCE_WEIGHT } else { 1.0 };
        seen.first = seen.first.min(at);
        seen.last = seen.last.max(at);
        seen.peers.extend(sighting.peer.filter(|_| seen.peers.len() < 4 * peers::MAX_PEERS));
    }
    groups
}

impl Store {
    pub(super) fn record_sightings(&mut self, sightings: &[SightingRow]) -> Result<()> {
        // Sorted by infohash, which is the order of the table: neighbours share pages.
        for (infohash, seen) in group(sightings) {
            match self.known(infohash)? {
                Some(known) => self.see_again(infohash, &seen, &known)?,
                None => self.see_first(infohash, &seen)?,
            }
        }
        Ok(())
    }

    fn known(&self, infohash: InfoHash) -> Result<Option<Known>> {
        let mut select = self.db.prepare_cached("SELECT state, heat, peers FROM infohash WHERE hash = ?1")?;
        let known = |row: &Row<'_>| Ok(Known { state: row.get(0)?, heat: row.get(1)?, peers: row.get(2)? });
        Ok(select.query_row([infohash.0], known).optional()?)
    }

    fn see_first(&mut self, infohash: InfoHash, seen: &Seen) -> Result<()> {
        let packed = peers::encode(&peers::with_latest(Vec::new(), &seen.peers));
        self.db
            .prepare_cached(
                "INSERT INTO infohash (hash, state, sightings, first_seen, last_seen, heat, peers)
                 VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                infohash.0,
                int(seen.count),
                int(seen.first),
                int(seen.last),
                heat(seen.weight, seen.last),
                packed,
            ))?;
        self.totals.infohashes += 1;
        self.totals.queued += 1;
        Ok(())
    }

    fn see_again(&mut self, infohash: InfoHash, seen: &Seen, known: &Known) -> Result<()> {
        let merged = peers::with_latest(peers::decode(&known.peers), &seen.peers);
        self.db
            .prepare_cached(
                "UPDATE infohash SET sightings = min(sightings + ?2, 9223372036854775807),
                        first_seen = min(first_seen, ?3), last_seen = max(last_seen, ?4), heat = ?5, peers = ?6
                 WHERE hash = ?1",
            )?
            .execute((
                infohash.0,
                int(seen.count),
                int(seen.first),
                int(seen.last),
                sum(known.heat, heat(seen.weight, seen.last)),
                peers::encode(&merged),
            ))?;
        if known.state == state::WAITING && known.peers.is_empty() && !merged.is_empty() {
            // A question is heard before the announce that follows it: the fetch failed for want of the very peer that
            // is known now. At most once for an infohash, so announcing in vain does not defeat the wait.
            self.db.prepare_cached("UPDATE infohash SET retry_at = 0 WHERE hash = ?1")?.execute([infohash.0])?;
        }
        if known.state == state::MUSIC {
            self.db
                .prepare_cached("UPDATE torrent SET seeders = ?2 WHERE hash = ?1 AND seeders <> ?2")?
                .execute((infohash.0, merged.len() as i64))?;
        }
        Ok(())
    }

    pub(super) fn due(&mut self, max: usize, now: UnixTime) -> Result<Vec<DueRow>> {
        self.in_flight.retain(|_, handed| now.since(handed.since) < IN_FLIGHT);
        let room = MAX_IN_FLIGHT.saturating_sub(self.in_flight.len());
        self.db
            .prepare_cached(
                "UPDATE infohash SET state = 0 WHERE hash IN
                 (SELECT hash FROM infohash WHERE state = 1 AND retry_at <= ?1 ORDER BY retry_at LIMIT ?2)",
            )?
            .execute((int(now.0), PROMOTED))?;
        let mut select = self.db.prepare_cached(
            "SELECT hash, sightings, first_seen, last_seen, attempts, peers FROM infohash
             WHERE state = 0 ORDER BY heat DESC",
        )?;
        let mut rows = select.query(())?;
        let mut due = Vec::new();
        while due.len() < max.min(room)
            && let Some(row) = rows.next()?
        {
            let row = due_row(row)?;
            if !self.in_flight.contains_key(&row.infohash) {
                due.push(row);
            }
        }
        let handed = |row: &DueRow| (row.infohash, HandedOut { since: now, peerless: row.peers.is_empty() });
        self.in_flight.extend(due.iter().map(handed));
        Ok(due)
    }

    pub(super) fn release(&mut self, infohash: InfoHash) -> Result<()> {
        self.in_flight.remove(&infohash);
        Ok(())
    }

    pub(super) fn postpone(&mut self, infohash: InfoHash, retry_at: UnixTime) -> Result<()> {
        self.in_flight.remove(&infohash);
        if !self.known(infohash)?.is_some_and(|known| [state::QUEUED, state::WAITING].contains(&known.state)) {
            return Ok(());
        }
        self.db
            .prepare_cached("UPDATE infohash SET retry_at = ?2 WHERE hash = ?1")?
            .execute((infohash.0, int(retry_at.0)))?;
        self.set_state(infohash, state::WAITING, UnixTime(0))
    }

    pub(super) fn mark_failed(&mut self, infohash: InfoHash, retry_at: Option<UnixTime>) -> Result<()> {
        let peerless = self.in_flight.remove(&infohash).is_some_and(|handed| handed.peerless);
        let state = if retry_at.is_some() { state::WAITING } else { state::GIVEN_UP };
        let Some(known) = self.known(infohash)? else { return Ok(()) };
        if known.state == state::MUSIC || known.state == state::NOT_MUSIC {
            // Learnt in the meantime from elsewhere, for example from a `.torrent` file that somebody added.
            return Ok(());
        }
        // Its first peer came while it was fetched without: as in `see_again`.
        let retry_at = if peerless && !known.peers.is_empty() { retry_at.and(Some(UnixTime(0))) } else { retry_at };
        self.db
            .prepare_cached("UPDATE infohash SET attempts = attempts + 1, retry_at = ?2 WHERE hash = ?1")?
            .execute((infohash.0, retry_at.map_or(0, |at| int(at.0))))?;
        self.set_state(infohash, state, UnixTime(0))
    }

    pub(super) fn mark_not_music(&mut self, infohash: InfoHash, name: &str, now: UnixTime) -> Result<()> {
        self.in_flight.remove(&infohash);
        self.remove_torrent(infohash)?;
        self.set_state(infohash, state::NOT_MUSIC, now)?;
        let name = cut(name);
        self.db.prepare_cached("UPDATE infohash SET name = ?2 WHERE hash = ?1")?.execute((infohash.0, name))?;
        Ok(())
    }

    /// Puts an infohash into a state and counts; one that was never seen is put there as of `now`.
    pub(super) fn set_state(&mut self, infohash: InfoHash, new: i64, now: UnixTime) -> Result<()> {
        match self.known(infohash)? {
            Some(known) => {
                self.count_state(known.state, -1);
                self.db
                    .prepare_cached("UPDATE infohash SET state = ?2 WHERE hash = ?1 AND state <> ?2")?
                    .execute((infohash.0, new))?;
            }
            None => {
                self.db
                    .prepare_cached(
                        "INSERT INTO infohash (hash, state, sightings, first_seen, last_seen, heat, peers)
                         VALUES (?1, ?2, 0, ?3, ?3, ?4, x'')",
                    )?
                    .execute((infohash.0, new, int(now.0), heat(1.0, now.0)))?;
                self.totals.infohashes += 1;
            }
        }
        self.count_state(new, 1);
        Ok(())
    }

    /// Counts `by` more infohashes in `state`.
    pub(super) fn count_state(&mut self, state: i64, by: i64) {
        match state {
            state::QUEUED | state::WAITING => self.totals.queued += by,
            state::NOT_MUSIC => self.totals.not_music += by,
            _ => {}
        }
    }
}

fn due_row(row: &Row<'_>) -> Result<DueRow> {
    let packed: Vec<u8> = row.get(5)?;
    Ok(DueRow {
        infohash: InfoHash(row.get(0)?),
        sightings: uint(row.get(1)?),
        first_seen: UnixTime(uint(row.get(2)?)),
        last_seen: UnixTime(uint(row.get(3)?)),
        attempts: row.get(4)?,
        peers: peers::decode(&packed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn heat_orders_like_the_decayed_sum(
            a in prop::collection::vec(0u64..100_000, 1..20),
            b in prop::collection::vec(0u64..100_000, 1..20),
            base in prop_oneof![Just(0u64), Just(1_800_000_000)],
        ) {
            let decayed = |at: &[u64]| at.iter().map(|at| ((*at as f64 - 1e5) / HALF_LIFE_S).exp2()).sum::<f64>();
            let stored = |at: &[u64]| at.iter().map(|at| heat(1.0, base + at)).reduce(sum).unwrap();
            let (x, y) = (decayed(&a), decayed(&b));
            prop_assume!((x / y - 1.0).abs() > 1e-6);
            prop_assert_eq!(x > y, stored(&a) > stored(&b));
        }
    }
}
