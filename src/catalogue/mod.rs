//! The SQLite store of everything the jukebox knows.
