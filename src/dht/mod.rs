//! One Mainline DHT node without sockets or clocks (BEP 5, 32, 33, 42, 43, 51).
//!
//! [`Node`] is a value: datagrams and the time go in, datagrams and [`Event`]s come out. The shell that owns the socket
//! does, in this order and for ever: hand in what was received ([`Node::handle_datagram`]); call
//! [`Node::handle_timeout`] when [`Node::poll_timeout`] is due; send all of [`Node::poll_transmit`]; take all of
//! [`Node::poll_event`]. Everything that the node keeps is bounded, so a shell that is late loses datagrams or
//! sightings, which are counted, and nothing else.
//!
//! A node speaks one address family, that of its socket; a dual stack is two nodes, twins, as BEP 32 has it.
//!
//! # What is held of the specifications
//!
//! Tests are those of [`krpc`], `store`, `token`, `bep42`, `bloom` and `node::tests::{alone, conformance, worlds}`.
//!
//! | from | held | shown by |
//! |---|---|---|
//! | BEP 5 | the examples, byte for byte | `examples_of_the_specifications` |
//! | | any datagram is read or refused, without allocation; what was read is written back the same | `any_bytes_are_survived`, `damaged_messages_are_survived`, `queries_round_trip`, `responses_round_trip` |
//! | | transaction ids of any length that leaves room for a reply | `transaction_ids_of_any_length_are_echoed` |
//! | | 203 for what lacks something or has a bad token | `bad_queries_keep_their_transaction`, `tokens_are_demanded_and_expire` |
//! | | 204 for unknown methods; those with a target are answered as find_node, as libtorrent does | `unknown_methods_get_204_or_the_way_to_their_target` |
//! | | tokens are bound to the IP address and live 5 to 10 minutes | `a_token_serves_its_address_only`, `a_token_lives_one_to_two_rotations` |
//! | | peers expire after 45 minutes; torrents, peers, ports of a host are bounded | `announces_expire`, `bounds_hold_and_the_newest_is_kept`, `one_host_cannot_fill_a_torrent` |
//! | | `implied_port` | `announces_expire_and_an_implied_port_is_the_udp_port` |
//! | | lookups find the 8 closest, announces reach them, also with datagrams lost | `everybody_is_found_from_everywhere`, `an_announce_is_found_despite_loss` |
//! | | questionable contacts are asked, dead ones replaced; a dead link costs none | `the_dead_are_evicted_and_replaced`, `a_link_that_is_down_costs_no_contacts` |
//! | BEP 32 | `nodes`, `nodes6` as `want` says, else the family of the datagram; `values` of one family | `families_are_told_as_they_are_wanted`, `the_same_works_in_ipv6_and_on_loopback` |
//! | | twins ask for both families while joining | `a_dual_stack_asks_for_both_families_while_joining_only` |
//! | | no reply is longer than 1024 bytes | `no_reply_is_longer_than_a_datagram_may_be` |
//! | | an IPv4 address mapped into IPv6 is the IPv4 address | `mapped_addresses_are_the_addresses_they_map` |
//! | BEP 33 | filters, `seed`, `noseed`, `scrape`, asked and answered | `vector_of_the_specification`, `filters_tell_seeds_from_the_others`, `seeds_are_left_out_on_request_and_repeats_are_one_peer`, `a_scrape_counts_a_torrent_over_the_network` |
//! | | a node that counts far more than the others is not believed | `one_liar_among_many_counts_for_nothing` |
//! | BEP 42 | ids by address, preferred in the table; `ip` told and believed by quorum | `vectors_of_the_specification`, `the_external_address_is_learnt` |
//! | BEP 43 | `ro` sent and honoured | `a_read_only_node_asks_and_never_answers` |
//! | BEP 51 | samples hold still for their interval; nobody is asked within it | `samples_hold_still_for_their_interval`, `samples_are_given_and_taken` |
//! | | who is silent about samples, as most clients are, is asked for contacts and stays one | `who_is_silent_about_samples_is_asked_for_contacts_and_stays_one` |
//!
//! Other than BEP 33 has it, several ports of one address are several peers, up to four, for those who share an address;
//! in the filters they are one.
//!
//! That this is how others read the specifications is shown by `tests/dht_interop`, where libtorrent, Transmission, aria2,
//! npm's `bittorrent-dht` and the crate `mainline` talk with nodes of ours; its `README.md` has what each of them has and
//! lacks. What they wrote there is read in `krpc::captured`.

mod api;
pub mod bep42;
mod bloom;
mod guard;
pub mod krpc;
mod lookup;
mod node;
mod origin;
mod pending;
mod responder;
mod samples;
mod shunned;
#[cfg(test)]
mod sim;
mod store;
mod table;
mod token;
mod votes;
mod window;

pub use api::{
    Contact, Event, Family, Fill, Lookup, LookupId, NodeConfig, NodeStats, SightingKind, TooManyLookups, Transmit,
    Urgency,
};
pub use lookup::MAX_NODES_PER_REPLY;
pub use node::Node;
pub use origin::{Block, Host};
pub use pending::TIMEOUT as QUESTION_TIMEOUT;
pub use responder::{Asked, MAX_REPLY, Responder, VERSION};
pub use table::GOOD_FOR;
pub use window::Window;
