use proptest::prelude::*;

use super::*;
use crate::metadata::samples::{Script, album, infohash_of};

const PATIENCE: Patience =
    Patience { handshake: Duration::from_secs(10), block: Duration::from_secs(10), total: Duration::from_secs(60) };
const OUR_ID: [u8; 20] = *b"-Sv0100-abcdefghijkl";
const START: Time = Time::from_millis(1000);

fn begin(info: &[u8]) -> Exchange {
    Exchange::new(infohash_of(info), OUR_ID, 1 << 20, PATIENCE, START)
}

/// Feeds in pieces of `chunk` bytes, asking for blocks as soon as they are offered.
fn feed(exchange: &mut Exchange, bytes: &[u8], chunk: usize) -> Result<(), PeerError> {
    for part in bytes.chunks(chunk) {
        exchange.receive(START, part)?;
        exchange.request(START);
    }
    Ok(())
}

#[test]
fn we_introduce_ourselves() {
    let info = album(10);
    let mut exchange = begin(&info);
    let output = exchange.take_output().unwrap();
    assert_eq!(&output[..20], PROTOCOL);
    assert_eq!(output[25] & 0x10, 0x10);
    assert_eq!(output[28..48], infohash_of(&info).0);
    assert_eq!(output[48..68], OUR_ID);
    let length = u32::from_be_bytes(output[68..72].try_into().unwrap()) as usize;
    assert_eq!((output.len(), &output[72..74]), (72 + length, &[EXTENDED, EXTENSION_HANDSHAKE][..]));
    let id = bencode::parse(&output[74..], LIMITS).unwrap().get(b"m").unwrap().get(b"ut_metadata").unwrap();
    assert_eq!(id.int(), Some(i64::from(OUR_UT_METADATA)));
    assert!(exchange.take_output().is_none());
}

#[test]
fn an_honest_peer_gives_it_however_the_bytes_are_cut() {
    // 3 blocks, the last one short.
    let info = album(2000);
    assert!(info.len() > 2 * BLOCK_BYTES && !info.len().is_multiple_of(BLOCK_BYTES));
    let script = Script::of(&info);
    let all = [script.handshake(), script.noise(), script.offer(), script.blocks()].concat();
    for chunk in [1, 7, 68, 4096] {
        let mut exchange = begin(&info);
        feed(&mut exchange, &all, chunk).unwrap();
        assert_eq!(exchange.finished().unwrap(), &info, "{chunk}");
    }
}

#[test]
fn blocks_in_any_order_are_put_together() {
    let info = album(3000);
    let script = Script::of(&info);
    let mut exchange = begin(&info);
    feed(&mut exchange, &[script.handshake(), script.offer()].concat(), 4096).unwrap();
    for index in (0..script.count()).rev() {
        assert!(exchange.finished().is_none());
        feed(&mut exchange, &script.block(index), 4096).unwrap();
    }
    assert_eq!(exchange.finished().unwrap(), &info);
}

#[test]
fn no_more_is_asked_for_than_fits_the_pipeline() {
    let info = album(20000);
    let script = Script::of(&info);
    let mut exchange = begin(&info);
    exchange.take_output();
    feed(&mut exchange, &[script.handshake(), script.offer()].concat(), 4096).unwrap();
    let requests = exchange.take_output().unwrap();
    assert_eq!(Script::requested(&requests), (0..PIPELINE).collect::<Vec<_>>());
    feed(&mut exchange, &script.block(0), 4096).unwrap();
    assert_eq!(Script::requested(&exchange.take_output().unwrap()), [PIPELINE]);
    assert!(exchange.held_bytes() <= BLOCK_BYTES);
}

#[test]
fn a_peer_that_asks_us_is_declined() {
    let info = album(10);
    let script = Script::of(&info);
    let mut exchange = begin(&info);
    exchange.take_output();
    let request = Script::extended(OUR_UT_METADATA, b"d8:msg_typei0e5:piecei7ee");
    feed(&mut exchange, &[script.handshake(), script.offer()].concat(), 4096).unwrap();
    exchange.take_output();
    feed(&mut exchange, &request, 4096).unwrap();
    assert_eq!(exchange.take_output().unwrap(), Script::extended(Script::UT_METADATA, b"d8:msg_typei2e5:piecei7ee"));
    let flood = request.repeat(MAX_DECLINED as usize);
    assert_eq!(feed(&mut exchange, &flood, 4096), Err(PeerError::Noise));
}

