//! Plain values that every room shares: identifiers, sizes, rates and time.
//!
//! Nothing here touches a clock, a socket or a file; the room knows no other room.

mod bytes;
mod id;
mod scope;
mod time;

pub use bytes::{Bytes, ParseSizeError, Rate};
pub use id::{Distance, InfoHash, NodeId, ParseIdError, TrackId};
pub use scope::{Reach, Scope};
pub use time::{Clock, Time, UnixTime};
