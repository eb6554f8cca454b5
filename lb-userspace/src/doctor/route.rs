//! What keeps an address from being reached, with its mend. Both sides ask it.

use std::net::IpAddr;

use super::finding::{Finding, Severity, Topic};
use crate::datapath::nexthop::{Silence, Unresolved};

/// A finding about addresses that have no next hop for the same reason; `asked`: whether somebody asks for their
/// neighbours all the time, as the agent does.
pub(super) fn unresolved(
    topic: &Topic,
    reason: &Unresolved,
    silence: Silence,
    addresses: &[IpAddr],
    asked: bool,
) -> Finding {
    let example = addresses.first().map_or_else(String::new, ToString::to_string);
    let severity = match reason {
        Unresolved::NoNeighbour { .. } if silence == Silence::NotAsked && !asked => Severity::Hint,
        Unresolved::NoNeighbour { .. } if silence != Silence::Failed => Severity::Warning,
        Unresolved::NoAnswer(_) => Severity::Warning,
        _ => Severity::Error,
    };
    topic.at(severity, says(reason, silence), mend(reason, silence, &example))
}

fn says(reason: &Unresolved, silence: Silence) -> String {
    match (reason, silence) {
        (Unresolved::NoNeighbour { interface, gateway }, Silence::NotAsked) => {
            format!("the MAC of {gateway} on {interface} is not known, and nobody has asked for it lately")
        }
        (Unresolved::NoNeighbour { interface, gateway }, Silence::Asking) => {
            format!("{gateway} on {interface} is being asked for its MAC, and has not answered yet")
        }
        (Unresolved::NoNeighbour { interface, gateway }, Silence::Failed) => {
            format!("{gateway} on {interface} was asked for its MAC and did not answer (FAILED)")
        }
        (Unresolved::NoRoute, _) => "no route leads to it".to_owned(),
        (reason, _) => reason.to_string(),
    }
}

fn mend(reason: &Unresolved, silence: Silence, example: &str) -> String {
    match reason {
        Unresolved::NoRoute => {
            format!("`ip route add {example} via ROUTER`; compare `ip route get {example}`")
        }
        Unresolved::NotUnicast(_) => {
            format!("see `ip route get {example}`, and remove the route or the rule that says so")
        }
        Unresolved::NoAnswer(_) => format!("see what `ip route get {example}` says"),
        Unresolved::NoNeighbour { gateway, .. } if silence == Silence::NotAsked => {
            format!("`ping -c 1 {gateway}` asks for it; a running agent does so by itself")
        }
        Unresolved::NoNeighbour { interface, gateway } => {
            format!(
                "is {gateway} up and on the link (VLAN) of {interface}? `ip neighbour show to {gateway} dev {interface}`"
            )
        }
        Unresolved::LinkDown { interface } => {
            format!("`ip link set dev {interface} up`; look at its cable or its other end")
        }
        Unresolved::UnknownLink { .. } => "run it in the network namespace of the agent".to_owned(),
        Unresolved::NotEthernet { .. } | Unresolved::Encapsulating { .. } => {
            format!("route {example} through an Ethernet interface, without a tunnel")
        }
        Unresolved::UnsupportedVlan { .. } => {
            format!("route {example} through an interface with one 802.1Q tag, or none")
        }
        Unresolved::NoSource { interface } => {
            format!("give {interface} an address of the family of {example}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(reason: &Unresolved, silence: Silence, asked: bool) -> Finding {
        unresolved(&Topic::new("next-hop", "x"), reason, silence, &[[192, 0, 2, 21].into()], asked)
    }

    #[test]
    fn every_reason_has_its_mend() {
        let interface = || "eth1".to_owned();
        let cases = [
            (Unresolved::NoRoute, "`ip route add 192.0.2.21 via ROUTER`"),
            (Unresolved::LinkDown { interface: interface() }, "`ip link set dev eth1 up`"),
            (Unresolved::NotEthernet { interface: interface() }, "Ethernet"),
            (Unresolved::NoSource { interface: interface() }, "give eth1 an address"),
            (Unresolved::UnknownLink { index: 9 }, "namespace"),
        ];
        for (reason, mend) in cases {
            let finding = about(&reason, Silence::NotAsked, true);
            assert_eq!(finding.severity, Severity::Error, "{reason}");
            assert!(finding.mend.unwrap().contains(mend), "{reason}");
        }
    }

    #[test]
    fn a_neighbour_that_nobody_asked_for_is_no_error() {
        let reason = Unresolved::NoNeighbour { interface: "eth1".into(), gateway: [192, 0, 2, 254].into() };
        let severity = |silence, asked| about(&reason, silence, asked).severity;
        assert_eq!(severity(Silence::NotAsked, false), Severity::Hint);
        assert_eq!(severity(Silence::NotAsked, true), Severity::Warning);
        assert_eq!(severity(Silence::Asking, false), Severity::Warning);
        assert_eq!(severity(Silence::Failed, false), Severity::Error);
        let finding = about(&reason, Silence::Failed, true);
        assert_eq!(finding.says, "192.0.2.254 on eth1 was asked for its MAC and did not answer (FAILED)");
        assert!(finding.mend.unwrap().contains("`ip neighbour show to 192.0.2.254 dev eth1`"));
    }
}
