//! The codec: any bytes.

use silverstream::dht::Family;
use silverstream::dht::krpc::{Body, MAX_DATAGRAM, MAX_TOKEN, Message, ParseError, Query};
use silverstream::types::{NodeId, Scope};

use super::input::Input;
use super::letters::{addr, any_answer, damaged, query, target};
use super::wire::{Asked, Wire};

/// Parses the story as a datagram; what parses is written and read back the same, and no message is larger than what it
/// was read from allows.
pub fn tell(story: &[u8]) {
    let message = match Message::parse(story) {
        Ok(message) => message,
        Err(ParseError::BadQuery { transaction, code, reason }) => {
            assert!(is_within(transaction, story) && matches!(code, 203 | 204) && !reason.is_empty());
            return;
        }
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(story.len() <= MAX_DATAGRAM && is_within(message.transaction, story));
    let mut inside = 0;
    match &message.body {
        Body::Query { query: Query::AnnouncePeer { port, implied_port, token, .. }, .. } => {
            assert!(token.len() <= MAX_TOKEN && (*port != 0 || *implied_port));
        }
        Body::Query { .. } => {}
        Body::Error { text, .. } => assert!(is_within(text, story)),
        Body::Response(response) => {
            inside += response.nodes.iter().count() * 26 + response.nodes6.iter().count() * 38;
            inside += response.values.map_or(0, |values| values.iter().count() * 8);
            inside += response.sample.map_or(0, |sample| sample.samples.iter().count() * 20);
            assert!(response.token.is_none_or(|token| token.len() <= MAX_TOKEN));
        }
    }
    assert!(inside <= story.len(), "{inside} bytes in {}", story.len());
    let again = message.encode();
    if again.len() > MAX_DATAGRAM {
        // Methods that are not known may be written longer than they came, with `target` for `info_hash` and so on.
        return;
    }
    let reread = Message::parse(&again);
    assert_eq!(reread.as_ref(), Ok(&message));
    assert_eq!(reread.map(|message| message.encode()).as_ref(), Ok(&again));
}

/// The same of letters as strangers write them, of which most can be read.
pub fn tell_letters(story: &[u8]) {
    let mut input = Input::new(story);
    let mut wire = Wire::new(Scope::Public, Family::V4, &[], [(NodeId([1; 20]), 0)].into_iter());
    while !input.is_empty() {
        let to = addr(&mut input, Family::V4);
        let letter = if input.flag() {
            query(&mut input, &wire, 0, to)
        } else {
            let target = target(&mut input, &wire);
            let asked = Asked { home: 0, to, transaction: input.string().to_vec(), target };
            any_answer(&mut input, &mut wire, &asked)
        };
        tell(&letter);
        tell(&damaged(&mut input, letter));
    }
}

fn is_within(part: &[u8], whole: &[u8]) -> bool {
    part.is_empty() || whole.as_ptr_range().contains(&part.as_ptr())
}
