use super::super::Mix;
use super::*;
use crate::dht::krpc::{Nodes, compact};

const MIX: Mix = Mix { old: 100, mute: 100, silent: 300, liars: 0 };
const HOST: Ipv4Addr = Ipv4Addr::new(81, 2, 3, 4);
const FIRST: u16 = 7000;

fn live() -> LiveWorld {
    let world = World::new(3_000, MIX, (HOST, &[]), 3);
    let torrents = Torrents::new(&world, 300, 5);
    LiveWorld::new(world, torrents)
}

/// A program with nodes that answer all and give a token.
struct Program {
    ids: Vec<NodeId>,
    announces: u32,
}

impl Program {
    /// Nodes beside the member that is closest to a target.
    fn beside(target: &[u8; 20], count: u8) -> Self {
        let beside = |number| {
            let mut id = NodeId(*target);
            id.0[9] ^= number + 1;
            id
        };
        Self { ids: (0..count).map(beside).collect(), announces: 0 }
    }

    fn addr(number: usize) -> SocketAddr {
        SocketAddr::from((HOST, FIRST + number as u16))
    }

    /// Every node asks the members around it.
    fn introduce(&self, live: &mut LiveWorld, now: Duration) {
        for (number, id) in self.ids.iter().enumerate() {
            for member in live.world.closest(&id.0, 40) {
                let SocketAddr::V4(to) = live.world.addr(member) else { unreachable!() };
                let payload = question(*id, 7, Query::FindNode { target: *id, want: None });
                live.handle_datagram(now, *to.ip(), Self::addr(number), &payload);
            }
        }
        while live.poll_transmit(now).is_some() {}
    }

    /// Takes what is sent at `now` and answers it 3 ms later; what the answers lead to is for the next time.
    fn serve(&mut self, live: &mut LiveWorld, now: Duration) -> usize {
        let mut served = 0;
        let sent: Vec<Datagram> = std::iter::from_fn(|| live.poll_transmit(now)).collect();
        let now = now + Duration::from_millis(3);
        for Datagram { member, to, payload, .. } in sent {
            let number = (to.port() - FIRST) as usize;
            let Message { transaction, body: Body::Query { query, .. }, .. } = Message::parse(&payload).unwrap() else {
                continue;
            };
            self.announces += u32::from(matches!(query, Query::AnnouncePeer { token: b"tok", .. }));
            let token = matches!(query, Query::GetPeers { .. }).then_some(b"tok".as_slice());
            let mut nodes = Vec::new();
            let other = (number + 1) % self.ids.len();
            compact::push_contact(&mut nodes, &Contact { id: self.ids[other], addr: Self::addr(other) });
            let response = Response { token, nodes: Nodes::v4(&nodes), ..Response::new(self.ids[number]) };
            let body = Body::Response(response);
            let reply = Message { transaction, body, version: None, read_only: false, external: None }.encode();
            let SocketAddr::V4(at) = live.world.addr(member) else { unreachable!() };
            live.handle_datagram(now, *at.ip(), to.into(), &reply);
            served += 1;
        }
        served
    }
}

#[test]
fn announces_reach_outsiders_that_are_known_and_close() {
    let mut live = live();
    let target = live.world.id(1_500).0;
    let now = Duration::from_secs(5);
    let mut program = Program::beside(&target, 20);
    let clients: Vec<u32> = (0..40).filter(|client| live.is_up(*client, now)).collect();
    for introduced in [false, true] {
        for client in &clients {
            assert!(live.search(now, *client, *client, target, Purpose::Announce));
        }
        // Every round takes 3 ms.
        let rounds = (1..).map(|round| now + Duration::from_millis(3 * round));
        rounds.take_while(|now| program.serve(&mut live, *now) > 0).for_each(drop);
        let finished: Vec<Finished> = std::iter::from_fn(|| live.poll_finished()).collect();
        assert_eq!(finished.len(), clients.len());
        for Finished { tag, search, took, .. } in &finished {
            let alone = live.search_alone(now, *tag, target);
            if introduced {
                // Everybody's table holds one or two, and what those name is taken by the lax only.
                assert!(*took > 0, "{search:?}");
                assert!(*took == 1 || !live.world.restricts(*tag));
            } else {
                assert_eq!((*took, search.asked, search.rounds), (0, alone.asked, alone.rounds));
            }
        }
        let took: u32 = finished.iter().map(|finished| finished.took).sum();
        assert_eq!(program.announces, took);
        program.introduce(&mut live, now);
    }
    assert!((3_000.0..3_200.0).contains(&live.replies.percentile(0.5)));
}

