//! A line as the program writes it (`lb-ebpf`, `bin/gateway/log.rs`), and as the log shows it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::ParseIntError;
use std::str::FromStr;

use lb_common::reason::Reason;
use lb_ebpf::wire::protocol;
use tracing::info;

/// A packet that was not sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    reason: Reason,
    source: Party,
    destination: Party,
    /// TCP or UDP; `None` where the packet has no ports to go by.
    protocol: Option<&'static str>,
}

/// One end of a flow.
#[derive(Debug, PartialEq, Eq)]
struct Party {
    address: IpAddr,
    port: Option<u16>,
}

impl Line {
    pub(super) fn say(&self) {
        let Self { reason, source, destination, protocol } = self;
        info!(event = "packet", reason = reason.name(), protocol, %source, %destination, "{}", reason.sentence());
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split(' ').collect();
        let [reason, source, destination, protocol, from, to] = words[..] else {
            return Err(format!("{} words, not 6", words.len()));
        };
        let protocol = match number(protocol)? {
            protocol::TCP => Some("tcp"),
            protocol::UDP => Some("udp"),
            _ => None,
        };
        let party = |address, port| party(address, number(port)?, protocol.is_some());
        let (source, destination) = (party(source, from)?, party(destination, to)?);
        Ok(Self { reason: known(number(reason)?)?, source, destination, protocol })
    }
}

fn number<T: FromStr<Err = ParseIntError>>(word: &str) -> Result<T, String> {
    word.parse().map_err(|reason| format!("{word}: {reason}"))
}

fn known(number: usize) -> Result<Reason, String> {
    Reason::ALL.get(number).copied().ok_or_else(|| format!("there is no reason {number}"))
}

fn party(address: &str, port: u16, has_port: bool) -> Result<Party, String> {
    let mapped: Ipv6Addr = address.parse().map_err(|reason| format!("{address}: {reason}"))?;
    Ok(Party { address: mapped.to_canonical(), port: has_port.then_some(port) })
}

impl fmt::Display for Party {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.port) {
            (address, None) => address.fmt(formatter),
            (IpAddr::V4(address), Some(port)) => write!(formatter, "{address}:{port}"),
            (IpAddr::V6(address), Some(port)) => write!(formatter, "[{address}]:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> (&'static str, String, String, Option<&'static str>) {
        let Line { reason, source, destination, protocol } = text.parse().unwrap();
        (reason.name(), source.to_string(), destination.to_string(), protocol)
    }

    #[test]
    fn both_families_with_and_without_ports() {
        let (client, vip) = ("203.0.113.7:4321".into(), "198.51.100.10:81".into());
        let line = "1 ::ffff:203.0.113.7 ::ffff:198.51.100.10 6 4321 81";
        assert_eq!(shown(line), ("no-service", client, vip, Some("tcp")));
        let (client, vip) = ("[2001:db8::7]:0".into(), "[2001:db8::10]:53".into());
        assert_eq!(shown("3 2001:db8::7 2001:db8::10 17 0 53"), ("no-backend", client, vip, Some("udp")));
        let (client, vip) = ("2001:db8::7".into(), "2001:db8::10".into());
        assert_eq!(shown("5 2001:db8::7 2001:db8::10 0 0 0"), ("fragment", client, vip, None));
    }

    #[test]
    fn anything_else_is_told_and_not_shown() {
        for (text, reason) in [
            ("1 :: ::", "3 words, not 6"),
            ("99 :: :: 0 0 0", "there is no reason 99"),
            ("1 :: 10.0.0.1 0 0 0", "10.0.0.1: invalid IPv6 address syntax"),
            ("1 :: :: 6 65536 0", "65536: number too large to fit in target type"),
        ] {
            assert_eq!(text.parse::<Line>(), Err(reason.to_owned()));
        }
    }
}
