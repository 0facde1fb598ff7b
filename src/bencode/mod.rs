//! Bencode (BEP 3) from strangers: a reader that borrows from the input and a writer into a buffer.
//!
//! [`parse`] and [`parse_prefix`] walk a value once without recursion or allocation and refuse what is malformed or
//! beyond the given [`Limits`]; the accessors of [`Value`] then cannot fail but for the type. Integers and lengths must
//! be canonical. The order of dictionary keys is not enforced, since some clients in the wild do not sort them.
//!
//! `librqbit-bencode` does not serve here: it computes integers unchecked, so that `i99999999999999999999e` panics in a
//! debug build and wraps in a release build.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{BencodeError, Dict, Limits, List, MAX_DEPTH, Value, items, parse, parse_prefix};
pub use write::Writer;
