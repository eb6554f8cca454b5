//! Packets that did not leave toward a backend: what that means while a counter grows.

use lb_common::reason::Reason;

use super::GatewayFacts;
use super::facts::Count;
use crate::doctor::finding::{Finding, Severity, Topic};

/// Reasons whose counters grow, and those that point to a defect, whenever that was.
pub(super) fn reasons(facts: &GatewayFacts) -> Vec<Finding> {
    let Ok(Some(installed)) = &facts.installed else { return Vec::new() };
    let worth = |(reason, count): &&(Reason, Count)| count.grown > 0 || !reason.expected() && count.total > 0;
    let said: Vec<_> = installed
        .reasons
        .iter()
        .filter(worth)
        .map(|(reason, count)| about(*reason, *count, installed.watched))
        .collect();
    if said.is_empty() {
        let says = format!("no packet ended for a reason in {} s", installed.watched);
        return vec![Topic::new("reasons", "all").ok(says)];
    }
    said
}

fn about(reason: Reason, count: Count, watched: u64) -> Finding {
    let (severity, mend) = judgement(reason);
    let counted = format!("{} packets in {watched} s, {} in all", count.grown, count.total);
    let topic = Topic::new("reasons", reason.name());
    let severity = if count.grown > 0 { severity } else { Severity::Warning };
    topic.at(severity, format!("{counted}. {}", reason.sentence()), mend)
}

/// How bad it is that packets end so now, and what to do.
fn judgement(reason: Reason) -> (Severity, &'static str) {
    use Severity::{Error, Hint, Warning};
    match reason {
        Reason::NotOurs => (Hint, "nothing is to be done"),
        Reason::NoService => (Warning, "compare port and protocol of the client with services[].ports"),
        Reason::LocalVip => {
            (Hint, "the kernel answers these itself; remove the VIP from this machine if it must not")
        }
        Reason::NoBackend => (Error, "see the findings of pool and next-hop: nobody serves"),
        Reason::Truncated => (Hint, "see what the client sends (`tcpdump` in front of the gateway)"),
        Reason::Fragment => {
            (Warning, "have the client send no fragments, or give the service affinity: three-tuple")
        }
        Reason::TooBig => (Warning, "see the findings of mtu: raise the path's MTU, or lower the nodes' MSS"),
        Reason::LocalBackend => (Hint, "the endpoint is this machine; correct it if that is not meant"),
        Reason::TooManyHeaders => (Hint, "see what the client sends"),
        Reason::MissingEntry => {
            (Error, "it is a defect: report it with `spillway maps dump` of tables, pools and backends")
        }
        Reason::NoHeadroom => (Error, "the driver leaves no room: set `xdpMode: generic` for the interface"),
        Reason::EchoReply => (Hint, "somebody pings a VIP, which the gateway answers: packets come this far"),
        Reason::EchoLimited => {
            (Hint, "raise gateway.icmp.echoPerSec if these pings are meant to be answered")
        }
        Reason::TooBigReported => {
            (Warning, "see the findings of mtu; the senders are told, if ICMP reaches them")
        }
        Reason::Denied => {
            (Hint, "if these sources are to be served, admit them in the service's access policy")
        }
        Reason::RateLimited => {
            (Hint, "if these sources may begin so many flows, raise the limit of the access policy")
        }
        Reason::UnknownGateway => (
            Warning,
            "if another cluster's gateway sends them, add its outer source to gateway.gateways; else see who does",
        ),
        Reason::BadRedirect => (
            Error,
            "give this gateway the services, VIPs and ports that the other clusters' gateways redirect here",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{gateway, held, severities};
    use super::*;

    fn with(reasons: &[(Reason, u64, u64)]) -> Vec<Finding> {
        let mut facts = gateway();
        let counts = reasons.iter().map(|&(reason, total, grown)| (reason, Count { total, grown }));
        held(&mut facts).reasons = counts.collect();
        super::reasons(&facts)
    }

    #[test]
    fn what_does_not_grow_is_history() {
        assert_eq!(severities(&with(&[(Reason::NoBackend, 9, 0)])), [Severity::Ok]);
        let findings = with(&[(Reason::NoBackend, 9, 4), (Reason::EchoReply, 9, 1)]);
        assert_eq!(severities(&findings), [Severity::Error, Severity::Hint]);
        assert_eq!(
            findings[0].says,
            "4 packets in 1 s, 9 in all. No backend of the service serves; dropped."
        );
    }

    #[test]
    fn a_defect_is_told_whenever_it_was() {
        assert_eq!(severities(&with(&[(Reason::NoHeadroom, 1, 0)])), [Severity::Warning]);
        assert_eq!(severities(&with(&[(Reason::NoHeadroom, 1, 1)])), [Severity::Error]);
    }

    #[test]
    fn every_reason_has_a_mend() {
        assert!(Reason::ALL.iter().all(|reason| !judgement(*reason).1.is_empty()));
    }
}
