use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lb_common::abi::{Control, HANDSHAKE_BUCKETS};
use serde::Serialize;

use crate::evidence::{Handshakes, Metric, Moment, Reading, Since, Span};

/// What went to backends between two moments.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RatesView {
    /// Seconds between the two.
    pub seconds: f64,
    /// Which part of the flows was followed, 0 to 1.
    pub sampled: f64,
    /// By cluster.
    pub clusters: Vec<ClusterRates>,
    /// By pool and address.
    pub backends: Vec<BackendRates>,
}

/// Of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterRates {
    /// Its name.
    pub name: String,
    /// Of all its backends.
    #[serde(flatten)]
    pub rates: Rates,
}

/// Of a backend.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BackendRates {
    /// Its pool.
    pub pool: String,
    /// The pool's cluster.
    pub cluster: String,
    /// Its address.
    pub address: IpAddr,
    /// Its own.
    #[serde(flatten)]
    pub rates: Rates,
}

/// Rates. What comes from flows that are followed is `None` where none is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rates {
    /// Packets a second.
    pub packets_per_sec: f64,
    /// Bytes a second, from the inner IP header on.
    pub bytes_per_sec: f64,
    /// Flows that began in a second, about.
    pub new_flows_per_sec: Option<f64>,
    /// Flows with a packet within 8.6 s, about.
    pub active_flows: Option<f64>,
    /// Handshakes that were followed: those that completed at the first try, and those whose SYN came again.
    pub handshakes: u64,
    /// Of them the part whose SYN came again, 0 to 1; `None`: there were none.
    pub failed_handshakes: Option<f64>,
    /// Of followed flows that began the part that their client reset after the handshake, 0 to 1; `None`: none began.
    pub client_resets: Option<f64>,
    /// Handshakes by how long they took: below 0.256 ms, and up to twice as long in each further number.
    pub handshake_times: [u64; HANDSHAKE_BUCKETS],
    /// Milliseconds within which half of the handshakes completed, with what the client's side takes; up to the end of a
    /// bucket, which is twice where it begins.
    pub median_handshake_ms: Option<f64>,
    /// The same of 99 in 100.
    pub p99_handshake_ms: Option<f64>,
}

impl Rates {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn of(span: &Span) -> Self {
        let handshakes = Handshakes::of(&span.reading.evidence);
        let volume = handshakes.volume();
        let time = |percent| span.handshake_time(percent).map(|micros| micros as f64 / 1000.0);
        Self {
            packets_per_sec: span.packets(),
            bytes_per_sec: span.bytes(),
            new_flows_per_sec: span.new_flows(),
            active_flows: span.active_flows(),
            handshakes: volume,
            failed_handshakes: (volume > 0).then(|| handshakes.failed as f64 / volume as f64),
            client_resets: Metric::ClientResetRatio.value(&span.reading),
            handshake_times: span.reading.evidence.times,
            median_handshake_ms: time(50),
            p99_handshake_ms: time(99),
        }
    }
}

/// What went to backends that were there at both moments, which lie `over` apart. `sampled` of [`Control::FLOWS`] flows were followed.
pub fn rates(earlier: &Moment, later: &Moment, over: Duration, sampled: u32) -> RatesView {
    let rates = |reading| Rates::of(&Span { reading, over, sampled });
    let mut clusters = BTreeMap::<_, Vec<_>>::new();
    let mut backends = Vec::new();
    for Since { pool, cluster, address, reading } in later.since(earlier) {
        clusters.entry(cluster.to_owned()).or_default().push(reading);
        let (pool, cluster) = (pool.to_owned(), cluster.to_owned());
        backends.push(BackendRates { pool, cluster, address, rates: rates(reading) });
    }
    let of_cluster = |(name, readings): (String, Vec<Reading>)| ClusterRates {
        name,
        rates: rates(readings.into_iter().sum()),
    };
    RatesView {
        seconds: over.as_secs_f64(),
        sampled: f64::from(sampled) / f64::from(Control::FLOWS),
        clusters: clusters.into_iter().map(of_cluster).collect(),
        backends,
    }
}
