//! Counting peers together without naming them: the Bloom filters of DHT scrapes (BEP 33).

use std::net::IpAddr;

use sha1::{Digest, Sha1};

use super::api::Fill;

/// Length of a filter in bytes.
pub const BLOOM_LEN: usize = 256;

/// Bits in a filter.
const BITS: u32 = BLOOM_LEN as u32 * 8;

/// Bits that one address sets.
const BITS_PER_ADDRESS: f64 = 2.0;

/// Fullest filter that is believed: beyond it BEP 33 has nodes take no more announces, since the estimate breaks down.
const MAX_ESTIMATE: f64 = 6_000.0;

/// Filters of one scrape that are counted, those of the nodes that answered first; a lookup ends at eight.
const MAX_FILTERS: usize = 16;

/// How much more than the median of the nodes one may say: announces are scattered over more nodes than eight, so honest
/// nodes differ, but each of them is a sample of the same crowd.
const MAX_OVER_MEDIAN: f64 = 4.0;

/// The same for torrents so small that chance decides.
const SMALL_CROWD: f64 = 32.0;

/// A set of IP addresses of which only the size can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bloom([u8; BLOOM_LEN]);

impl Default for Bloom {
    fn default() -> Self {
        Self([0; BLOOM_LEN])
    }
}

impl Bloom {
    /// Adds an address; ports do not count.
    pub fn insert(&mut self, ip: IpAddr) {
        for bit in bits_of(ip) {
            self.0[bit / 8] |= 1 << (bit % 8);
        }
    }

    /// Whether the address may be in the set; false says surely that it is not.
    pub fn may_contain(&self, ip: IpAddr) -> bool {
        bits_of(ip).into_iter().all(|bit| self.0[bit / 8] & (1 << (bit % 8)) != 0)
    }

    /// Adds all of another set.
    pub fn unite(&mut self, other: &[u8; BLOOM_LEN]) {
        for (to, from) in self.0.iter_mut().zip(other) {
            *to |= from;
        }
    }

    /// How many addresses are in the set, as far as the bits tell.
    pub fn estimate(&self) -> f64 {
        estimate(&self.0)
    }

    /// As it is sent.
    pub fn as_bytes(&self) -> &[u8; BLOOM_LEN] {
        &self.0
    }
}

fn bits_of(ip: IpAddr) -> [usize; 2] {
    let digest = match ip.to_canonical() {
        IpAddr::V4(ip) => Sha1::digest(ip.octets()),
        IpAddr::V6(ip) => Sha1::digest(ip.octets()),
    };
    [0, 2].map(|at| usize::from(u16::from_le_bytes([digest[at], digest[at + 1]])) % (BLOOM_LEN * 8))
}

fn estimate(filter: &[u8; BLOOM_LEN]) -> f64 {
    let zeros = filter.iter().map(|byte| byte.count_zeros()).sum::<u32>();
    // A full filter would be infinitely many.
    let zeros = f64::from(zeros.clamp(1, BITS - 1));
    if filter.iter().all(|byte| *byte == 0) {
        return 0.0;
    }
    let bits = f64::from(BITS);
    (zeros / bits).ln() / (BITS_PER_ADDRESS * (1.0 - 1.0 / bits).ln())
}

/// The filters that several nodes hold of one torrent.
#[derive(Debug, Default)]
pub struct Tally {
    seeds: Vec<[u8; BLOOM_LEN]>,
    peers: Vec<[u8; BLOOM_LEN]>,
    /// Peers named by nodes that do not know BEP 33, so nobody knows whether they have everything.
    named: Vec<IpAddr>,
}

impl Tally {
    /// Most peers that are taken from nodes without filters.
    const MAX_NAMED: usize = 512;

    /// How many filters and peers are counted.
    pub fn fills(&self) -> [Fill; 2] {
        [
            Fill { of: "filters of a scrape", entries: self.seeds.len(), bound: MAX_FILTERS },
            Fill { of: "peers named in a scrape", entries: self.named.len(), bound: Self::MAX_NAMED },
        ]
    }

    /// Takes the filters of one node. Those fuller than honest ones can be are ignored.
    pub fn add(&mut self, seeds: &[u8; BLOOM_LEN], peers: &[u8; BLOOM_LEN]) {
        let believable = estimate(seeds) <= MAX_ESTIMATE && estimate(peers) <= MAX_ESTIMATE;
        if believable && self.seeds.len() < MAX_FILTERS {
            self.seeds.push(*seeds);
            self.peers.push(*peers);
        }
    }

    /// Takes a peer that a node without filters named.
    pub fn add_named(&mut self, ip: IpAddr) {
        if self.named.len() < Self::MAX_NAMED {
            self.named.push(ip);
        }
    }

