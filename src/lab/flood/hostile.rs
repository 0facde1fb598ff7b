//! Hostile datagrams of all kinds.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::dht::Contact;
use crate::dht::krpc::{Body, Message, Nodes, Query, Response, compact};
use crate::lab::mainline::stage::{self, Reply};
use crate::types::{InfoHash, NodeId, Reach};

/// None of the network's, so that replies to flooders are told from answers to it.
const PORT: u16 = 4000;
/// Who floods alone, whose /24 floods, and the first two bytes of those who ask for tokens before they announce.
const FLOODER: Ipv4Addr = Ipv4Addr::new(92, 3, 3, 3);
const BLOCK: [u8; 3] = [91, 2, 2];
const PATIENT: [u8; 2] = [95, 6];
/// Tokens that are remembered, the latest.
const MAX_TOKENS: usize = 1_024;
/// Infohashes that are announced with one token.
const ANNOUNCES_PER_TOKEN: u8 = 20;

/// A datagram for a node of the crawler.
#[derive(Debug)]
pub struct Letter {
    pub node: u32,
    pub from: SocketAddr,
    pub datagram: Vec<u8>,
}

/// A token that a node gave to one of ours.
#[derive(Debug, Clone)]
struct Stolen {
    node: u32,
    owner: SocketAddr,
    token: Vec<u8>,
    /// How often it was used.
    uses: u8,
}

/// All flooders together.
#[derive(Debug)]
pub struct Hostile {
    rng: ChaCha8Rng,
    nodes: u32,
    /// Ids of the nodes, near which questions hurt most.
    targets: Vec<NodeId>,
    sent: u64,
    tokens: VecDeque<Stolen>,
}

impl Hostile {
    /// Against `nodes` nodes with the ids `targets`.
    pub fn new(seed: u64, nodes: u32, targets: Vec<NodeId>) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { rng, nodes, targets, sent: 0, tokens: VecDeque::new() }
    }

    /// The next datagram; all kinds take turns.
    pub fn next(&mut self) -> Letter {
        self.sent += 1;
        let node = self.rng.random_range(0..self.nodes);
        let stranger = self.stranger();
        let (from, datagram) = match self.sent % 20 {
            0 | 1 => (stranger, self.garbage()),
            2..=6 => (stranger, self.question()),
            7 => (stranger, self.announce(b"aoeusnth")),
            8 => {
                let token = self.tokens.back().map(|stolen| stolen.token.clone()).unwrap_or_default();
                (stranger, self.announce(&token))
            }
            9 | 10 => return self.patience(node),
            11 | 12 => (stranger, self.reply()),
            13 | 14 => (stranger, self.sample_or_scrape()),
            15 => (stranger, self.oversized()),
            16 | 17 => (SocketAddr::from((FLOODER, PORT)), self.question()),
            18 => {
                let [a, b, c] = BLOCK;
                (SocketAddr::from(([a, b, c, self.rng.random()], PORT)), self.question())
            }
            _ => (stranger, self.damaged()),
        };
        Letter { node, from, datagram }
    }

    /// Takes a reply of the crawler to one of ours.
    pub fn hears(&mut self, reply: &Reply) {
        let Ok(Message { body: Body::Response(Response { token: Some(token), .. }), .. }) =
            Message::parse(&reply.payload)
        else {
            return;
        };
        self.tokens.truncate(MAX_TOKENS - 1);
        self.tokens.push_front(Stolen { node: reply.from, owner: reply.to, token: token.to_vec(), uses: 0 });
    }

    /// An address that was never seen.
    fn stranger(&mut self) -> SocketAddr {
        loop {
            let ip = Ipv4Addr::from_bits(self.rng.random());
            if Reach::of(ip.into()) == Reach::Public {
                return SocketAddr::from((ip, PORT));
            }
        }
    }

    /// Something near a node, as is asked there by those who search.
    fn invented(&mut self) -> InfoHash {
        let near = self.targets[self.rng.random_range(0..self.targets.len())];
        stage::made_up(near, self.rng.random())
    }

    fn garbage(&mut self) -> Vec<u8> {
        let mut garbage = vec![0; self.rng.random_range(1..400)];
        self.rng.fill(garbage.as_mut_slice());
        garbage
    }

    fn question(&mut self) -> Vec<u8> {
        let infohash = self.invented();
        let query = match self.rng.random_range(0..4) {
            0 => Query::Ping,
            1 => Query::FindNode { target: NodeId(infohash.0), want: None },
            _ => Query::GetPeers { infohash, want: None, no_seeds: false, scrape: false },
        };
        self.write(query)
    }

    fn announce(&mut self, token: &[u8]) -> Vec<u8> {
        let (infohash, port, seed) = (self.invented(), self.rng.random_range(1..=u16::MAX), Some(self.rng.random()));
        self.write(Query::AnnouncePeer { infohash, port, implied_port: false, token, seed })
    }

    fn sample_or_scrape(&mut self) -> Vec<u8> {
        let infohash = self.invented();
        if self.rng.random() {
            self.write(Query::SampleInfohashes { target: NodeId(infohash.0), want: None })
        } else {
            self.write(Query::GetPeers { infohash, want: None, no_seeds: false, scrape: true })
        }
    }

    /// Those who take the trouble: a token is asked for, then used many times.
    fn patience(&mut self, node: u32) -> Letter {
        let Some(Stolen { node, owner, token, uses }) = self.tokens.pop_front() else {
            let [a, b] = PATIENT;
            let from = SocketAddr::from(([a, b, self.rng.random(), self.rng.random()], PORT));
            return Letter { node, from, datagram: self.question() };
        };
        let datagram = self.announce(&token);
        if uses < ANNOUNCES_PER_TOKEN {
            self.tokens.push_back(Stolen { node, owner, token, uses: uses + 1 });
        }
        Letter { node, from: owner, datagram }
    }

    /// A reply full of contacts to something that nobody asked.
    fn reply(&mut self) -> Vec<u8> {
        let mut nodes = Vec::new();
        for _ in 0..8 {
            let contact = Contact { id: NodeId(self.rng.random()), addr: self.stranger() };
            compact::push_contact(&mut nodes, &contact);
        }
        let response = Response { nodes: Nodes::v4(&nodes), ..Response::new(NodeId(self.rng.random())) };
        let transaction: [u8; 4] = self.rng.random();
        let body = Body::Response(response);
        Message { transaction: &transaction, body, version: None, read_only: false, external: None }.encode()
    }

    /// As long as the sockets read, or longer: lists in lists, or one string.
    fn oversized(&mut self) -> Vec<u8> {
        let length = self.rng.random_range(1_500..2_100);
        if self.rng.random() {
            return vec![b'l'; length];
        }
        let mut long = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t".to_vec();
        long.extend_from_slice(format!("{length}:").as_bytes());
        long.resize(long.len() + length, b'x');
        long.extend_from_slice(b"1:y1:qe");
        long
    }

    fn damaged(&mut self) -> Vec<u8> {
        let mut datagram = self.question();
        let at = self.rng.random_range(0..datagram.len());
        datagram[at] = self.rng.random();
        datagram
    }

    fn write(&mut self, query: Query<'_>) -> Vec<u8> {
        let (transaction, id): ([u8; 4], _) = (self.rng.random(), NodeId(self.rng.random()));
        let body = Body::Query { id, query };
        Message { transaction: &transaction, body, version: None, read_only: false, external: None }.encode()
    }
}
