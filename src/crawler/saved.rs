//! What is kept of the crawler across restarts, and its file.
//!
//! A text of lines, so that a person can look at it:
//!
//! ```text
//! silverstream contacts 1
//! strategy spread
//! external 80.0.2.38
//! node 1f0c…40 hexadecimal digits
//! contact 9d…40 hexadecimal digits 80.0.7.1:6881
//! sweep 9 137 44f0…40 hexadecimal digits
//! rests 136 21599
//! end 3da5…SHA-1 of everything before this line
//! ```

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use sha1::{Digest, Sha1};

use super::book::MAX_CONTACTS;
use super::sweep::SavedSweep;
use crate::config;
use crate::config::IdStrategy;
use crate::dht::Contact;
use crate::types::{InfoHash, NodeId};

const HEADER: &str = "silverstream contacts 1";
/// Node IDs kept at most: as many as one process may have nodes.
const MAX_NODES: usize = config::MAX_NODES as usize;
/// Zones of the sweep kept at most, all there can be.
const MAX_ZONES: usize = 1 << super::sweep::MAX_ZONE_BITS;
/// Largest file that is read: every line is below 100 bytes.
const MAX_FILE_BYTES: u64 = 100 * (MAX_CONTACTS as u64 + MAX_NODES as u64 + MAX_ZONES as u64 + 16);

/// Why kept contacts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("not a contacts file of this version")]
    Header,
    #[error("the file is damaged or cut off")]
    Checksum,
    #[error("line {line} is not understood")]
    Line { line: usize },
    #[error("larger than a contacts file can be")]
    TooLarge,
}

/// IDs and contacts of an earlier run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// Strategy by which `nodes` were placed.
    pub strategy: Option<IdStrategy>,
    /// Our address as others see it.
    pub external: Option<IpAddr>,
    /// IDs of our nodes, first node first. Others know them, and a changed ID costs the place in their tables.
    pub nodes: Vec<NodeId>,
    /// Those that answered last first; at most [`MAX_CONTACTS`].
    pub contacts: Vec<Contact>,
    /// How far the sweep is.
    pub sweep: SavedSweep,
}

impl Saved {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// If anything in it is not as [`Saved::to_text`] writes it.
    pub fn from_text(text: &str) -> Result<Self, SavedError> {
        let body_end = text.rfind("end ").ok_or(SavedError::Checksum)?;
        let (body, end) = text.split_at(body_end);
        let sum = end.strip_prefix("end ").and_then(|sum| sum.strip_suffix('\n')).ok_or(SavedError::Checksum)?;
        let mut lines = body.lines().enumerate();
        if lines.next().map(|(_, line)| line) != Some(HEADER) {
            return Err(SavedError::Header);
        }
        if sum != checksum(body) {
            return Err(SavedError::Checksum);
        }
        let mut saved = Self::default();
        for (index, line) in lines {
            saved.take_line(line).ok_or(SavedError::Line { line: index + 1 })?;
        }
        Ok(saved)
    }

    /// None if the line is not understood.
    fn take_line(&mut self, line: &str) -> Option<()> {
        let (key, value) = line.split_once(' ')?;
        match key {
            // One that is not understood is another's: the nodes are placed anew then.
            "strategy" => self.strategy = value.parse().ok(),
            "external" => self.external = Some(value.parse().ok()?),
            "node" if self.nodes.len() < MAX_NODES => self.nodes.push(value.parse().ok()?),
            "contact" if self.contacts.len() < MAX_CONTACTS => {
                let (id, addr) = value.split_once(' ')?;
                let addr: SocketAddr = addr.parse().ok()?;
                self.contacts.push(Contact { id: id.parse().ok()?, addr });
            }
            "sweep" => {
                let mut words = value.split(' ');
                self.sweep.bits = words.next()?.parse().ok()?;
                self.sweep.zone = words.next()?.parse().ok()?;
                self.sweep.from = words.next()?.parse().ok()?;
            }
            "rests" if self.sweep.resting.len() < MAX_ZONES => {
                let (zone, seconds) = value.split_once(' ')?;
                self.sweep.resting.push((zone.parse().ok()?, seconds.parse().ok()?));
            }
            _ => return None,
        }
        Some(())
    }

