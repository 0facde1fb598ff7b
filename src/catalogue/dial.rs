//! The counts behind the wheel: how many tracks begin, at some word, with what is dialled, and with each next letter.
//!
//! Counting the matches of `th` among a million tracks takes too long at every click of the knob, and keeping a
//! counter for every prefix of every phrase takes more space than the tracks. So the prefixes form a *burst trie* in a
//! table: a prefix with more than [`BUCKET`] tracks has a counter and a row for each next letter; one with fewer has a
//! bucket of their numbers and nothing below. Then an answer is at most 37 rows by their key, or at most [`BUCKET`]
//! tracks read and counted, whatever the size of the catalogue; a track costs about three bytes for each of its
//! phrases; and a new track changes only the rows on its way. (A finite-state map with ranks would be as quick, but must
//! lie in memory, which is short, or be mapped, which needs `unsafe`; FTS5 counts by walking through all matches.)
//!
//! The counts are exact: a track with several phrases under a prefix counts once.

use rusqlite::{Connection, OptionalExtension};

use super::block::{put_varint, take_varint};
use super::error::{CatalogueError, Result};
use super::reader::{TrackKey, load_track};
use super::store::{Store, uint};
use super::text::{MAX_DIALLED, phrases};
use super::torrents::Change;

/// Tracks in a bucket: as many as can be read and counted within a click of the knob on the slowest board.
pub(super) const BUCKET: usize = 128;

/// What may follow on the wheel, in its order.
const WHEEL: &[u8] = b" 0123456789abcdefghijklmnopqrstuvwxyz";

/// Phrases with the tracks that they lead to, sorted.
type Entries = [(String, TrackKey)];

/// What is known of a prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dialled {
    /// Tracks with a phrase that begins with it.
    pub hits: u64,
    /// Of these, how many go on with a letter; only letters with any, a space first, then digits, then letters.
    pub letters: Vec<(char, u64)>,
}

/// A row of the trie.
enum Node {
    /// It has children, or is as long as a prefix can be.
    Inner {
        hits: i64,
    },
    Bucket(Vec<TrackKey>),
}

fn pack(keys: &[TrackKey]) -> Vec<u8> {
    let mut out = Vec::with_capacity(keys.len() * 3);
    let mut before = 0;
    for key in keys {
        put_varint(&mut out, key.0.wrapping_sub(before) as u64);
        before = key.0;
    }
    out
}

fn unpack(mut packed: &[u8]) -> Result<Vec<TrackKey>> {
    let mut keys = Vec::new();
    let mut before = 0i64;
    while !packed.is_empty() {
        let step = take_varint(&mut packed).filter(|_| keys.len() < BUCKET);
        let step = step.ok_or_else(|| CatalogueError::Damaged("a bucket of the dial is malformed".to_owned()))?;
        before = before.wrapping_add(step as i64);
        keys.push(TrackKey(before));
    }
    Ok(keys)
}

fn node(db: &Connection, prefix: &str) -> Result<Option<Node>> {
    let mut select = db.prepare_cached("SELECT hits, tracks FROM dial WHERE prefix = ?1")?;
    let row = select.query_row([prefix], |row| Ok((row.get(0)?, row.get::<_, Option<Vec<u8>>>(1)?))).optional()?;
    Ok(match row {
        None => None,
        Some((hits, None)) => Some(Node::Inner { hits }),
        Some((_, Some(packed))) => Some(Node::Bucket(unpack(&packed)?)),
    })
}

