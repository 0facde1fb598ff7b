//! What a client and our nodes ask each other, step by step.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use silverstream::dht::krpc::{Body, Message, Query, Response, Want};
use silverstream::dht::{Contact, Event, Family, Lookup, SightingKind};
use silverstream::types::{InfoHash, NodeId};

use crate::capture;
use crate::common::{PATIENCE, wait_for};
use crate::ours::{Crowd, Ours, Place, State, query_method};
use crate::probe::{Answer, Probe};
use crate::table::Found;
use crate::theirs::{Client, PORT};

/// Rows of the table.
pub const EXTERNAL: &str = "`ip` (BEP 42): told; its own";

/// Contacts that a bucket holds, and that a reply names.
const K: usize = 8;

/// Between two groups of questions to a client: who asks without a pause is banned.
const PAUSE: Duration = Duration::from_secs(2);

/// The port that one of our nodes announces to the client, where nobody listens.
const ANNOUNCED: u16 = 7001;

pub struct Conversation<C> {
    place: Place,
    crowd: Crowd,
    client: C,
    theirs: SocketAddr,
    their_id: NodeId,
    /// Those of our nodes that know it by this id.
    keepers: Vec<usize>,
    probe: Probe,
    found: Found,
}

/// Tries again and again, with pauses: libtorrent spends 8000 bytes a second on answers (`dht_upload_rate_limit`) and drops
/// the questions beyond, and a lookup of ours goes on without those who are slow.
fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    wait_for(what, PATIENCE, || {
        let result = attempt();
        if result.is_none() {
            std::thread::sleep(PAUSE);
        }
        result
    })
}

fn response(datagram: &[u8]) -> Option<Response<'_>> {
    match Message::parse(datagram).ok()?.body {
        Body::Response(response) => Some(response),
        _ => None,
    }
}

fn names(datagram: &[u8], family: Family, addr: SocketAddr) -> bool {
    let Some(response) = response(datagram) else { return false };
    let nodes = if family == Family::V4 { response.nodes } else { response.nodes6 };
    nodes.iter().any(|contact| contact.addr == addr)
}

fn names_any(response: &Response<'_>) -> bool {
    response.nodes.iter().chain(response.nodes6.iter()).next().is_some()
}

fn has_peer(datagram: &[u8], peer: SocketAddr) -> bool {
    response(datagram)
        .and_then(|response| response.values)
        .is_some_and(|values| values.iter().any(|value| value == peer))
}

fn finds(events: &[Event], peer: SocketAddr) -> bool {
    events.iter().any(|event| matches!(event, Event::Peers { peers, .. } if peers.contains(&peer)))
}

impl<C: Client> Conversation<C> {
    pub fn new(place: Place, crowd: Crowd, client: C) -> Self {
        let theirs = SocketAddr::new(place.client(), PORT);
        let probe = Probe::new(place.probe(0), theirs);
        Self { place, crowd, client, theirs, their_id: NodeId([0; 20]), keepers: Vec::new(), probe, found: Vec::new() }
    }

    pub fn version(&self) -> String {
        self.client.version()
    }

    /// Goes through everything; a panic where something is missing that every client has. `believes`: it is waited for
    /// until the client knows its own address.
    pub fn run(&mut self, believes: bool) -> Found {
        self.they_meet(believes);
        // The daemons take their time until they look for peers of a torrent.
        let peer = self.something_is_announced_to_us();
        let near = self.what_is_announced_to_them_is_found();
        self.samples();
        self.scrape(near);
        self.oddities(near);
        self.what_is_announced_to_us_is_found(&peer);
        self.they_asked_us();
        self.external();
        std::mem::take(&mut self.found)
    }

    /// Of everything received from the client, some for the fixtures.
    pub fn capture(&self, name: &str) {
        if self.place.family == Family::V4 {
            let heard = self.probe.heard.iter().cloned();
            capture::write(name, self.crowd.received_from(self.theirs).into_iter().chain(heard));
        } else {
            capture::write(&format!("{name}6"), self.crowd.received_from(self.theirs).into_iter());
        }
    }

    fn keeper(&self, number: usize) -> &Ours {
        &self.crowd.nodes[self.keepers[number]]
    }

