//! Our DHT nodes among those of others, both ways, and what the others do not have. `README.md` beside this has the table
//! of what is found, and the test holds it against what it finds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, in its helpers too")]

mod capture;
#[path = "../common/mod.rs"]
mod common;
mod conversation;
mod ours;
mod probe;
mod table;
mod theirs;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::thread::{self, JoinHandle};

use common::in_private_network;
use conversation::Conversation;
use ours::{Crowd, Place};
use silverstream::dht::Family;
use table::Column;
use theirs::{Aria2, Client, Driven, Mainline, Transmission};

/// A client converses with a crowd of our nodes, with nobody else around.
fn converse<C: Client>(
    client: &'static str,
    (number, family): (u64, Family),
    start: impl FnOnce(IpAddr, &[SocketAddr]) -> C + Send + 'static,
) -> JoinHandle<Column> {
    let place = Place { family, number };
    let talk = move || {
        place.prepare();
        let crowd = Crowd::start(place);
        let running = start(place.client(), &crowd.addresses());
        let mut conversation = Conversation::new(place, crowd, running);
        let found = conversation.run(table::expects_belief(client));
        conversation.capture(client);
        Column { client, version: conversation.version(), family, found }
    };
    thread::Builder::new().name(format!("{client} {family:?}")).spawn(talk).unwrap()
}

/// All at the same time, for they mostly wait.
#[test]
fn others_understand_us_and_we_understand_them() {
    if !in_private_network("others_understand_us_and_we_understand_them") {
        return;
    }
    use Family::{V4, V6};
    let mut conversations = vec![
        converse("libtorrent", (0, V4), Driven::libtorrent),
        converse("Transmission", (1, V4), Transmission::start),
        converse("aria2", (2, V4), Aria2::start),
        converse("bittorrent-dht", (3, V4), Driven::npm),
        converse("mainline", (4, V4), Mainline::start),
    ];
    if Path::new("/proc/net/if_inet6").exists() {
        conversations.push(converse("libtorrent", (5, V6), Driven::libtorrent));
        conversations.push(converse("Transmission", (6, V6), Transmission::start));
        conversations.push(converse("aria2", (7, V6), Aria2::start));
    } else {
        println!("this system has no IPv6, so nobody converses over it");
    }
    let ended: Vec<_> = conversations.into_iter().map(JoinHandle::join).collect();
    let failed = ended.iter().filter(|column| column.is_err()).count();
    let columns: Vec<Column> = ended.into_iter().flatten().collect();
    table::print(&columns);
    assert_eq!(failed, 0, "conversations failed; see above");
    table::compare(&columns);
}