#[test]
fn the_silent_are_asked_and_then_forgotten() {
    let mut live = live();
    let target = live.world.id(1_500).0;
    let mut program = Program::beside(&target, 1);
    program.introduce(&mut live, Duration::ZERO);
    let (asked, end) = (14 * 60, 40 * 60);
    let known = live.knowledge.outsiders.entries();
    // Who is away meanwhile asks nobody and does not look at its table.
    let stays = |member: &u32| (0..=end).step_by(60).all(|second| live.is_up(*member, Duration::from_secs(second)));
    let knows = |member: &u32| live.knowledge.outsiders.known_to(*member, Time::ZERO).count() > 0;
    let staying = (0..live.world.len() as u32).filter(knows).filter(stays).count();
    assert!(staying > 10 && staying <= known);
    let mut tended = 0;
    for second in 0..asked {
        live.handle_timeout(Duration::from_secs(second));
        tended += program.serve(&mut live, Duration::from_secs(second));
    }
    assert!(tended >= staying && tended < 2 * known, "{tended} of {staying} to {known}");
    assert_eq!(live.knowledge.outsiders.entries(), known);
    for second in asked..=end {
        live.handle_timeout(Duration::from_secs(second));
        while live.poll_transmit(Duration::from_secs(second)).is_some() {}
    }
    assert!(live.knowledge.outsiders.entries() <= known - staying);
    let naming =
        |member: &u32| live.knowledge.outsiders.known_to(*member, Time::ZERO + Duration::from_secs(end)).count();
    assert_eq!((0..live.world.len() as u32).map(|member| naming(&member)).sum::<usize>(), 0);
    assert!(live.counts.unanswered > 0);
}

#[test]
fn members_answer_as_their_kind_does_and_keep_what_is_announced() {
    let mut live = live();
    let (now, from) = (Duration::ZERO, Program::addr(0));
    let ask = |live: &mut LiveWorld, member: u32, query: Query<'_>| {
        let SocketAddr::V4(to) = live.world.addr(member) else { unreachable!() };
        live.handle_datagram(now, *to.ip(), from, &question(NodeId([9; 20]), 1, query));
        live.poll_transmit(now).map(|datagram| datagram.payload)
    };
    let of = |live: &LiveWorld, kind| {
        let mut all = 0..live.world.len() as u32;
        all.find(|node| live.world.kind(*node) == kind && (live.is_up(*node, now))).unwrap()
    };
    let (full, old, silent) = (of(&live, Kind::Full), of(&live, Kind::Old), of(&live, Kind::Silent));
    let target = NodeId([7; 20]);
    assert!(ask(&mut live, silent, Query::Ping).is_none());
    let refused = ask(&mut live, old, Query::SampleInfohashes { target, want: None }).unwrap();
    assert!(matches!(Message::parse(&refused).unwrap().body, Body::Error { code: 204, .. }));
    let infohash = InfoHash([7; 20]);
    let get = Query::GetPeers { infohash, want: None, no_seeds: false, scrape: false };
    let reply = ask(&mut live, full, get.clone()).unwrap();
    let Body::Response(response) = Message::parse(&reply).unwrap().body else { panic!("an answer") };
    assert!((1..=8).contains(&response.nodes.iter().count()) && response.values.is_none());
    for (token, taken) in [(b"nonsense".as_slice(), false), (response.token.unwrap(), true)] {
        let query = Query::AnnouncePeer { infohash, port: 99, implied_port: false, token, seed: None };
        let reply = ask(&mut live, full, query).unwrap();
        assert_eq!(matches!(Message::parse(&reply).unwrap().body, Body::Response(_)), taken);
    }
    let reply = ask(&mut live, full, get).unwrap();
    let Body::Response(response) = Message::parse(&reply).unwrap().body else { panic!("an answer") };
    assert_eq!(response.values.unwrap().iter().collect::<Vec<_>>(), [SocketAddr::from((HOST, 99))]);
    live.handle_datagram(now, Ipv4Addr::new(9, 9, 9, 9), from, b"d1:ad2:id20:");
    assert_eq!(live.counts.strays, 1);
}
