//! What the program told, as the log shows it: names instead of numbers, and the mend.

use std::net::IpAddr;

use lb_common::abi::{Event, EventKind};
use tracing::warn;

use crate::compile::Record;

/// An event with names.
#[derive(Debug, PartialEq, Eq)]
pub struct Told<'r> {
    kind: &'static str,
    sentence: &'static str,
    /// `None`: the record does not know it.
    service: Option<&'r str>,
    source: IpAddr,
    destination: IpAddr,
}

impl<'r> Told<'r> {
    /// By the names of a record; `None`: a kind that this version does not know.
    pub fn of(event: &Event, record: &'r Record) -> Option<Self> {
        let kind = EventKind::ALL.into_iter().find(|kind| *kind as u32 == event.kind)?;
        let (name, sentence) = words(kind);
        let mut services = record.services.iter();
        let service =
            services.find(|(_, service)| service.index == event.service).map(|(name, _)| name.as_str());
        let [source, destination] =
            [event.source, event.destination].map(|address| address.ip(event.family()));
        Some(Self { kind: name, sentence, service, source, destination })
    }

    /// Into the log.
    pub fn say(&self) {
        let Self { kind, sentence, service, source, destination } = self;
        warn!(event = "datapath", kind, service, %source, %destination, "{sentence}");
    }
}

/// Name and sentence; a kind is told at most once a second, and the counters have all.
fn words(kind: EventKind) -> (&'static str, &'static str) {
    match kind {
        EventKind::NoBackend => (
            "no-backend",
            "packets of the service are dropped, for none of its backends serves: see `spillway backends`",
        ),
        EventKind::MissingEntry => (
            "missing-entry",
            "packets are dropped, for a table names an entry that does not exist: a defect, please report it with `spillway maps dump` of tables, pools and backends",
        ),
        EventKind::TooBig => (
            "too-big",
            "packets are dropped that do not fit the path once encapsulated: raise the path's MTU and `encap.mtu`, or clamp the nodes' MSS",
        ),
        EventKind::RateLimited => (
            "rate-limited",
            "a source begins more flows than its access policy allows, and its new ones are dropped: raise `newFlowsPerSourcePerSec` if it is no attack",
        ),
        EventKind::NotRecorded => (
            "not-recorded",
            "connections are not recorded and may be led elsewhere at the next change: raise `gateway.limits.trackedConnections`, or find out who floods the service",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_names_where_there_are_some() {
        let record = Record::default();
        let (source, destination): (IpAddr, IpAddr) = ([192, 0, 2, 7].into(), [198, 51, 100, 10].into());
        let event = Event {
            kind: 3,
            family: 4,
            source: source.into(),
            destination: destination.into(),
            ..Event::default()
        };
        let told = Told::of(&event, &record).unwrap();
        assert_eq!((told.kind, told.service), ("rate-limited", None));
        assert_eq!((told.source, told.destination), (source, destination));
        assert_eq!(Told::of(&Event { kind: 99, ..Event::default() }, &record), None);
    }
}
