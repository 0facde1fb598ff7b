//! One Mainline DHT node without sockets or clocks.