#[test]
fn hostile_peers_are_found_out() {
    let info = album(2000);
    let script = Script::of(&info);
    let ours = Script::handshake_of(infohash_of(&info), OUR_ID, 0x10);
    let other = Script::handshake_of(InfoHash([7; 20]), [1; 20], 0x10);
    let old = Script::handshake_of(infohash_of(&info), [1; 20], 0);
    let offer = |dict: &str| Script::extended(0, dict.as_bytes());
    let after_offer = |bytes: Vec<u8>| [script.handshake(), script.offer(), bytes].concat();
    let metadata = |bytes: &[u8]| after_offer(Script::extended(OUR_UT_METADATA, bytes));
    let short = [b"d8:msg_typei1e5:piecei0e10:total_sizei40157ee".as_slice(), &info[..100]].concat();
    let huge_message = [0x7f, 0xff, 0xff, 0xff];
    for (what, bytes, error) in [
        ("http", b"HTTP/1.1 400 Bad Request\r\n".to_vec(), PeerError::NotBitTorrent),
        ("ourselves", ours, PeerError::WrongTorrent),
        ("another torrent", other, PeerError::WrongTorrent),
        ("no BEP 10", old, PeerError::NoMetadata),
        (
            "no BEP 9",
            [script.handshake(), offer("d1:md6:ut_pexi1ee13:metadata_sizei100ee")].concat(),
            PeerError::NoMetadata,
        ),
        (
            "BEP 9 off",
            [script.handshake(), offer("d1:md11:ut_metadatai0ee13:metadata_sizei100ee")].concat(),
            PeerError::NoMetadata,
        ),
        ("no size", [script.handshake(), offer("d1:md11:ut_metadatai3eee")].concat(), PeerError::NoMetadata),
        (
            "zero",
            [script.handshake(), offer("d1:md11:ut_metadatai3ee13:metadata_sizei0ee")].concat(),
            PeerError::AbsurdSize,
        ),
        (
            "negative",
            [script.handshake(), offer("d1:md11:ut_metadatai3ee13:metadata_sizei-1ee")].concat(),
            PeerError::AbsurdSize,
        ),
        (
            "huge",
            [script.handshake(), offer("d1:md11:ut_metadatai3ee13:metadata_sizei9223372036854775807ee")].concat(),
            PeerError::AbsurdSize,
        ),
        (
            "overflow",
            [script.handshake(), offer("d13:metadata_sizei99999999999999999999ee")].concat(),
            PeerError::Malformed,
        ),
        (
            "bad id",
            [script.handshake(), offer("d1:md11:ut_metadatai300ee13:metadata_sizei100ee")].concat(),
            PeerError::Malformed,
        ),
        ("not bencode", [script.handshake(), offer("hello")].concat(), PeerError::Malformed),
        (
            "a message of 2 GB",
            [script.handshake(), huge_message.to_vec(), vec![EXTENDED]].concat(),
            PeerError::Malformed,
        ),
        ("a bitfield of 2 GB", [script.handshake(), huge_message.to_vec(), vec![5]].concat(), PeerError::Noise),
        ("endless keep-alives", [script.handshake(), vec![0; MAX_IGNORED_BYTES + 4]].concat(), PeerError::Noise),
        ("block before offer", [script.handshake(), script.block(0)].concat(), PeerError::Malformed),
        ("reject", metadata(b"d8:msg_typei2e5:piecei0ee"), PeerError::Rejected),
        ("short block", metadata(&short), PeerError::Malformed),
        ("block beyond the end", metadata(b"d8:msg_typei1e5:piecei99eexxxx"), PeerError::Malformed),
        ("block far beyond", metadata(b"d8:msg_typei1e5:piecei9223372036854775807eexxxx"), PeerError::Malformed),
        ("negative block", metadata(b"d8:msg_typei1e5:piecei-1eexxxx"), PeerError::Malformed),
        ("no message type", metadata(b"d5:piecei0ee"), PeerError::Malformed),
        ("the same block twice", after_offer([script.block(0), script.block(0)].concat()), PeerError::Malformed),
        ("wrong content", after_offer(script.forged_blocks()), PeerError::WrongHash),
    ] {
        let mut exchange = begin(&info);
        assert_eq!(feed(&mut exchange, &bytes, 512), Err(error), "{what}");
        assert!(exchange.finished().is_none(), "{what}");
    }
}

