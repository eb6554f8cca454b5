//! The content of a receiver's maps, decoded entry by entry, as `maps dump` and `maps get` print it.

use lb_common::abi::{RefusedKey, TunnelCounters, receiver_map};
use lb_common::reason::ReceiverReason;
use serde::Serialize;

use super::refused::refused_key;
use super::{Accepts, Flow, Hop, NodeState, Seen, flow_key, prefix};
use crate::config::model::Prefix;
use crate::observe::contents::{self, Key, NoEntry};

/// An entry of one of the maps.
pub type Entry = contents::Entry<Decoded>;

/// An entry's value. Which it is follows from the map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Decoded {
    /// `accepted`.
    Accepted(Accepts),
    /// `own_addresses`: that it is there is all there is to say.
    Own {},
    /// `peers`: what becomes of the sources in it.
    Peer {
        /// `allow`.
        sources: &'static str,
    },
    /// `tunnel_keys`: that its key is known. It is not shown.
    Epoch {
        /// `not shown`.
        key: &'static str,
    },
    /// `tunnel_stats`, over all CPUs.
    Taken {
        /// Packets.
        packets: u64,
        /// Bytes of them, without outer headers.
        bytes: u64,
    },
    /// `receiver_stats`, over all CPUs.
    Reason {
        /// The reason's number.
        number: u32,
        /// Packets.
        packets: u64,
        /// Whether it is seen in ordinary operation.
        expected: bool,
        /// For people.
        sentence: &'static str,
    },
    /// `clamp_stats`, over all CPUs.
    Clamped {
        /// Answers to SYNs that were made to ask for less.
        answers: u64,
    },
    /// `refusals`.
    Refused {
        /// Connections that were refused.
        refused: u64,
    },
    /// `owned_flows`.
    Flow(Flow),
    /// `node_hops`.
    Hop(Hop),
    /// `wanted_hops`: that it is there is all there is to say.
    Wanted {},
    /// `state`: the agent.
    Agent(NodeState),
}

/// The entries of a map, without counters that count nothing.
pub fn dump(seen: &Seen, name: &str) -> Vec<Entry> {
    let counted = |entry: &Entry| {
        !matches!(
            entry.value,
            Decoded::Taken { packets: 0, .. }
                | Decoded::Reason { packets: 0, .. }
                | Decoded::Clamped { answers: 0 }
        )
    };
    all(seen, name).into_iter().filter(counted).collect()
}

/// One entry of a map, also one that counts nothing.
///
/// # Errors
/// [`NoEntry`] with what a key looks like.
pub fn get(seen: &Seen, name: &'static str, key: &str) -> Result<Entry, NoEntry> {
    let wanted = canonical(name, key);
    let found = all(seen, name).into_iter().find(|entry| text(&entry.key) == wanted);
    found.ok_or_else(|| NoEntry::Absent { key: key.to_owned(), map: name, mend: expected(name).to_owned() })
}