    fn note(&mut self, what: &'static str, answer: impl Into<String>) {
        self.found.push((what, answer.into()));
    }

    /// Each comes into the tables of the others.
    fn they_meet(&mut self, believes: bool) {
        let theirs = self.theirs;
        // Told its address, it takes another id (BEP 42) and is a stranger again.
        if believes {
            wait_for("the client knows its own address", PATIENCE, || {
                (self.client.external() == Some(theirs.ip())).then_some(())
            });
        }
        let (client, keepers) = wait_for("most of our nodes keep the client", PATIENCE, || {
            let Answer::Response(pong) = self.probe.ask(Query::Ping) else { return None };
            let client = Contact { id: response(&pong)?.id, addr: theirs };
            let nodes = self.crowd.nodes.iter().enumerate();
            let keeps = |ours: &Ours| ours.state().node.contacts().any(|contact| contact == client);
            let keepers: Vec<usize> = nodes.filter(|(_, ours)| keeps(ours)).map(|(number, _)| number).collect();
            if keepers.len() >= K {
                return Some((client, keepers));
            }
            std::thread::sleep(PAUSE);
            None
        });
        (self.their_id, self.keepers) = (client.id, keepers);

        let met = |event: &Event| matches!(event, Event::LookupDone { closest, .. } if closest.contains(&client));
        until("a lookup for its id meets it", || {
            self.keeper(2).look_up(Lookup::FindNode(client.id)).iter().any(met).then_some(())
        });

        let mut probe = Probe::new(self.place.probe(1), theirs);
        let mut unknown: Vec<&Ours> = self.crowd.nodes.iter().collect();
        wait_for("the client keeps most of our nodes", PATIENCE, || {
            unknown.retain(|ours| {
                let answer = probe.ask(Query::FindNode { target: ours.id, want: None });
                !matches!(answer, Answer::Response(reply) if names(&reply, self.place.family, ours.addr))
            });
            if unknown.len() + K <= self.crowd.nodes.len() {
                return Some(());
            }
            std::thread::sleep(PAUSE);
            None
        });
        let pinged = self.crowd.nodes.iter().any(|ours| !ours.answers(theirs, "ping").is_empty());
        assert!(pinged, "it answers no ping of our nodes");
        self.note("keeps our nodes, and tells others of them", "yes");
    }

    /// One of our nodes announces itself where the client is the closest of all; another finds it there.
    fn what_is_announced_to_them_is_found(&mut self) -> InfoHash {
        let mut near = InfoHash(self.their_id.0);
        near.0[19] ^= 1;
        let (announcer, finder) = (self.keeper(0), self.keeper(1));
        until("it takes our announce", || {
            announcer.look_up(Lookup::Announce { infohash: near, port: ANNOUNCED, seed: false });
            let answers = announcer.answers(self.theirs, "announce_peer");
            answers.iter().any(|answer| response(answer).is_some()).then_some(())
        });
        let peer = SocketAddr::new(announcer.addr.ip(), ANNOUNCED);
        let with_peer = &until("it names the peer announced to it", || {
            if !finds(&finder.look_up(Lookup::GetPeers(near)), peer) {
                return None;
            }
            let answers = finder.answers(self.theirs, "get_peers");
            answers.into_iter().find(|answer| has_peer(answer, peer))
        });
        let with_nodes = response(with_peer).is_some_and(|reply| names_any(&reply));
        self.note("what we announce to it is found there", "yes");
        self.note("names contacts beside peers", if with_nodes { "yes" } else { "no" });
        near
    }

    /// The torrent that the client takes up: nobody is farther from it than the client, so it learns of the peers only by
    /// asking us.
    fn far(&self) -> InfoHash {
        InfoHash(self.their_id.0.map(|byte| !byte))
    }