/// The different tracks of entries, sorted.
fn keys(entries: &Entries) -> Vec<TrackKey> {
    let mut keys: Vec<TrackKey> = entries.iter().map(|(_, key)| *key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

impl Store {
    /// Enters phrases in, or takes them from, the trie. An entry must not be there, or must be there, respectively.
    pub(super) fn dial(&mut self, entries: &Entries, change: Change) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        match change {
            Change::Add => self.dial_add("", entries),
            Change::Remove => self.dial_remove("", entries),
        }
    }

    fn put_node(&self, prefix: &str, hits: i64, bucket: Option<&[TrackKey]>) -> Result<()> {
        self.db.prepare_cached("INSERT OR REPLACE INTO dial VALUES (?1, ?2, ?3)")?.execute((
            prefix,
            hits,
            bucket.map(pack),
        ))?;
        Ok(())
    }

    /// `entries` all begin with `prefix`. Recursion ends at [`MAX_DIALLED`] letters.
    fn dial_add(&mut self, prefix: &str, entries: &Entries) -> Result<()> {
        let new = keys(entries);
        let old = match node(&self.db, prefix)? {
            Some(Node::Inner { hits }) => {
                self.put_node(prefix, hits + new.len() as i64, None)?;
                return self.descend(prefix, entries, Self::dial_add);
            }
            Some(Node::Bucket(old)) => old,
            None => Vec::new(),
        };
        let mut all = old.clone();
        all.extend(new);
        all.sort_unstable();
        all.dedup();
        if all.len() <= BUCKET {
            return self.put_node(prefix, all.len() as i64, Some(&all));
        }
        self.put_node(prefix, all.len() as i64, None)?;
        let mut entries = entries.to_vec();
        for key in old {
            let Some(track) = load_track(&self.db, key)? else { continue };
            entries.extend(phrases(&track).into_iter().filter(|p| p.starts_with(prefix)).map(|p| (p, key)));
        }
        entries.sort_unstable();
        entries.dedup();
        self.descend(prefix, &entries, Self::dial_add)
    }

    fn dial_remove(&mut self, prefix: &str, entries: &Entries) -> Result<()> {
        let gone = keys(entries);
        match node(&self.db, prefix)? {
            None => Ok(()),
            Some(Node::Inner { hits }) => {
                let left = hits - gone.len() as i64;
                if left > 0 {
                    self.put_node(prefix, left, None)?
                } else {
                    self.drop_node(prefix)?
                }
                self.descend(prefix, entries, Self::dial_remove)
            }
            Some(Node::Bucket(mut bucket)) => {
                bucket.retain(|key| gone.binary_search(key).is_err());
                if bucket.is_empty() {
                    self.drop_node(prefix)
                } else {
                    self.put_node(prefix, bucket.len() as i64, Some(&bucket))
                }
            }
        }
    }

    fn drop_node(&self, prefix: &str) -> Result<()> {
        self.db.prepare_cached("DELETE FROM dial WHERE prefix = ?1")?.execute([prefix])?;
        Ok(())
    }

    /// Calls `change` for each longer prefix with its entries; entries that end here have none.
    fn descend(
        &mut self,
        prefix: &str,
        entries: &Entries,
        change: fn(&mut Self, &str, &Entries) -> Result<()>,
    ) -> Result<()> {
        if prefix.len() >= MAX_DIALLED {
            return Ok(());
        }
        for group in entries.chunk_by(|(a, _), (b, _)| a.as_bytes().get(prefix.len()) == b.as_bytes().get(prefix.len()))
        {
            if let Some(longer) = group[0].0.get(..=prefix.len()) {
                change(self, longer, group)?;
            }
        }
        Ok(())
    }
}

/// The tracks that begin, at some word, with `prefix`, which must be folded to the wheel.
pub(super) fn dialled(db: &Connection, prefix: &str) -> Result<Dialled> {
    // The row of the prefix, or the bucket of a shorter one under which its tracks are.
    for length in (0..=prefix.len()).rev() {
        let Some(known) = prefix.get(..length) else { continue };
        match node(db, known)? {
            None => {}
            Some(Node::Inner { hits }) if length == prefix.len() => return children(db, prefix, hits),
            // It has children, but not the one asked for.
            Some(Node::Inner { .. }) => return Ok(Dialled::default()),
            Some(Node::Bucket(bucket)) => return count(db, prefix, &bucket),
        }
    }
    Ok(Dialled::default())
}

fn children(db: &Connection, prefix: &str, hits: i64) -> Result<Dialled> {
    let mut dialled = Dialled { hits: uint(hits), letters: Vec::new() };
    if prefix.len() >= MAX_DIALLED {
        return Ok(dialled);
    }
    let mut select = db.prepare_cached("SELECT hits FROM dial WHERE prefix = ?1")?;
    for letter in WHEEL {
        let longer = format!("{prefix}{}", char::from(*letter));
        if let Some(hits) = select.query_row([longer], |row| row.get(0)).optional()? {
            dialled.letters.push((char::from(*letter), uint(hits)));
        }
    }
    Ok(dialled)
}

fn count(db: &Connection, prefix: &str, bucket: &[TrackKey]) -> Result<Dialled> {
    let mut hits = 0;
    let mut following = [0u64; WHEEL.len()];
    for key in bucket {
        let Some(track) = load_track(db, *key)? else { continue };
        let mut next = [false; WHEEL.len()];
        let mut hit = false;
        for phrase in phrases(&track).iter().filter(|phrase| phrase.starts_with(prefix)) {
            hit = true;
            let letter = phrase.as_bytes().get(prefix.len());
            if let Some(at) = letter.and_then(|letter| WHEEL.iter().position(|on| on == letter)) {
                next[at] = true;
            }
        }
        hits += u64::from(hit);
        following.iter_mut().zip(next).for_each(|(count, next)| *count += u64::from(next));
    }
    let letters = WHEEL.iter().zip(following).filter(|(_, hits)| *hits > 0);
    Ok(Dialled { hits, letters: letters.map(|(letter, hits)| (char::from(*letter), hits)).collect() })
}
