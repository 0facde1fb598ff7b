//! From a query to ranked tracks.
