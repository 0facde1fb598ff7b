//! What strangers write, and where they live.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use silverstream::dht::krpc::{
    Body, Message, Nodes, Query, Response, Sample, Samples, Scrape, Values, Want,
    compact::{push_contact, push_peer},
};
use silverstream::dht::{Contact, Family};
use silverstream::types::{InfoHash, NodeId};

use super::input::Input;
use super::wire::{Asked, Wire};

/// The address of the nodes of ours; the ports are from this one on.
const HOME: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(81, 2, 3, 4)), 7000);
const HOME6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2a01, 2, 3, 4, 0, 0, 0, 5)), 7000);

/// Port of most strangers.
const PORT: u16 = 6881;

/// Addresses that are not to be talked to, or only in some scope, family or form.
const ODD: [&str; 18] = [
    "10.0.0.1:6881",
    "127.0.0.1:6881",
    "0.0.0.0:6881",
    "224.0.0.1:6881",
    "255.255.255.255:6881",
    "192.168.1.1:6881",
    "169.254.1.1:6881",
    "100.64.0.1:6881",
    "80.0.0.1:0",
    "81.2.3.4:7000",
    "[::ffff:80.0.0.1]:6881",
    "[::ffff:127.0.0.1]:6881",
    "[::ffff:80.0.0.1]:0",
    "[::1]:6881",
    "[fe80::1]:6881",
    "[ff02::1]:6881",
    "[::]:6881",
    "[2a00::5]:0",
];

/// The address of the first node of ours.
pub fn home(family: Family) -> SocketAddr {
    if family == Family::V4 { HOME } else { HOME6 }
}

/// The inhabitant of that number, each in a block of addresses of its own.
pub fn inhabitant(number: u32, family: Family) -> SocketAddr {
    let [_, high, middle, low] = number.to_be_bytes();
    match family {
        Family::V4 => SocketAddr::from(([80 + (high & 7), middle, low, 7], PORT)),
        Family::V6 => {
            let segments = [0x2a00, high.into(), middle.into(), low.into(), 0, 0, 0, 1];
            SocketAddr::new(Ipv6Addr::from(segments).into(), PORT)
        }
    }
}

/// Some address.
pub fn addr(input: &mut Input<'_>, family: Family) -> SocketAddr {
    let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
    match input.byte() {
        number @ 0..128 => inhabitant(number.into(), family),
        // Ports of one, and the neighbours of another.
        number @ 128..160 => SocketAddr::new(inhabitant(1, family).ip(), u16::from(number) * 256 + 1),
        number @ 160..200 => {
            let last = u16::from(number);
            let ip: IpAddr = match inhabitant(2, family).ip() {
                IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & !0xff | u32::from(last)).into(),
                IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() + u128::from(last)).into(),
            };
            SocketAddr::new(ip, PORT)
        }
        number @ 200..210 => inhabitant(number.into(), other),
        number => {
            let odd = ODD[usize::from(number) % ODD.len()].parse().expect("an address");
            if odd == HOME { home(family) } else { odd }
        }
    }
}

/// A point of the id space that shares `bits` leading bits with `near`, and is otherwise told by `number`.
pub fn point(near: &[u8; 20], bits: u8, number: u32) -> [u8; 20] {
    let bits = usize::from(bits).min(159);
    let mut state = u64::from(number) << 8 | u64::from(bits as u8);
    let mut point: [u8; 20] = std::array::from_fn(|_| {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) as u8
    });
    point[..bits / 8].copy_from_slice(&near[..bits / 8]);
    let keep = !(0xff_u8 >> (bits % 8));
    let flip = 0x80 >> (bits % 8);
    point[bits / 8] = (near[bits / 8] & (keep | flip)) ^ flip | (point[bits / 8] & !(keep | flip));
    point
}

/// Some point of the id space: ours, near to us, one of few, or uniform.
pub fn target(input: &mut Input<'_>, wire: &Wire) -> [u8; 20] {
    let number = input.byte();
    match number {
        0..160 => point(&[0x5a; 20], 0, u32::from(number % 32)),
        160..240 => point(&wire.home_id(input.byte()), input.byte(), number.into()),
        240..250 => wire.home_id(number),
        _ => [input.byte(); 20],
    }
}

/// A query of somebody, in the hope of `home`, the number of a node of ours.
pub fn query(input: &mut Input<'_>, wire: &Wire, home: u32, from: SocketAddr) -> Vec<u8> {
    let kind = input.byte();
    let id = if input.byte() < 224 { wire.id_at(from) } else { NodeId(target(input, wire)) };
    let (target, flags) = (target(input, wire), input.byte());
    let is = |bit: u8| flags & (1 << bit) != 0;
    let want = is(0).then_some(Want { v4: is(1), v6: is(2) });
    let token = match input.byte() {
        0..160 => wire.token(home, from.ip()).to_vec(),
        160..200 => wire.any_token().to_vec(),
        _ => input.string().to_vec(),
    };
    let method = input.pick(&[b"get".as_slice(), b"vote", b"", b"ping", b"put"]);
    let (target, infohash) = (NodeId(target), InfoHash(target));
    let query = match kind % 8 {
        0 => Query::Ping,
        1 => Query::FindNode { target, want },
        2 | 3 => Query::GetPeers { infohash, want, no_seeds: is(3), scrape: is(4) },
        4 | 5 => {
            let port = u16::from_be_bytes([input.byte(), input.byte()]);
            Query::AnnouncePeer { infohash, port, implied_port: is(3), token: &token, seed: is(4).then_some(is(5)) }
        }
        6 => Query::SampleInfohashes { target, want },
        _ => Query::Other { method, target },
    };
    let length = input.pick(&[2, 4, 0, 1, 8, 20, 60, 200, 700, 900, 1000, 1100, 1500]);
    let transaction: Vec<u8> = (0..length).map(|at: u32| at as u8 ^ kind).collect();
    let version = is(6).then_some(b"XX01".as_slice());
    Message { transaction: &transaction, body: Body::Query { id, query }, version, read_only: is(7), external: None }
        .encode()
}

