//! Plain values that every room shares: identifiers, sizes, rates and time.
//!
//! Nothing here touches a clock, a socket or a file; the room knows no other room.

/// Lets serde write a type with its `Display` and read it with its `FromStr`.
macro_rules! serde_as_text {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

mod bytes;
mod id;
mod scope;
mod tick;
mod time;

pub use bytes::{Bytes, ParseRateError, ParseSizeError, Rate};
pub use id::{Distance, InfoHash, NodeId, ParseIdError, TrackId, sharing};
pub use scope::{Reach, Scope};
pub use tick::Tick;
pub use time::{Clock, Time, UnixTime};
