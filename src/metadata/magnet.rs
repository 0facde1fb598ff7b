//! Magnet links (BEP 9): `magnet:?xt=urn:btih:<infohash>&dn=<name>&x.pe=<peer>`.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use super::text;
use crate::types::InfoHash;

/// Longest link that is read; real ones with dozens of trackers have 2 to 4 KiB.
pub const MAX_LINK_BYTES: usize = 16 << 10;

/// Most peers taken from one link.
pub const MAX_PEERS: usize = 32;

/// Longest name taken from a link, in bytes of UTF-8.
const MAX_NAME_BYTES: usize = 255;

/// Characters of an infohash in base32 (RFC 4648, 5 bits each).
const BASE32_DIGITS: usize = 32;

/// Why a text is not a magnet link that this jukebox can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MagnetError {
    /// Longer than [`MAX_LINK_BYTES`].
    #[error("the magnet link is longer than {MAX_LINK_BYTES} characters; check that it was pasted once and whole")]
    TooLong,
    /// Does not begin with `magnet:?`.
    #[error("this is not a magnet link; one looks like magnet:?xt=urn:btih:<40 hexadecimal digits>")]
    NotMagnet,
    /// There is no infohash, or not one of 40 hexadecimal or 32 base32 digits.
    #[error(
        "the magnet link has no valid infohash (xt=urn:btih: and 40 hexadecimal digits); check that it is complete"
    )]
    NoInfohash,
    /// Only a v2 infohash (BEP 52).
    #[error("the magnet link is for BitTorrent v2 only, which is not supported; look for a link with xt=urn:btih:")]
    OnlyV2,
}

/// What a magnet link says. Its trackers are not taken: peers come from the DHT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Magnet {
    /// The torrent.
    pub infohash: InfoHash,
    /// What somebody called it; the torrent's own name may differ.
    pub name: Option<String>,
    /// Peers that may have it (`x.pe`), IP addresses only, at most [`MAX_PEERS`].
    pub peers: Vec<SocketAddr>,
}

impl Magnet {
    /// A link to a torrent with nothing but its name.
    pub fn new(infohash: InfoHash, name: &str) -> Self {
        let name = text::label(name.as_bytes(), MAX_NAME_BYTES);
        Self { infohash, name: (!name.is_empty()).then_some(name), peers: Vec::new() }
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    fn from_str(link: &str) -> Result<Self, MagnetError> {
        const SCHEME: &str = "magnet:?";
        let link = link.trim();
        if link.len() > MAX_LINK_BYTES {
            return Err(MagnetError::TooLong);
        }
        if !link.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME)) {
            return Err(MagnetError::NotMagnet);
        }
        let (mut infohash, mut name, mut peers, mut v2) = (None, None, Vec::new(), false);
        for (key, value) in link[SCHEME.len()..].split('&').filter_map(|pair| pair.split_once('=')) {
            let value = percent_decode(value);
            match key.to_ascii_lowercase().as_str() {
                // `xt.1`, `xt.2`: several at once.
                key if key == "xt" || key.starts_with("xt.") => match parse_topic(&value) {
                    Topic::V1(hash) => infohash = infohash.or(Some(hash)),
                    Topic::V2 => v2 = true,
                    Topic::Other => {}
                },
                "dn" if name.is_none() => {
                    name = Some(text::label(&value, MAX_NAME_BYTES)).filter(|name| !name.is_empty());
                }
                "x.pe" if peers.len() < MAX_PEERS => {
                    let peer = std::str::from_utf8(&value).ok().and_then(|peer| peer.parse::<SocketAddr>().ok());
                    peers.extend(peer.filter(|peer| peer.port() != 0 && !peers.contains(peer)));
                }
                _ => {}
            }
        }
        match infohash {
            Some(infohash) => Ok(Self { infohash, name, peers }),
            None if v2 => Err(MagnetError::OnlyV2),
            None => Err(MagnetError::NoInfohash),
        }
    }
}

impl fmt::Display for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "magnet:?xt=urn:btih:{}", self.infohash)?;
        if let Some(name) = &self.name {
            f.write_str("&dn=")?;
            for byte in name.bytes() {
                match byte {
                    // RFC 3986: unreserved.
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                        fmt::Write::write_char(f, char::from(byte))?;
                    }
                    _ => write!(f, "%{byte:02X}")?,
                }
            }
        }
        self.peers.iter().try_for_each(|peer| write!(f, "&x.pe={peer}"))
    }
}

enum Topic {
    V1(InfoHash),
    V2,
    Other,
}

fn parse_topic(value: &[u8]) -> Topic {
    let Ok(value) = std::str::from_utf8(value) else { return Topic::Other };
    let after = |prefix: &str| {
        value.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix)).map(|_| &value[prefix.len()..])
    };
    if after("urn:btmh:").is_some() {
        return Topic::V2;
    }
    let hash = after("urn:btih:").and_then(|hash| hash.parse().ok().or_else(|| parse_base32(hash)));
    hash.map_or(Topic::Other, Topic::V1)
}

