use std::net::SocketAddr;

use proptest::prelude::*;

use super::compact::{push_contact, push_peer};
use super::*;
use crate::dht::Contact;

const ID: NodeId = NodeId(*b"abcdefghij0123456789");
const TARGET: [u8; 20] = *b"mnopqrstuvwxyz123456";

fn query(query: Query<'_>) -> Body<'_> {
    Body::Query { id: ID, query }
}

fn message<'a>(body: Body<'a>) -> Message<'a> {
    Message { transaction: b"aa", body, version: None, read_only: false, external: None }
}

/// The examples of BEP 5 and BEP 51, byte for byte.
#[test]
fn examples_of_the_specifications() {
    let infohash = InfoHash(TARGET);
    let announce = Query::AnnouncePeer { infohash, port: 6881, implied_port: true, token: b"aoeusnth", seed: None };
    let examples: [(&[u8], Body<'_>); 6] = [
        (b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe", query(Query::Ping)),
        (
            b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe",
            query(Query::FindNode { target: NodeId(TARGET), want: None }),
        ),
        (
            b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe",
            query(Query::GetPeers { infohash, want: None, no_seeds: false, scrape: false }),
        ),
        (
            b"d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe",
            query(announce),
        ),
        (
            b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q17:sample_infohashes1:t2:aa1:y1:qe",
            query(Query::SampleInfohashes { target: NodeId(TARGET), want: None }),
        ),
        (
            b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee",
            Body::Error { code: 201, text: b"A Generic Error Ocurred" },
        ),
    ];
    for (datagram, body) in examples {
        assert_eq!(Message::parse(datagram), Ok(message(body.clone())));
        assert_eq!(message(body).encode(), datagram);
    }
}

#[test]
fn response_with_values_is_read() {
    let datagram = b"d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re";
    let parsed = Message::parse(datagram).unwrap();
    let Body::Response(response) = &parsed.body else { unreachable!("not a response") };
    let peers: Vec<SocketAddr> = response.values.unwrap().iter().collect();
    assert_eq!(peers, ["97.120.106.101:11893".parse().unwrap(), "105.100.104.116:28269".parse().unwrap()]);
    assert_eq!(response.token, Some(b"aoeusnth".as_slice()));
    assert_eq!(parsed.encode(), datagram);
}

#[test]
fn bad_queries_keep_their_transaction() {
    for datagram in [
        b"d1:ade1:q4:ping1:t2:zz1:y1:qe".as_slice(),
        b"d1:q4:ping1:t2:zz1:y1:qe",
        b"d1:ad2:id3:abce1:q4:ping1:t2:zz1:y1:qe",
        b"d1:ad2:id20:abcdefghij0123456789e1:q9:get_peers1:t2:zz1:y1:qe",
        b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti0e5:token1:xe1:q13:announce_peer1:t2:zz1:y1:qe",
        b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti65536e5:token1:xe1:q13:announce_peer1:t2:zz1:y1:qe",
        b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti1ee1:q13:announce_peer1:t2:zz1:y1:qe",
    ] {
        assert!(matches!(Message::parse(datagram), Err(ParseError::BadQuery { transaction: b"zz", code: PROTOCOL_ERROR, .. })));
    }
}

#[test]
fn what_is_no_message_is_refused() {
    for datagram in [
        b"".as_slice(),
        b"le",
        b"de",
        b"d1:y1:re",
        b"d1:t2:aa1:y1:re",
        b"d1:rde1:t2:aa1:y1:re",
        b"d1:rd2:idi1ee1:t2:aa1:y1:re",
        b"d1:ti1e1:y1:re",
    ] {
        assert!(Message::parse(datagram).is_err());
    }
    assert_eq!(Message::parse(&[b'd'; MAX_DATAGRAM + 1]), Err(ParseError::TooLong));
}

#[test]
fn unknown_methods_and_keys_are_borne() {
    let datagram = b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz1234561:xllld1:ai1eeeeee1:q3:get1:t2:aa1:y1:q2:zzi1ee";
    let expected = query(Query::Other { method: b"get", target: NodeId(TARGET) });
    assert_eq!(Message::parse(datagram).unwrap().body, expected);
}

#[test]
fn external_address_without_port_is_read() {
    let datagram = b"d2:ip4:abcd1:rd2:id20:abcdefghij0123456789e1:t2:aa1:y1:re";
    assert_eq!(Message::parse(datagram).unwrap().external, Some("97.98.99.100:0".parse().unwrap()));
}

fn addr() -> impl Strategy<Value = SocketAddr> {
    let v4 = any::<([u8; 4], u16)>().prop_map(SocketAddr::from);
    prop_oneof![v4, any::<([u8; 16], u16)>().prop_map(SocketAddr::from)]
}

proptest! {
    #[test]
    fn any_bytes_are_survived(datagram in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Message::parse(&datagram);
    }

    /// Damages a valid message, which goes deeper than noise does.
    #[test]
    fn damaged_messages_are_survived(at in 0_usize..200, byte: u8, cut in 0_usize..200) {
        let mut datagram = b"d2:ip6:axje.u1:rd2:id20:abcdefghij01234567898:intervali60e5:nodes26:abcdefghij0123456789axje.u3:numi9e7:samples20:mnopqrstuvwxyz1234565:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re".to_vec();
        let length = datagram.len();
        datagram[at % length] = byte;
        datagram.truncate(length - cut.saturating_sub(100));
        if let Ok(message) = Message::parse(&datagram) {
            if let Body::Response(response) = &message.body {
                let nodes = response.nodes.iter().count() + response.values.map_or(0, |values| values.iter().count());
                prop_assert!(nodes < length);
            }
            let again = message.encode();
            prop_assert_eq!(Message::parse(&again), Ok(message));
        }
    }

    #[test]
    fn queries_round_trip(
        (transaction, read_only, external) in (prop::collection::vec(any::<u8>(), 0..=200), any::<bool>(), prop::option::of(addr())),
        id: [u8; 20], target: [u8; 20], kind in 0_u8..6, port in 1_u16..,
        (flags, token) in (any::<[bool; 4]>(), prop::collection::vec(any::<u8>(), 0..=MAX_TOKEN)),
    ) {
        let infohash = InfoHash(target);
        let target = NodeId(target);
        let want = flags[0].then_some(Want { v4: flags[1], v6: flags[2] });
        let query = match kind {
            0 => Query::Ping,
            1 => Query::FindNode { target, want },
            2 => Query::GetPeers { infohash, want, no_seeds: flags[3], scrape: flags[0] },
            3 => Query::AnnouncePeer { infohash, port, implied_port: flags[0], token: &token, seed: flags[1].then_some(flags[2]) },
            4 => Query::SampleInfohashes { target, want },
            _ => Query::Other { method: b"vote", target },
        };
        let message = Message { transaction: &transaction, body: Body::Query { id: NodeId(id), query }, version: Some(b"SJ01"), read_only, external };
        let datagram = message.encode();
        prop_assert_eq!(Message::parse(&datagram), Ok(message));
    }

    #[test]
    fn responses_round_trip(
        contacts in prop::collection::vec((any::<[u8; 20]>(), addr()), 0..16),
        peers in prop::collection::vec(addr(), 0..40), samples: [u8; 60], total: i64, token: [u8; 8],
    ) {
        let contacts: Vec<Contact> = contacts.into_iter().map(|(id, addr)| Contact { id: NodeId(id), addr }).collect();
        let (mut v4, mut v6, mut values) = (Vec::new(), Vec::new(), Vec::new());
        contacts.iter().for_each(|contact| push_contact(if contact.addr.is_ipv4() { &mut v4 } else { &mut v6 }, contact));
        peers.iter().for_each(|peer| push_peer(&mut values, *peer));
        let response = Response {
            nodes: Nodes::v4(&v4),
            nodes6: Nodes::v6(&v6),
            token: Some(&token),
            values: Some(Values::pushed(&values)),
            sample: Some(Sample { samples: Samples(&samples), total: Some(total), interval: None }),
            ..Response::new(ID)
        };
        let message = message(Body::Response(response.clone()));
        let datagram = message.encode();
        prop_assert_eq!(Message::parse(&datagram), Ok(message));
        prop_assert_eq!(response.values.unwrap().iter().collect::<Vec<_>>(), peers);
        let (first, second): (Vec<_>, Vec<_>) = contacts.into_iter().partition(|contact| contact.addr.is_ipv4());
        prop_assert_eq!(response.nodes.iter().collect::<Vec<_>>(), first);
        prop_assert_eq!(response.nodes6.iter().collect::<Vec<_>>(), second);
    }
}
