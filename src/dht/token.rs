//! Tokens: who announces must have asked from the same address within the last minutes (BEP 5).

use std::net::IpAddr;
use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use sha1::{Digest, Sha1};

use crate::types::Time;

/// How often the secret changes. A token is good for one to two of these, as BEP 5 proposes.
pub const ROTATION: Duration = Duration::from_secs(5 * 60);

/// Length of a token in bytes: beyond guessing within its life.
const TOKEN_LEN: usize = 8;

type Secret = [u8; 16];

/// Issues tokens and checks them; keeps two secrets and nothing for each asker.
#[derive(Debug)]
pub struct Tokens {
    current: Secret,
    previous: Secret,
    since: Time,
    rng: ChaCha8Rng,
}

impl Tokens {
    /// With secrets drawn from `rng`.
    pub fn new(mut rng: ChaCha8Rng, now: Time) -> Self {
        Self { current: rng.random(), previous: rng.random(), since: now, rng }
    }

    /// The token for an asker at `ip`.
    pub fn issue(&mut self, now: Time, ip: IpAddr) -> [u8; TOKEN_LEN] {
        self.rotate(now);
        make(&self.current, ip)
    }

    /// Whether `token` was issued to `ip` recently.
    pub fn accepts(&mut self, now: Time, ip: IpAddr, token: &[u8]) -> bool {
        self.rotate(now);
        token == make(&self.current, ip) || token == make(&self.previous, ip)
    }

    fn rotate(&mut self, now: Time) {
        let age = now.since(self.since);
        if age < ROTATION {
            return;
        }
        // By the clock, not from when somebody happens to ask: else a secret that is replaced late lives longer.
        (self.previous, self.since) =
            if age < ROTATION * 2 { (self.current, self.since + ROTATION) } else { (self.rng.random(), now) };
        self.current = self.rng.random();
    }
}

fn make(secret: &Secret, ip: IpAddr) -> [u8; TOKEN_LEN] {
    let mut hash = Sha1::new();
    hash.update(secret);
    match ip {
        IpAddr::V4(ip) => hash.update(ip.octets()),
        IpAddr::V6(ip) => hash.update(ip.octets()),
    }
    let digest = hash.finalize();
    std::array::from_fn(|at| digest[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(80, 0, 0, 1));

    fn tokens() -> Tokens {
        Tokens::new(ChaCha8Rng::seed_from_u64(1), Time::ZERO)
    }

    #[test]
    fn a_token_serves_its_address_only() {
        let mut tokens = tokens();
        let token = tokens.issue(Time::ZERO, IP);
        assert!(tokens.accepts(Time::ZERO, IP, &token));
        assert!(!tokens.accepts(Time::ZERO, "80.0.0.2".parse().unwrap(), &token));
        assert!(!tokens.accepts(Time::ZERO, IP, &token[..7]));
        assert!(!tokens.accepts(Time::ZERO, IP, b""));
    }

    #[test]
    fn a_token_lives_one_to_two_rotations() {
        let second = Duration::from_secs(1);
        for (age, good) in [(ROTATION - second, true), (ROTATION * 2 - second, true), (ROTATION * 2, false)] {
            let mut tokens = tokens();
            let token = tokens.issue(Time::ZERO, IP);
            assert_eq!(tokens.accepts(Time::ZERO + age, IP, &token), good, "{age:?}");
        }
        let mut tokens = tokens();
        let token = tokens.issue(Time::ZERO, IP);
        tokens.issue(Time::ZERO + ROTATION, IP);
        assert!(tokens.accepts(Time::ZERO + ROTATION + second, IP, &token));
        assert!(!tokens.accepts(Time::ZERO + ROTATION * 2, IP, &token));
    }

    #[test]
    fn a_token_lives_no_longer_where_few_ask() {
        let mut tokens = tokens();
        let token = tokens.issue(Time::ZERO, IP);
        let second = Duration::from_secs(1);
        assert!(tokens.accepts(Time::ZERO + ROTATION * 2 - second, IP, &token));
        assert!(!tokens.accepts(Time::ZERO + ROTATION * 2, IP, &token));
        assert!(!tokens.accepts(Time::ZERO + ROTATION * 3 - second * 2, IP, &token));
    }
}