    /// The text of a file.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        let mut line = |arguments: std::fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _ = text.write_fmt(arguments);
        };
        if let Some(strategy) = self.strategy {
            line(format_args!("strategy {strategy}\n"));
        }
        if let Some(external) = self.external {
            line(format_args!("external {external}\n"));
        }
        for id in self.nodes.iter().take(MAX_NODES) {
            line(format_args!("node {id}\n"));
        }
        for Contact { id, addr } in self.contacts.iter().take(MAX_CONTACTS) {
            line(format_args!("contact {id} {addr}\n"));
        }
        let SavedSweep { bits, zone, from, resting } = &self.sweep;
        line(format_args!("sweep {bits} {zone} {from}\n"));
        for (zone, seconds) in resting.iter().take(MAX_ZONES) {
            line(format_args!("rests {zone} {seconds}\n"));
        }
        let sum = checksum(&text);
        text + "end " + &sum + "\n"
    }

    /// Reads the file at `path`; none if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read or is damaged.
    pub fn load(path: &Path) -> Result<Option<Self>, SavedError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut text = String::new();
        let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
        match read {
            Ok(length) if length as u64 > MAX_FILE_BYTES => Err(SavedError::TooLarge),
            Ok(_) => Self::from_text(&text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(SavedError::Checksum),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the file at `path` so that after a crash either the old or the new one is there, whole.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub fn store(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let mut file = File::create(&temporary)?;
        file.write_all(self.to_text().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        // The rename itself lasts only when the folder is on the disk.
        File::open(folder)?.sync_all()
    }
}

fn checksum(text: &str) -> String {
    // Twenty bytes in hexadecimal, as an infohash is.
    InfoHash(Sha1::digest(text.as_bytes()).into()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Saved {
        Saved {
            strategy: Some(IdStrategy::Spread),
            external: Some("80.0.2.38".parse().unwrap()),
            nodes: vec![NodeId([1; 20]), NodeId([0xfe; 20])],
            contacts: vec![
                Contact { id: NodeId([7; 20]), addr: "80.0.7.1:6881".parse().unwrap() },
                Contact { id: NodeId([8; 20]), addr: "[2001:db8::1]:1".parse().unwrap() },
            ],
            sweep: SavedSweep { bits: 9, zone: 137, from: NodeId([0x44; 20]), resting: vec![(136, 21_599), (0, 1)] },
        }
    }

    #[test]
    fn missing_file_is_no_error_and_stored_file_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not yet").join("contacts");
        assert!(Saved::load(&path).unwrap().is_none());
        sample().store(&path).unwrap();
        sample().store(&path).unwrap();
        assert_eq!(Saved::load(&path).unwrap(), Some(sample()));
        let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "no temporary file stays");
    }

    #[test]
    fn damage_is_noticed() {
        let text = sample().to_text();
        for end in 0..text.len() {
            assert!(Saved::from_text(&text[..end]).is_err(), "cut at {end}");
        }
        assert!(matches!(Saved::from_text(&text.replace("6881", "6882")), Err(SavedError::Checksum)));
        assert!(matches!(Saved::from_text(&text.replace("contacts 1", "contacts 9")), Err(SavedError::Header)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contacts");
        std::fs::write(&path, [0xff; 100]).unwrap();
        assert!(matches!(Saved::load(&path), Err(SavedError::Checksum)));
        std::fs::write(&path, vec![b'a'; MAX_FILE_BYTES as usize + 1]).unwrap();
        assert!(matches!(Saved::load(&path), Err(SavedError::TooLarge)));
    }

    #[test]
    fn unknown_line_is_named() {
        let body = format!("{HEADER}\nstrategy spread\nwhat is this\n");
        let text = format!("{body}end {}\n", checksum(&body));
        assert!(matches!(Saved::from_text(&text), Err(SavedError::Line { line: 3 })));
    }

    proptest! {
        #[test]
        fn text_round_trips(
            nodes in prop::collection::vec(any::<[u8; 20]>(), 0..20),
            contacts in prop::collection::vec((any::<[u8; 20]>(), any::<IpAddr>(), any::<u16>()), 0..20),
        ) {
            let contacts = contacts.into_iter().map(|(id, ip, port)| Contact { id: NodeId(id), addr: (ip, port).into() });
            let nodes = nodes.into_iter().map(NodeId).collect();
            let saved = Saved { nodes, contacts: contacts.collect(), ..sample() };
            prop_assert_eq!(Saved::from_text(&saved.to_text()).unwrap(), saved);
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = Saved::from_text(&text);
        }
    }
}
