//! The report as text: JSON, of which a reader ignores keys that it does not know.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;

use super::MOST_SERVICES;
use crate::config::model::Protocol;
use crate::policy::observed::{NodeReport, PortCounts, VipPort};

/// A report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Version of the agent that makes it.
    pub version: String,
    /// Since when refusals are counted.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Whether every port is in it that has something to be told. What is not in a whole report has no connections.
    pub complete: bool,
    /// The ports, sorted.
    pub services: Vec<Service>,
}

/// A port of a VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// The VIP.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Transport,
    /// Connections that were refused since then.
    pub refused: u64,
    /// Connections that there are now.
    pub connections: u64,
}

/// As the text names protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Why a text is no report.
#[derive(Debug, Error)]
pub enum NotRead {
    /// It is not JSON of this form.
    #[error("its report is not of this form: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It names too many ports.
    #[error("its report has {0} ports, more than {MOST_SERVICES}")]
    TooMany(usize),
}

impl Report {
    /// Of what was counted: at most [`MOST_SERVICES`], in order.
    pub fn of(since: OffsetDateTime, counted: &BTreeMap<VipPort, PortCounts>) -> Self {
        let service = |(at, counts): (&VipPort, &PortCounts)| Service {
            address: at.address,
            port: at.port,
            protocol: match at.protocol {
                Protocol::Tcp => Transport::Tcp,
                Protocol::Udp => Transport::Udp,
            },
            refused: counts.refused,
            connections: counts.connections,
        };
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since,
            complete: counted.len() <= MOST_SERVICES,
            services: counted.iter().take(MOST_SERVICES).map(service).collect(),
        }
    }

    /// Reads one that was got at `taken_ms`.
    ///
    /// # Errors
    /// [`NotRead`]
    pub fn read(text: &[u8], taken_ms: u64) -> Result<NodeReport, NotRead> {
        let report: Self = serde_json::from_slice(text)?;
        if report.services.len() > MOST_SERVICES {
            return Err(NotRead::TooMany(report.services.len()));
        }
        let since_ms = report.since.unix_timestamp_nanos() / 1_000_000;
        Ok(NodeReport {
            taken_ms,
            since_ms: since_ms.try_into().unwrap_or(0),
            complete: report.complete,
            services: report.services.iter().map(Service::counts).collect(),
        })
    }
}

impl Service {
    fn counts(&self) -> (VipPort, PortCounts) {
        let protocol = match self.protocol {
            Transport::Tcp => Protocol::Tcp,
            Transport::Udp => Protocol::Udp,
        };
        let at = VipPort { address: self.address, protocol, port: self.port };
        (at, PortCounts { refused: self.refused, connections: self.connections })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(ports: u16) -> BTreeMap<VipPort, PortCounts> {
        let one = |port| {
            let at = VipPort { address: [192, 0, 2, 1].into(), protocol: Protocol::Tcp, port };
            (at, PortCounts { refused: 12, connections: 3 })
        };
        (80..80 + ports).map(one).collect()
    }

    #[test]
    fn it_is_as_documented_and_reads_as_what_it_was() {
        let report = Report::of(OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(1), &counted(1));
        let text = serde_json::to_string(&report).unwrap();
        let documented = format!(
            r#"{{"version":"{}","since":"1970-01-01T00:00:01Z","complete":true,"services":[{{"address":"192.0.2.1","port":80,"protocol":"tcp","refused":12,"connections":3}}]}}"#,
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(text, documented);
        let read = Report::read(text.as_bytes(), 7).unwrap();
        assert_eq!(read, NodeReport { taken_ms: 7, since_ms: 1000, complete: true, services: counted(1) });
    }

    #[test]
    fn what_is_unknown_is_left_aside_and_what_is_missing_or_wrong_is_refused() {
        let with = |services: &str| {
            let text = format!(
                r#"{{"version":"9","since":"2026-01-01T00:00:00Z","complete":false,"mood":[1],"services":{services}}}"#
            );
            Report::read(text.as_bytes(), 0)
        };
        let service =
            r#"{"address":"2001:db8::1","port":53,"protocol":"udp","refused":0,"connections":1,"x":{}}"#;
        assert_eq!(with(&format!("[{service}]")).unwrap().services.len(), 1);
        for wrong in [
            "7".to_owned(),
            format!("[{}]", service.replace("udp", "sctp")),
            format!("[{}]", service.replace(":53", ":70000")),
            format!("[{}]", service.replace(":0", ":-1")),
            format!("[{}]", service.replace(r#""refused":0,"#, "")),
            format!("[{}]", service.replace("2001:db8::1", "vip")),
            format!("[{}]", vec![service; MOST_SERVICES + 1].join(",")),
        ] {
            assert!(with(&wrong).is_err(), "{wrong}");
        }
        assert!(Report::read(b"", 0).is_err() && Report::read(b"{}", 0).is_err());
    }

    #[test]
    fn one_with_too_many_ports_says_so_and_can_be_read() {
        let most = u16::try_from(MOST_SERVICES).unwrap();
        let report = Report::of(OffsetDateTime::UNIX_EPOCH, &counted(most + 1));
        assert!(!report.complete && report.services.len() == MOST_SERVICES);
        assert!(Report::of(OffsetDateTime::UNIX_EPOCH, &counted(most)).complete);
        let service = Service {
            address: "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap(),
            port: u16::MAX,
            refused: u64::MAX,
            connections: u64::MAX,
            ..report.services[0]
        };
        let text = serde_json::to_vec(&Report { services: vec![service; MOST_SERVICES], ..report }).unwrap();
        assert!(text.len() < super::super::LONGEST, "{}", text.len());
    }
}
