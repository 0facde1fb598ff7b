//! Node ids bound to an IP address (BEP 42): one host can hold only 8 places of the id space.

use std::net::IpAddr;

use rand::{Rng, RngCore};

use crate::types::{NodeId, Reach};

/// Bits of the IP address that count, by byte.
const V4_MASK: [u8; 4] = [0x03, 0x0f, 0x3f, 0xff];
const V6_MASK: [u8; 8] = [0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff];

/// An id that is valid for `ip`, one of 8 places chosen at random.
pub fn generate(ip: IpAddr, rng: &mut impl RngCore) -> NodeId {
    let place = rng.random_range(0..8);
    generate_at(ip, place, rng)
}

/// An id that is valid for `ip`, at one of its 8 places: only the lowest three bits of `place` say which.
pub fn generate_at(ip: IpAddr, place: u8, rng: &mut impl RngCore) -> NodeId {
    let mut id = [0; NodeId::LEN];
    rng.fill_bytes(&mut id);
    let prefix = prefix(ip, place);
    id[0] = prefix[0];
    id[1] = prefix[1];
    id[2] = (prefix[2] & 0xf8) | (id[2] & 0x07);
    id[NodeId::LEN - 1] = (id[NodeId::LEN - 1] & 0xf8) | (place & 0x07);
    NodeId(id)
}

/// Whether `id` may be held at `ip`. Every id may at an address that is not public.
pub fn is_valid(id: &NodeId, ip: IpAddr) -> bool {
    if Reach::of(ip) != Reach::Public {
        return true;
    }
    let prefix = prefix(ip, id.0[NodeId::LEN - 1]);
    id.0[0] == prefix[0] && id.0[1] == prefix[1] && (id.0[2] ^ prefix[2]) & 0xf8 == 0
}

/// The first bytes of an id, of which 21 bits are fixed.
fn prefix(ip: IpAddr, place: u8) -> [u8; 4] {
    let mut masked = [0; 8];
    let length = match ip.to_canonical() {
        IpAddr::V4(ip) => mask(&mut masked, &ip.octets(), &V4_MASK),
        IpAddr::V6(ip) => mask(&mut masked, &ip.octets(), &V6_MASK),
    };
    masked[0] |= (place & 0x07) << 5;
    crc32c(&masked[..length]).to_be_bytes()
}

fn mask(into: &mut [u8; 8], octets: &[u8], mask: &[u8]) -> usize {
    for (to, (octet, mask)) in into.iter_mut().zip(octets.iter().zip(mask)) {
        *to = octet & mask;
    }
    mask.len()
}

/// CRC-32C (Castagnoli, RFC 3720), bit by bit: the input has 8 bytes at most.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// The test vectors of BEP 42.
    #[test]
    fn vectors_of_the_specification() {
        for (ip, place, id) in [
            ("124.31.75.21", 1, "5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401"),
            ("21.75.31.124", 86, "5a3ce9c14e7a08645677bbd1cfe7d8f956d53256"),
            ("65.23.51.170", 22, "a5d43220bc8f112a3d426c84764f8c2a1150e616"),
            ("84.124.73.14", 65, "1b0321dd1bb1fe518101ceef99462b947a01ff41"),
            ("43.213.53.83", 90, "e56f6cbf5b7c4be0237986d5243b87aa6d51305a"),
        ] {
            let (ip, id): (IpAddr, NodeId) = (ip.parse().unwrap(), id.parse().unwrap());
            assert!(is_valid(&id, ip), "{ip}");
            let made = generate_at(ip, place, &mut ChaCha8Rng::seed_from_u64(7));
            assert!(made.distance(&id.0).shared_bits() >= 21, "{ip}");
        }
    }

    #[test]
    fn generated_ids_are_valid_only_for_their_address() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for ip in ["80.0.2.38", "2a00:1450:4001::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            let id = generate(ip, &mut rng);
            assert!(is_valid(&id, ip));
            assert!(!is_valid(&id, "81.1.1.1".parse().unwrap()));
            assert!(is_valid(&id, "10.0.0.1".parse().unwrap()));
        }
    }
}
