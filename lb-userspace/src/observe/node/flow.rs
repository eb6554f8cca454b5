use std::net::SocketAddr;

use lb_common::abi::{Owned, OwnedKey};
use serde::Serialize;
use time::{Duration, OffsetDateTime};

/// A flow that is remembered, as it is printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// When its last packet was taken.
    #[serde(with = "time::serde::rfc3339")]
    pub last_seen: OffsetDateTime,
    /// Whether it was seen to end.
    pub ended: bool,
}

impl Flow {
    /// `now` and `clock` are the same moment, the latter in milliseconds of the clock that the program stamps with.
    pub(super) fn of(owned: Owned, now: OffsetDateTime, clock: u64) -> Self {
        let age = Duration::nanoseconds(i64::try_from(owned.age(clock * 1_000_000)).unwrap_or(i64::MAX));
        // Finer than a second it would be another moment with each look.
        let last_seen = now.saturating_sub(age).replace_nanosecond(0);
        Self { last_seen: last_seen.unwrap_or(now), ended: owned.has_ended() }
    }
}

/// A flow's key: `udp/192.0.2.1:1234/198.51.100.10:53`.
pub fn flow_key(key: &OwnedKey) -> String {
    let [source, destination] = [(key.source, key.ports[0]), (key.destination, key.ports[1])]
        .map(|(address, port)| SocketAddr::new(address.into(), port.get()));
    match key.protocol {
        6 => format!("tcp/{source}/{destination}"),
        17 => format!("udp/{source}/{destination}"),
        other => format!("{other}/{source}/{destination}"),
    }
}