    /// Seeds, and peers that are none, as estimated from all nodes. A node that says far more than the others is left
    /// out: filters are united, so a single liar would otherwise decide.
    pub fn count(&self) -> (u32, u32) {
        let seeds = unite(&self.seeds);
        let mut peers = unite(&self.peers);
        let unknown = self.named.iter().filter(|ip| !seeds.may_contain(**ip));
        unknown.for_each(|ip| peers.insert(*ip));
        (seeds.estimate().round() as u32, peers.estimate().round() as u32)
    }
}

fn unite(filters: &[[u8; BLOOM_LEN]]) -> Bloom {
    let mut sizes: Vec<f64> = filters.iter().map(estimate).collect();
    sizes.sort_by(f64::total_cmp);
    let median = sizes.get(sizes.len() / 2).copied().unwrap_or_default();
    let most = (median * MAX_OVER_MEDIAN).max(median + SMALL_CROWD);
    let mut all = Bloom::default();
    // Of two nodes nobody knows which one lies.
    filters.iter().filter(|filter| sizes.len() < 3 || estimate(filter) <= most).for_each(|filter| all.unite(filter));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    /// The vector of BEP 33.
    const VECTOR: &str = "F6C3F5EAA07FFD91BDE89F777F26FB2BFF37BDB8FB2BBAA2FD3DDDE7BACFFF75EE7CCBAE\
        FE5EEDB1FBFAFF67F6ABFF5E43DDBCA3FD9B9FFDF4FFD3E9DFF12D1BDF59DB53DBE9FA5B7FF3B8FDFCDE1AFB8BEDD7BE2F3EE71EBBBFE93BCDEEFE14\
        8246C2BC5DBFF7E7EFDCF24FD8DC7ADFFD8FFFDFDDFFF7A4BBEEDF5CB95CE81FC7FCFF1FF4FFFFDFE5F7FDCBB7FD79B3FA1FC77BFE07FFF905B7B7FF\
        C7FEFEFFE0B8370BB0CD3F5B7F2BD93FEB4386CFDD6F7FD5BFAF2E9EBFFFFEECD67ADBF7C67F17EFD5D75EBA6FFEBA7FFF47A91EB1BFBB53E8ABFB57\
        62ABE8FF237279BFEFBFEEF5FFC5FEBFDFE5ADFFADFEE1FB737FFFFBFD9F6AEFFEEE76B6FD8F72EF";

    fn v4(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0xc000_0200 + number).into()
    }

    fn crowd(range: std::ops::Range<u32>) -> [u8; BLOOM_LEN] {
        let mut bloom = Bloom::default();
        range.for_each(|number| bloom.insert(v4(number)));
        *bloom.as_bytes()
    }

    #[test]
    fn vector_of_the_specification() {
        let mut bloom = Bloom::default();
        (0..256).for_each(|number| bloom.insert(v4(number)));
        let first = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0).to_bits();
        (0..=0x3e7).for_each(|number| bloom.insert(Ipv6Addr::from_bits(first + number).into()));
        let hex: String = bloom.as_bytes().iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(hex, VECTOR);
        assert!((bloom.estimate() - 1224.9308).abs() < 0.0001, "{}", bloom.estimate());
    }

    #[test]
    fn nodes_are_counted_together() {
        let mut tally = Tally::default();
        assert_eq!(tally.count(), (0, 0));
        for start in [0, 20, 40] {
            tally.add(&crowd(start..start + 60), &crowd(1000..1010));
        }
        let (seeds, peers) = tally.count();
        assert!((95..=105).contains(&seeds) && (9..=11).contains(&peers), "{seeds} {peers}");
        tally.add_named(v4(5));
        tally.add_named(v4(2000));
        assert_eq!(tally.count(), (seeds, peers + 1), "a known seed is no further peer");
    }

    #[test]
    fn one_liar_among_many_counts_for_nothing() {
        let mut tally = Tally::default();
        (0..5).for_each(|_| tally.add(&crowd(0..50), &crowd(100..120)));
        let honest = tally.count();
        tally.add(&crowd(5000..9000), &crowd(9000..12_000));
        tally.add(&[0xff; BLOOM_LEN], &[0xff; BLOOM_LEN]);
        assert_eq!(tally.count(), honest);
    }

    #[test]
    fn a_scrape_is_bounded() {
        let mut tally = Tally::default();
        for number in 0..1000 {
            tally.add(&crowd(0..5), &crowd(0..5));
            tally.add_named(v4(number));
        }
        assert_eq!((tally.seeds.len(), tally.named.len()), (MAX_FILTERS, Tally::MAX_NAMED));
    }

    proptest! {
        #[test]
        fn estimates_are_near(count in 1_u32..3000) {
            let estimate = estimate(&crowd(0..count));
            prop_assert!((estimate - f64::from(count)).abs() <= 6.0 + f64::from(count) * 0.1, "{count}: {estimate}");
        }
    }
}
