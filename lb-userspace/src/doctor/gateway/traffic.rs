//! Who serves, and what is sent.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::GatewayFacts;
use super::facts::{Backend, Traffic};
use crate::doctor::finding::{Finding, Topic, few};

/// Whether each pool has somebody who serves.
pub(super) fn pools(facts: &GatewayFacts) -> Vec<Finding> {
    let Ok(Some(installed)) = &facts.installed else { return Vec::new() };
    let mut pools: BTreeMap<&str, Vec<&Backend>> = BTreeMap::new();
    for backend in &installed.backends {
        pools.entry(&backend.pool).or_default().push(backend);
    }
    pools.iter().map(|(name, backends)| pool(name, backends)).collect()
}

fn pool(name: &str, backends: &[&Backend]) -> Finding {
    let topic = Topic::new("pool", name);
    let (serving, idle): (Vec<&Backend>, Vec<&Backend>) =
        backends.iter().partition(|backend| backend.serving);
    let counts = format!("{} of {} endpoints serve", serving.len(), backends.len());
    if idle.is_empty() {
        return topic.ok(counts);
    }
    let reasons: Vec<_> = idle.iter().map(|backend| told(backend)).collect();
    let address = idle.first().map_or_else(String::new, |backend| backend.address.to_string());
    let says = format!("{counts}; not {}", few(&reasons));
    let mend = format!(
        "probe by hand what is down (`curl -v http://{address}:PORT/PATH`); see the findings of next-hop; `spillway backends`"
    );
    if serving.is_empty() { topic.error(says, mend) } else { topic.warning(says, mend) }
}

fn told(backend: &Backend) -> String {
    let address: IpAddr = backend.address;
    backend.reason.as_ref().map_or_else(|| address.to_string(), |reason| format!("{address} ({reason})"))
}

/// Whether packets come for each service, and leave.
pub(super) fn services(facts: &GatewayFacts) -> Vec<Finding> {
    let Ok(Some(installed)) = &facts.installed else { return Vec::new() };
    installed.traffic.iter().map(|traffic| service(traffic, installed.watched)).collect()
}

fn service(traffic: &Traffic, watched: u64) -> Finding {
    let topic = Topic::new("traffic", &traffic.service);
    let (sent, dropped) = (traffic.sent, traffic.dropped);
    if dropped.grown > 0 {
        topic.warning(
            format!("{} packets dropped and {} sent in {watched} s", dropped.grown, sent.grown),
            "see the findings of reasons; `spillway run --log-packets` tells of each packet",
        )
    } else if sent.grown > 0 {
        topic.ok(format!("{} packets sent in {watched} s", sent.grown))
    } else {
        topic.hint(
            format!("no packet came in {watched} s, {} since the maps were made", sent.total + dropped.total),
            "if clients try: is the VIP routed to this gateway (`ip route get VIP` at the router), port and protocol the file's? See reasons for no-service",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::Count;
    use super::super::stage::{ENDPOINT, gateway, held, severities};
    use super::*;
    use crate::doctor::finding::Severity::{Error, Hint, Ok as Fine, Warning};

    #[test]
    fn a_pool_without_anybody_is_an_error() {
        let mut facts = gateway();
        assert_eq!(severities(&pools(&facts)), [Fine]);
        let idle = |reason: Option<&str>| Backend {
            pool: "web".into(),
            address: [192, 0, 2, 22].into(),
            serving: false,
            reason: reason.map(str::to_owned),
        };
        held(&mut facts).backends.push(idle(Some("timed out")));
        let findings = pools(&facts);
        assert_eq!(severities(&findings), [Warning]);
        assert_eq!(findings[0].says, "1 of 2 endpoints serve; not 192.0.2.22 (timed out)");
        held(&mut facts).backends.retain(|backend| backend.address != ENDPOINT);
        let findings = pools(&facts);
        assert_eq!(severities(&findings), [Error]);
        assert!(findings[0].mend.as_ref().unwrap().contains("http://192.0.2.22:PORT"));
    }

    #[test]
    fn packets_are_sent_or_dropped_or_do_not_come() {
        let severity = |sent, dropped| {
            let mut facts = gateway();
            let count = |grown| Count { total: 100, grown };
            held(&mut facts).traffic[0] =
                Traffic { service: "test/web".into(), sent: count(sent), dropped: count(dropped) };
            severities(&services(&facts))
        };
        assert_eq!(severity(5, 0), [Fine]);
        assert_eq!(severity(5, 1), [Warning]);
        assert_eq!(severity(0, 0), [Hint]);
    }
}
