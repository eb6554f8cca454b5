//! What the agent says about itself on standard error, as far as the lab listens.

use std::net::IpAddr;
use std::time::SystemTime;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Something the agent did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, by the agent's clock; when it was read, if the line names no time.
    pub at: SystemTime,
    /// What.
    pub kind: EventKind,
}

/// The events the lab waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A health check came to a verdict about an endpoint.
    Health {
        /// The endpoint's address.
        address: IpAddr,
        /// Up or down.
        up: bool,
    },
    /// The kernel's tables have been changed.
    Applied,
    /// A packet was not sent.
    Packet {
        /// The reason's name.
        reason: String,
        /// `tcp` or `udp`; `None` of a packet without ports.
        protocol: Option<String>,
        /// Address, and port where there is one.
        source: String,
        /// As the source.
        destination: String,
    },
}

/// Reads one log line: JSON as `tracing-subscriber` writes it, with the event's fields below
/// `fields` or at the top. Any other line is no event.
pub(super) fn parse(line: &str, now: SystemTime) -> Option<Event> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| value["fields"][key].as_str().or_else(|| value[key].as_str());
    let kind = match text("event")? {
        "health" => EventKind::Health {
            address: text("address")?.parse().ok()?,
            up: match text("verdict")? {
                "up" => true,
                "down" => false,
                _ => return None,
            },
        },
        "applied" => EventKind::Applied,
        "packet" => EventKind::Packet {
            reason: text("reason")?.to_owned(),
            protocol: text("protocol").map(str::to_owned),
            source: text("source")?.to_owned(),
            destination: text("destination")?.to_owned(),
        },
        _ => return None,
    };
    let at = text("at").or_else(|| text("timestamp")).and_then(moment).unwrap_or(now);
    Some(Event { at, kind })
}

fn moment(text: &str) -> Option<SystemTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_verdict_is_read_with_its_own_time() {
        let line = r#"{"timestamp":"2026-01-01T00:00:09Z","level":"INFO","fields":{"message":"m","event":"health",
            "pool":"web-eu","address":"10.1.1.2","verdict":"down","at":"1970-01-01T00:00:01.250000Z"},"target":"t"}"#;
        let kind = EventKind::Health { address: "10.1.1.2".parse().unwrap(), up: false };
        let at = UNIX_EPOCH + Duration::from_millis(1250);
        assert_eq!(parse(line, SystemTime::now()), Some(Event { at, kind }));
    }

    #[test]
    fn without_its_own_time_the_lines_counts_and_else_the_readers() {
        let line = r#"{"timestamp":"1970-01-01T00:00:09Z","fields":{"event":"applied","generation":7}}"#;
        let at = UNIX_EPOCH + Duration::from_secs(9);
        assert_eq!(parse(line, UNIX_EPOCH), Some(Event { at, kind: EventKind::Applied }));
        let flat = r#"{"event":"applied"}"#;
        assert_eq!(parse(flat, UNIX_EPOCH), Some(Event { at: UNIX_EPOCH, kind: EventKind::Applied }));
    }

    #[test]
    fn a_packet_may_have_no_ports() {
        let line = r#"{"fields":{"message":"m","event":"packet","reason":"fragment","source":"2001:db8::7",
            "destination":"2001:db8::10"}}"#;
        let [reason, source, destination] = ["fragment", "2001:db8::7", "2001:db8::10"].map(str::to_owned);
        let kind = EventKind::Packet { reason, protocol: None, source, destination };
        assert_eq!(parse(line, UNIX_EPOCH), Some(Event { at: UNIX_EPOCH, kind }));
        assert_eq!(parse(r#"{"fields":{"event":"packet","message":"left out"}}"#, UNIX_EPOCH), None);
    }

    #[test]
    fn other_lines_are_no_events() {
        for line in
            ["plain text", "{}", r#"{"event":"health","address":"x","verdict":"up"}"#, r#"{"event":"other"}"#]
        {
            assert_eq!(parse(line, UNIX_EPOCH), None, "{line}");
        }
        let unknown = r#"{"event":"health","address":"10.0.0.1","verdict":"unknown"}"#;
        assert_eq!(parse(unknown, UNIX_EPOCH), None);
    }
}