/// The variable parts of a response, which it borrows.
#[derive(Default)]
struct Parts {
    nodes: Vec<u8>,
    nodes6: Vec<u8>,
    values: Vec<u8>,
    samples: Vec<u8>,
    seeds: Vec<u8>,
    token: Vec<u8>,
}

/// What a good node would say: who it is, contacts nearer to the target that nobody has met, and a token.
pub fn good_answer(wire: &mut Wire, asked: &Asked, nearer: u8, contacts: u8) -> Vec<u8> {
    let mut parts = Parts { token: b"tokentok".to_vec(), ..Parts::default() };
    for _ in 0..contacts {
        let contact = wire.newcomer(&asked.target, nearer);
        push_contact(if contact.addr.is_ipv4() { &mut parts.nodes } else { &mut parts.nodes6 }, &contact);
    }
    let response = Response {
        nodes: Nodes::v4(&parts.nodes),
        nodes6: Nodes::v6(&parts.nodes6),
        token: Some(&parts.token),
        ..Response::new(wire.id_at(asked.to))
    };
    envelope(&asked.transaction, Body::Response(response), Some(SocketAddr::new(home(wire.family).ip(), 1)))
}

/// What anybody may say to a question.
pub fn any_answer(input: &mut Input<'_>, wire: &mut Wire, asked: &Asked) -> Vec<u8> {
    let external = input.flag().then(|| addr(input, wire.family));
    if input.byte() >= 224 {
        let code = input.pick(&[203, 204, 201, 0, -1, i64::MAX]);
        return envelope(&asked.transaction, Body::Error { code, text: input.string() }, external);
    }
    let id = if input.byte() < 224 { wire.id_at(asked.to) } else { NodeId(target(input, wire)) };
    let flags = input.byte();
    let is = |bit: u8| flags & (1 << bit) != 0;
    let mut parts = Parts::default();
    for _ in 0..input.pick(&[0, 1, 2, 8, 16, 40]) {
        let contact = any_contact(input, wire, &asked.target);
        push_contact(if contact.addr.is_ipv4() { &mut parts.nodes } else { &mut parts.nodes6 }, &contact);
    }
    for _ in 0..input.pick(&[0, 1, 3, 50, 90]) {
        push_peer(&mut parts.values, addr(input, wire.family));
    }
    let samples = input.pick(&[0, 1, 20, 60]);
    (0..samples).for_each(|number| parts.samples.extend(point(&asked.target, flags, number)));
    parts.seeds = vec![input.pick(&[0, 1, 0xff]); 256];
    parts.token = input.string().to_vec();
    let sample = Sample {
        samples: Samples(&parts.samples),
        total: is(0).then_some(input.pick(&[0, 1, -1, i64::MAX, i64::MIN])),
        interval: is(1).then_some(input.pick(&[0, 60, 21_600, -1, i64::MAX, i64::MIN])),
    };
    let filter = parts.seeds.as_slice().try_into().expect("256 bytes");
    let response = Response {
        nodes: Nodes::v4(&parts.nodes),
        nodes6: Nodes::v6(&parts.nodes6),
        token: is(2).then_some(parts.token.as_slice()),
        values: is(3).then_some(Values::pushed(&parts.values)),
        sample: is(4).then_some(sample),
        scrape: is(5).then_some(Scrape { seeds: filter, peers: filter }),
        ..Response::new(id)
    };
    envelope(&asked.transaction, Body::Response(response), external)
}

fn any_contact(input: &mut Input<'_>, wire: &mut Wire, near: &[u8; 20]) -> Contact {
    match input.byte() {
        number @ 0..160 => wire.newcomer(near, number),
        _ => Contact { id: NodeId(target(input, wire)), addr: addr(input, wire.family) },
    }
}

fn envelope(transaction: &[u8], body: Body<'_>, external: Option<SocketAddr>) -> Vec<u8> {
    Message { transaction, body, version: None, read_only: false, external }.encode()
}

/// A letter that suffered on the way, or not.
pub fn damaged(input: &mut Input<'_>, mut letter: Vec<u8>) -> Vec<u8> {
    let wounds = input.byte();
    if wounds < 200 || letter.is_empty() {
        return letter;
    }
    for _ in 200..wounds.min(208) {
        let at = usize::from(u16::from_be_bytes([input.byte(), input.byte()])) % letter.len();
        letter[at] = input.byte();
    }
    if input.flag() {
        letter.truncate(usize::from(input.byte()) * 8);
    }
    letter
}
