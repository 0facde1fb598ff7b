//! The codec: any bytes.

use silverstream::dht::krpc::{Body, MAX_DATAGRAM, MAX_TOKEN, Message, ParseError, Query};

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

fn is_within(part: &[u8], whole: &[u8]) -> bool {
    part.is_empty() || whole.as_ptr_range().contains(&part.as_ptr())
}