    /// One of our nodes announces a peer, which listens, to the others; then the client is told of the torrent.
    fn something_is_announced_to_us(&mut self) -> TcpListener {
        let (far, announcer) = (self.far(), &self.crowd.nodes[1]);
        let listener = TcpListener::bind((announcer.addr.ip(), 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        announcer.look_up(Lookup::Announce { infohash: far, port, seed: true });
        assert!(announcer.answers(self.theirs, "announce_peer").is_empty(), "the client was told of the peer");
        self.client.take_up(far);
        listener
    }

    fn what_is_announced_to_us_is_found(&mut self, listener: &TcpListener) {
        let (far, theirs, peer) = (self.far(), self.theirs, listener.local_addr().unwrap());
        wait_for("the client finds the peer that we were told of", PATIENCE, || match self.client.found(far) {
            Some(peers) => peers.contains(&peer).then_some(()),
            None => listener.accept().is_ok_and(|(_, from)| from.ip() == theirs.ip()).then_some(()),
        });
        self.note("finds what is announced to us", "yes");

        let ours_heard = |ours: &Ours| {
            ours.state().events.iter().any(|event| match event {
                Event::Sighting { infohash, kind: SightingKind::Announce { port, .. }, from, .. } => {
                    *infohash == far && *port == PORT && *from == theirs
                }
                _ => false,
            })
        };
        wait_for("our nodes hear its announce", PATIENCE, || self.crowd.nodes.iter().any(ours_heard).then_some(()));
        let finder = self.crowd.nodes.iter().find(|ours| !ours_heard(ours)).unwrap_or(&self.crowd.nodes[2]);
        until("one of ours finds it at the others", || {
            finds(&finder.look_up(Lookup::GetPeers(far)), SocketAddr::new(theirs.ip(), PORT)).then_some(())
        });
        let bad_tokens: u64 = self.crowd.nodes.iter().map(|ours| ours.state().node.stats().bad_tokens).sum();
        assert_eq!(bad_tokens, 0, "it does not give our tokens back");
        self.note("announces itself to us", "yes");
    }

    /// What came from it of its own will.
    fn they_asked_us(&mut self) {
        let received = self.crowd.received_from(self.theirs);
        let malformed: u64 = self.crowd.nodes.iter().map(|ours| ours.state().node.stats().malformed).sum();
        assert_eq!(malformed, 0, "we cannot read what it writes");
        let mut methods: Vec<_> = received.iter().filter_map(|datagram| query_method(datagram)).collect();
        methods.sort_unstable();
        methods.dedup();
        self.note("asks us", methods.join(", "));
        let messages: Vec<_> = received.iter().map(|datagram| Message::parse(datagram).unwrap()).collect();
        let queries = || messages.iter().filter(|message| matches!(message.body, Body::Query { .. }));
        let mut lengths: Vec<_> = queries().map(|query| query.transaction.len().to_string()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        self.note("bytes of its transaction ids", lengths.join(", "));
        let version = messages.iter().find_map(|message| message.version);
        let name = version.map(|version| String::from_utf8_lossy(&version[..version.len().min(2)]).into_owned());
        self.note("`v` (BEP 20)", name.unwrap_or_else(|| "no".to_owned()));
    }

    fn samples(&mut self) {
        let far = &self.far();
        let target = NodeId([0x55; 20]);
        let answer = match self.probe.ask(Query::SampleInfohashes { target, want: None }) {
            Answer::Response(reply) if response(&reply).is_some_and(|reply| reply.sample.is_some()) => {
                "samples".to_owned()
            }
            Answer::Response(_) => "contacts".to_owned(),
            Answer::Error(code) => format!("error {code}"),
            Answer::Silence => "silence".to_owned(),
        };
        let (visitor, theirs) = (self.keeper(3), self.theirs);
        until("a visit is answered as the stranger was", || {
            let visits = |state: &State| {
                let visit = |event: &Event| match event {
                    Event::Visited { addr, answered, named } if *addr == theirs => Some((*answered, !named.is_empty())),
                    _ => None,
                };
                state.events.iter().filter_map(visit).collect::<Vec<_>>()
            };
            let before = visits(&visitor.state()).len();
            {
                let mut state = visitor.state();
                let now = state.now();
                if !state.node.visit(now, theirs, Query::SampleInfohashes { target, want: None }) {
                    return None;
                }
            }
            let visit = wait_for("the visit ends", PATIENCE, || visits(&visitor.state()).get(before).copied());
            let useful = answer == "samples" || answer == "contacts";
            (visit == (answer != "silence", useful)).then_some(())
        });
        let shown = visitor.state().events.iter().any(|event| matches!(event, Event::Samples { .. }));
        assert_eq!(shown, answer == "samples");
        // A walk for samples goes through all of them, and costs nobody a contact.
        visitor.look_up(Lookup::Sample(self.their_id));
        assert!(
            visitor.state().node.contacts().any(|contact| contact.addr == theirs),
            "it is forgotten for its silence"
        );

        let holder = self.crowd.nodes.iter().find(|ours| !ours.state().node.stored_peers(far, 1).is_empty());
        let asks = self.client.sample(holder.expect("one of our nodes has the peer").addr);
        let asks = asks.map(|(samples, total)| {
            assert!(samples.contains(far) && total >= 1, "it reads no sample of ours: {samples:?}");
            "asks"
        });
        self.note(
            "sample_infohashes (BEP 51)",
            [Some(answer.as_str()), asks].into_iter().flatten().collect::<Vec<_>>().join("; "),
        );
    }

    fn scrape(&mut self, near: InfoHash) {
        let ours = self.keeper(4);
        let answers = until("it is scraped, and one peer has announced itself", || {
            let events = ours.look_up(Lookup::Scrape(near));
            let counted = events.iter().find_map(|event| match event {
                Event::Scraped { seeds, peers, .. } => Some((*seeds, *peers)),
                _ => None,
            });
            let answers = ours.answers(self.theirs, "get_peers");
            (counted == Some((0, 1)) && !answers.is_empty()).then_some(answers)
        });
        let filters = answers.iter().any(|answer| response(answer).is_some_and(|reply| reply.scrape.is_some()));
        self.note("scrape (BEP 33)", if filters { "filters" } else { "peers" });
    }

    fn external(&mut self) {
        let Answer::Response(reply) = self.probe.ask(Query::Ping) else { panic!("no answer to a ping") };
        let told = Message::parse(&reply).unwrap().external;
        assert!(told.is_none_or(|told| told.ip() == self.probe.addr().ip()), "it tells {told:?}");
        let theirs = self.theirs.ip();
        let told = if told.is_some() { "yes" } else { "no" };
        let own = if self.client.external() == Some(theirs) { "believed" } else { "not shown" };
        self.note(EXTERNAL, format!("{told}; {own}"));
    }

    /// What no node of ours asks, but others may.
    fn oddities(&mut self, near: InfoHash) {
        let both = Some(Want { v4: true, v6: true });
        let Answer::Response(_) = self.probe.ask(Query::FindNode { target: self.their_id, want: both }) else {
            panic!("`want` is too much for it");
        };
        let unknown = self.probe.ask(Query::Other { method: b"vote", target: self.their_id });
        self.note("an unknown method with a target", said(&unknown));
        let bare = b"d1:ad2:id20:a stranger who lookse1:q4:lead1:t4:bare1:y1:qe";
        let unknown = self.probe.ask_raw(bare, b"bare");
        self.note("an unknown method", said(&unknown));
        let announce =
            Query::AnnouncePeer { infohash: near, port: 9, implied_port: false, token: b"no token", seed: None };
        let refused = self.probe.ask(announce);
        assert!(!matches!(refused, Answer::Response(_)), "it takes a token that it never gave");
        self.note("an announce with a bad token", said(&refused));
        let lengths = [1, 2, 4, 8, 20].into_iter().filter(|length| {
            let transaction = vec![b't'; *length];
            let ping = format!("d1:ad2:id20:a stranger who lookse1:q4:ping1:t{length}:{}1:y1:qe", "t".repeat(*length));
            matches!(self.probe.ask_raw(ping.as_bytes(), &transaction), Answer::Response(_))
        });
        let lengths: Vec<_> = lengths.map(|length| length.to_string()).collect();
        self.note("answers transaction ids of 1, 2, 4, 8, 20", lengths.join(", "));
    }
}

fn said(answer: &Answer) -> String {
    match answer {
        Answer::Response(reply) if response(reply).is_some_and(|reply| names_any(&reply)) => "contacts".to_owned(),
        Answer::Response(_) => "an empty response".to_owned(),
        Answer::Error(code) => format!("error {code}"),
        Answer::Silence => "silence".to_owned(),
    }
}