#[test]
fn the_bound_on_the_size_is_exact() {
    let info = album(10);
    let script = Script::of(&info);
    let greeting = [script.handshake(), script.offer()].concat();
    for (bound, expected) in [(info.len(), Ok(())), (info.len() - 1, Err(PeerError::AbsurdSize))] {
        let mut exchange = Exchange::new(infohash_of(&info), OUR_ID, bound, PATIENCE, START);
        assert_eq!(feed(&mut exchange, &greeting, 4096), expected);
    }
}

#[test]
fn a_trickle_does_not_extend_the_deadline() {
    let info = album(2000);
    let script = Script::of(&info);
    let mut exchange = begin(&info);
    assert_eq!(exchange.deadline(), START + PATIENCE.handshake);
    feed(&mut exchange, &script.handshake(), 4096).unwrap();
    let keep_alive = [0; 4];
    exchange.receive(START + Duration::from_secs(9), &keep_alive).unwrap();
    assert_eq!(exchange.receive(START + Duration::from_secs(11), &keep_alive), Err(PeerError::TimedOut));

    let mut exchange = begin(&info);
    feed(&mut exchange, &[script.handshake(), script.offer()].concat(), 4096).unwrap();
    let later = START + Duration::from_secs(9);
    exchange.receive(later, &script.block(0)).unwrap();
    assert_eq!(exchange.deadline(), later + PATIENCE.block, "a block does");
    let block = script.block(1);
    exchange.receive(later + Duration::from_secs(9), &block[..1000]).unwrap();
    assert_eq!(exchange.deadline(), later + PATIENCE.block, "a part of a block does not");
}

#[test]
fn the_whole_has_a_deadline_too() {
    let info = album(20000);
    let script = Script::of(&info);
    let mut exchange = begin(&info);
    feed(&mut exchange, &[script.handshake(), script.offer()].concat(), 4096).unwrap();
    let mut now = START;
    let mut ended = Ok(());
    for index in 0..script.count() {
        now = now + Duration::from_secs(9);
        ended = exchange.receive(now, &script.block(index));
        if ended.is_err() {
            break;
        }
    }
    assert_eq!(ended, Err(PeerError::TimedOut));
    assert!(now.since(START) <= PATIENCE.total + PATIENCE.block);
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(bytes: Vec<u8>, greeted: bool, id in 0u8..30) {
        let info = album(100);
        let script = Script::of(&info);
        let mut exchange = begin(&info);
        if greeted {
            feed(&mut exchange, &[script.handshake(), script.offer()].concat(), 4096).unwrap();
            let _ = feed(&mut exchange, &Script::message(id, &bytes), 100);
        } else {
            let _ = feed(&mut exchange, &bytes, 100);
        }
        prop_assert!(exchange.finished().is_none());
        prop_assert!(exchange.input.capacity() <= 2 * (MAX_EXTENDED_BYTES + 4));
    }

    #[test]
    fn a_damaged_conversation_never_gives_a_wrong_result(position in any::<prop::sample::Index>(), byte: u8) {
        let info = album(100);
        let script = Script::of(&info);
        let mut all = [script.handshake(), script.offer(), script.blocks()].concat();
        let index = position.index(all.len());
        all[index] = byte;
        let mut exchange = begin(&info);
        let _ = feed(&mut exchange, &all, 64);
        if let Some(bytes) = exchange.finished() {
            prop_assert_eq!(bytes, &info);
        }
    }
}
