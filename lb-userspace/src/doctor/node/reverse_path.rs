//! The kernel's reverse-path filter, at the interface where the inner packet appears: its source is the client.

use super::NodeFacts;
use super::facts::Settings;
use crate::doctor::facts::Seen;
use crate::doctor::finding::{Finding, Topic};

const STRICT: u8 = 1;
const LOOSE: u8 = 2;
/// Kinds of tunnel devices.
const TUNNELS: [&str; 4] = ["ipip", "sit", "ip6tnl", "vxlan"];

/// IPv4 alone has the setting. Behind the receiver the inner packet appears at the interface itself, otherwise at
/// the tunnel devices.
pub(super) fn filters(facts: &NodeFacts) -> Vec<Finding> {
    if !facts.has_v4_vip() {
        return Vec::new();
    }
    if facts.has_receiver() {
        return facts.ingress_names().iter().map(|name| at_ingress(name, facts)).collect();
    }
    let devices = TUNNELS.iter().flat_map(|kind| facts.tunnels(kind)).filter(|device| device.up);
    devices.map(|device| at_tunnel(&device.name, facts)).collect()
}

fn at_tunnel(name: &str, facts: &NodeFacts) -> Finding {
    let topic = Topic::new("rp_filter", name);
    judged(&topic, &facts.effective(name), || {
        topic.error(
            format!("is strict (1) for {name} or for all: decapsulated packets are dropped, for the route to their source is not the tunnel"),
            mend(name),
        )
    })
}

fn at_ingress(name: &str, facts: &NodeFacts) -> Finding {
    let topic = Topic::new("rp_filter", name);
    judged(&topic, &facts.effective(name), || match facts.leaves_by(name) {
        Some(true) => topic.hint(
            format!(
                "is strict (1): decapsulated packets pass only since the way back to clients is {name} itself"
            ),
            mend(name),
        ),
        Some(false) => topic.error(
            format!(
                "is strict (1): decapsulated packets are dropped, for the way back to clients is not {name}"
            ),
            mend(name),
        ),
        None => topic.warning("is strict (1), and the way back to clients is not known", mend(name)),
    })
}

fn judged(topic: &Topic, settings: &Seen<Settings>, strict: impl FnOnce() -> Finding) -> Finding {
    match settings {
        Err(why) => topic.unseen(why),
        Ok(Settings { rp_filter: STRICT, .. }) => strict(),
        Ok(Settings { rp_filter: LOOSE, .. }) => topic.ok("is loose (2): enough, with a route to the client"),
        Ok(_) => topic.ok("is off"),
    }
}

fn mend(name: &str) -> String {
    format!(
        "`sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{name}.rp_filter=0` (2 will do): the larger of the two counts"
    )
}

#[cfg(test)]
mod tests {
    use super::super::stage::{device, node, receiver, set, severities};
    use super::*;
    use crate::doctor::finding::Severity::{Error, Hint, Ok as Fine, Warning};

    fn strict(facts: &mut NodeFacts, interface: &str) {
        set(facts, interface, Settings { rp_filter: 1, ..Settings::default() });
    }

    #[test]
    fn a_strict_tunnel_drops() {
        let mut facts = node();
        assert_eq!(severities(&filters(&facts)), [Fine]);
        strict(&mut facts, "ipip0");
        let findings = filters(&facts);
        assert_eq!(severities(&findings), [Error]);
        assert!(findings[0].mend.as_ref().unwrap().contains("net.ipv4.conf.ipip0.rp_filter=0"));
        set(&mut facts, "all", Settings { rp_filter: 2, ..Settings::default() });
        assert_eq!(severities(&filters(&facts)), [Fine], "the larger counts");
        facts.settings.clear();
        assert_eq!(severities(&filters(&facts)), [Warning]);
    }

    #[test]
    fn all_counts_for_each() {
        let mut facts = node();
        strict(&mut facts, "all");
        assert_eq!(severities(&filters(&facts)), [Error]);
        facts.links = Ok(vec![device("ipip", false)]);
        assert!(filters(&facts).is_empty(), "a device that is down receives nothing");
    }

    #[test]
    fn behind_the_receiver_the_way_back_decides() {
        let mut facts = receiver();
        strict(&mut facts, "eth0");
        assert_eq!(severities(&filters(&facts)), [Hint]);
        facts.defaults.as_mut().unwrap()[0].interface = "eth1".into();
        assert_eq!(severities(&filters(&facts)), [Error]);
        facts.defaults = Ok(Vec::new());
        assert_eq!(severities(&filters(&facts)), [Warning]);
    }

    #[test]
    fn behind_another_program_the_tunnel_decides() {
        let mut facts = receiver();
        facts.interfaces[0].link.as_mut().unwrap().xdp.as_mut().unwrap().name = Some("xdp_pass".into());
        strict(&mut facts, "ipip0");
        let findings = filters(&facts);
        assert_eq!((severities(&findings), findings[0].subject.as_str()), (vec![Error], "ipip0"));
    }

    #[test]
    fn ipv6_has_none() {
        let mut facts = node();
        facts.task.vips = vec!["2001:db8:1::10".parse().unwrap()];
        strict(&mut facts, "all");
        assert!(filters(&facts).is_empty());
    }
}
