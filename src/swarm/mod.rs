//! Streaming and seeding through BitTorrent.