fn parse_base32(text: &str) -> Option<InfoHash> {
    if text.len() != BASE32_DIGITS {
        return None;
    }
    let mut hash = [0; InfoHash::LEN];
    // 8 digits of 5 bits are 5 bytes.
    for (bytes, digits) in hash.chunks_exact_mut(5).zip(text.as_bytes().chunks_exact(8)) {
        let mut bits = 0_u64;
        for digit in digits {
            let value = match digit.to_ascii_uppercase() {
                letter @ b'A'..=b'Z' => letter - b'A',
                number @ b'2'..=b'7' => number - b'2' + 26,
                _ => return None,
            };
            bits = bits << 5 | u64::from(value);
        }
        bytes.copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    Some(InfoHash(hash))
}

/// `%41` → `A` and, as in web forms, `+` → space. A `%` without two digits stays.
fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let digit = |index: usize| bytes.get(index).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        match (byte, digit(index + 1), digit(index + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                index += 2;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(*byte),
        }
        index += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "a621779b5e3d486e127c3efbca9b6f8d135f52e5";

    #[test]
    fn links_are_read() {
        let link = format!(
            "MAGNET:?xt=urn:btih:{}&dn=Sigur+R%C3%B3s+%2F+Takk...&tr=udp%3A%2F%2Ftracker.example%3A80\
             &x.pe=80.0.0.1:6881&x.pe=[2001:db8::1]:7000&x.pe=host.example:1&x.pe=80.0.0.1:6881&x.pe=1.2.3.4:0&so=1",
            HEX.to_uppercase()
        );
        let magnet: Magnet = link.parse().unwrap();
        assert_eq!(magnet.infohash.to_string(), HEX);
        assert_eq!(magnet.name.as_deref(), Some("Sigur Rós / Takk..."));
        assert_eq!(magnet.peers, ["80.0.0.1:6881".parse().unwrap(), "[2001:db8::1]:7000".parse().unwrap()]);
    }

    #[test]
    fn base32_and_hybrid_links_are_read() {
        // RFC 4648: "fooba" repeated is MZXW6YTB repeated.
        let magnet: Magnet = format!("magnet:?xt=urn:btih:{}", "mzxw6ytb".repeat(4)).parse().unwrap();
        assert_eq!(&magnet.infohash.0, b"foobafoobafoobafooba");
        let hybrid = format!("magnet:?xt.1=urn:btmh:1220{}&xt.2=urn:btih:{HEX}", "ab".repeat(32));
        assert_eq!(hybrid.parse::<Magnet>().unwrap().infohash.to_string(), HEX);
    }

    #[test]
    fn bad_links_are_refused_with_the_reason() {
        let long = format!("magnet:?xt=urn:btih:{HEX}&dn={}", "a".repeat(MAX_LINK_BYTES));
        let v2 = format!("magnet:?xt=urn:btmh:1220{}", "ab".repeat(32));
        for (link, error) in [
            ("", MagnetError::NotMagnet),
            ("http://example.org/a.torrent", MagnetError::NotMagnet),
            ("magnet:?", MagnetError::NoInfohash),
            ("magnet:?dn=x", MagnetError::NoInfohash),
            ("magnet:?xt=urn:btih:123", MagnetError::NoInfohash),
            ("magnet:?xt=urn:btih:é21779b5e3d486e127c3efbca9b6f8d135f52e5", MagnetError::NoInfohash),
            ("magnet:?xt=urn:btih:11111111111111111111111111111111", MagnetError::NoInfohash),
            ("magnet:?xt=urn:sha1:YNCKHTQCWBTRNJIV4WNAE52SJUQCZO5C", MagnetError::NoInfohash),
            (&v2, MagnetError::OnlyV2),
            (&long, MagnetError::TooLong),
        ] {
            assert_eq!(link.parse::<Magnet>(), Err(error), "{}", &link[..link.len().min(80)]);
        }
    }

    #[test]
    fn peers_of_a_link_are_bounded() {
        let mut link = format!("magnet:?xt=urn:btih:{HEX}");
        for host in 0..200 {
            link += &format!("&x.pe=80.0.0.{host}:6881");
        }
        assert_eq!(link.parse::<Magnet>().unwrap().peers.len(), MAX_PEERS);
    }

    proptest! {
        #[test]
        fn links_round_trip(hash: [u8; 20], name: String, ports in proptest::collection::vec(1u16.., 0..4)) {
            let mut magnet = Magnet::new(InfoHash(hash), &name);
            for port in ports {
                let peer = SocketAddr::from(([80, 0, 0, 1], port));
                if !magnet.peers.contains(&peer) {
                    magnet.peers.push(peer);
                }
            }
            prop_assert_eq!(magnet.to_string().parse::<Magnet>(), Ok(magnet));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<Magnet>();
            let _ = format!("magnet:?xt=urn:btih:{HEX}&{text}").parse::<Magnet>();
        }
    }
}