fn all(seen: &Seen, name: &str) -> Vec<Entry> {
    let entry = |key: String, value| Entry { key: Key::Text(key), value };
    match name {
        receiver_map::ACCEPTED => {
            vec![Entry { key: Key::Index(0), value: Decoded::Accepted(Accepts::of(&seen.image.accepted)) }]
        }
        receiver_map::OWN_ADDRESSES => {
            seen.image.own.iter().map(|address| entry(address.to_string(), Decoded::Own {})).collect()
        }
        receiver_map::PEERS => {
            let peer = |key| entry(prefix(key), Decoded::Peer { sources: "allow" });
            seen.image.peers.iter().map(peer).collect()
        }
        receiver_map::TUNNEL_KEYS => {
            let known = |epoch: &u8| Entry {
                key: Key::Index((*epoch).into()),
                value: Decoded::Epoch { key: "not shown" },
            };
            seen.image.keys.keys().map(known).collect()
        }
        receiver_map::TUNNEL_STATS => {
            let taken = |TunnelCounters { packets, bytes }| Decoded::Taken { packets, bytes };
            seen.taken
                .iter()
                .map(|(kind, counters)| entry(kind.name().to_owned(), taken(*counters)))
                .collect()
        }
        receiver_map::RECEIVER_STATS => {
            seen.reasons.iter().map(|(why, packets)| reason(*why, *packets)).collect()
        }
        receiver_map::CLAMP_STATS => {
            vec![Entry { key: Key::Index(0), value: Decoded::Clamped { answers: seen.clamped } }]
        }
        receiver_map::REFUSALS => {
            let one = |(key, refused): &(RefusedKey, u64)| {
                entry(refused_key(key), Decoded::Refused { refused: *refused })
            };
            seen.refused.iter().map(one).collect()
        }
        receiver_map::OWNED_FLOWS => {
            let flow = |owned| Decoded::Flow(Flow::of(owned, seen.now, seen.clock));
            seen.flows.iter().map(|(key, owned)| entry(flow_key(key), flow(*owned))).collect()
        }
        receiver_map::NODE_HOPS => {
            seen.hops.iter().map(|(node, hop)| entry(node.to_string(), Decoded::Hop(hop.clone()))).collect()
        }
        receiver_map::WANTED_HOPS => {
            seen.wanted.iter().map(|node| entry(node.to_string(), Decoded::Wanted {})).collect()
        }
        receiver_map::STATE => {
            let agent = |state: &NodeState| entry("agent".to_owned(), Decoded::Agent(state.clone()));
            seen.state.iter().map(agent).collect()
        }
        _ => Vec::new(),
    }
}

fn reason(reason: ReceiverReason, packets: u64) -> Entry {
    let (number, expected, sentence) = (reason as u32, reason.expected(), reason.sentence());
    Entry {
        key: Key::Text(reason.name().to_owned()),
        value: Decoded::Reason { number, packets, expected, sentence },
    }
}

/// A key as it is printed, if it is one.
fn canonical(name: &str, key: &str) -> String {
    let number = || key.parse::<usize>().ok();
    let known = match name {
        receiver_map::OWN_ADDRESSES | receiver_map::NODE_HOPS | receiver_map::WANTED_HOPS => {
            key.parse::<std::net::IpAddr>().ok().map(|address| address.to_string())
        }
        receiver_map::PEERS => Prefix::parse(key).map(|prefix| prefix.to_string()),
        receiver_map::RECEIVER_STATS => {
            number().and_then(|number| ReceiverReason::ALL.get(number)).map(|reason| reason.name().to_owned())
        }
        _ => None,
    };
    known.unwrap_or_else(|| key.to_owned())
}

fn text(key: &Key) -> String {
    match key {
        Key::Index(index) => index.to_string(),
        Key::Text(text) => text.clone(),
    }
}

/// What a key looks like, and where to look for one.
fn expected(name: &str) -> &'static str {
    match name {
        receiver_map::ACCEPTED | receiver_map::CLAMP_STATS => "its one key is 0",
        receiver_map::OWN_ADDRESSES => "write an address, as in `maps dump own_addresses`",
        receiver_map::PEERS => "write a prefix, as in `maps dump peers`",
        receiver_map::NODE_HOPS => {
            "write an address, as in `maps dump node_hops`; 0.0.0.0 and :: are all others"
        }
        receiver_map::WANTED_HOPS => "write an address, as in `maps dump wanted_hops`",
        receiver_map::REFUSALS => "write ADDRESS:PORT/tcp, or /udp, as in `maps dump refusals`",
        receiver_map::OWNED_FLOWS => "write PROTOCOL/SOURCE/DESTINATION, as in `maps dump owned_flows`",
        receiver_map::TUNNEL_KEYS => "write an epoch, as in `maps dump tunnel_keys`",
        receiver_map::TUNNEL_STATS => "write `ipip`, `gue` or `vxlan`",
        receiver_map::RECEIVER_STATS => "write a reason's name or number, as docs/operations.md has them",
        _ => "write `agent`",
    }
}
