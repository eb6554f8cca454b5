//! What must hold and cannot be seen from the node.

use super::NodeFacts;
use crate::config::model::EncapKind;
use crate::doctor::finding::{Finding, Topic, few};

/// Whoever checks sources between node and client must let the VIP pass.
pub(super) fn source_checks(facts: &NodeFacts) -> Vec<Finding> {
    let vip = facts.task.vips.first().map_or_else(String::new, ToString::to_string);
    vec![Topic::new("urpf", few(&facts.task.vips)).hint(
        "answers leave with the VIP as source: routers with strict uRPF and most clouds drop them, which cannot be seen from here",
        format!("`ping -I {vip} CLIENT` while `tcpdump` at the client looks for it; use loose uRPF, or exempt the VIPs (docs/network.md)"),
    )]
}

/// Filters between gateway and node, and on the node itself.
pub(super) fn firewall(facts: &NodeFacts) -> Vec<Finding> {
    let what = match facts.task.encap {
        EncapKind::Ipip => "IP protocols 4 and 41".to_owned(),
        EncapKind::Gue { port, .. } | EncapKind::Vxlan { port, .. } => format!("UDP port {port}"),
    };
    vec![Topic::new("firewall", &what).hint(
        format!("must be let in from {}, and from nobody else; whether it is cannot be seen from here", few(&facts.task.gateways)),
        "`tcpdump -ni any 'proto 4 or proto 41 or udp port 6080 or udp port 4789'` shows what arrives; rules are in docs/network.md",
    )]
}

#[cfg(test)]
mod tests {
    use super::super::stage::node;
    use super::*;

    #[test]
    fn what_is_to_be_let_in_depends_on_the_tunnel() {
        let mut facts = node();
        assert_eq!(firewall(&facts)[0].subject, "IP protocols 4 and 41");
        facts.task.encap = EncapKind::Gue { port: 6081, tag: false };
        assert_eq!(firewall(&facts)[0].subject, "UDP port 6081");
        assert!(
            source_checks(&facts)[0].mend.as_ref().unwrap().starts_with("`ping -I 198.51.100.10 CLIENT`")
        );
    }
}
