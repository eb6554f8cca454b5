//! Whose program is on the interfaces, and where it runs.

use super::GatewayFacts;
use super::facts::Installed;
use crate::config::model::{Interface, XdpMode};
use crate::doctor::facts::{Link, Place, Xdp};
use crate::doctor::finding::{Finding, Topic};

/// What the gateway's program is called in its object.
const OURS: &str = "gateway";

/// Each interface that is there.
pub(super) fn program(facts: &GatewayFacts) -> Vec<Finding> {
    let configured = facts.config.gateway.interfaces.iter().zip(&facts.interfaces);
    let present = configured.filter_map(|(interface, ingress)| Some((interface, ingress.link.as_ref()?)));
    let about = |(interface, link): (&Interface, &Link)| match &link.xdp {
        None => absent(&Topic::new("xdp", &link.name), interface, link, facts),
        Some(xdp) => there(&Topic::new("xdp", &link.name), interface, link, xdp, facts),
    };
    present.map(about).collect()
}

fn absent(topic: &Topic, interface: &Interface, link: &Link, facts: &GatewayFacts) -> Finding {
    if interface.mode == XdpMode::Native && lacks_native(link) {
        return topic.error(
            "no XDP program is on it, and its driver cannot run one natively",
            format!("set `xdpMode: generic` for {}", link.name),
        );
    }
    let running = matches!(&facts.installed, Ok(Some(installed)) if installed.running);
    let mend = if running {
        "see the agent's log, and `lastError` of `spillway status`"
    } else {
        "start the agent, which attaches the program"
    };
    topic.error("no XDP program is on it: nothing that comes in by it is balanced", mend)
}

/// The kernel says so; an older one says nothing.
fn lacks_native(link: &Link) -> bool {
    link.driver.is_some_and(|driver| !driver.native)
}

fn there(topic: &Topic, interface: &Interface, link: &Link, xdp: &Xdp, facts: &GatewayFacts) -> Finding {
    let called = xdp.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
    match &facts.installed {
        Ok(Some(installed)) if owns(installed, interface, xdp) => mode(topic, interface, link, xdp),
        Err(_) => topic.unseen(&format!("program{called} {} is on it; whether it is Spillway's is in the pins", xdp.id)),
        Ok(_) if xdp.name.as_deref() == Some(OURS) => topic.error(
            format!("a gateway program ({}) is on it that this agent did not attach: another version's, or another pin path's", xdp.id),
            "run `spillway unload` of that version, with its --pin-path, and start the agent again",
        ),
        Ok(_) => topic.error(
            format!("another XDP program ({}{called}) sits on it, and is never replaced", xdp.id),
            format!("detach it (`ip link set dev {} xdp off`, or end what attached it), or balance another interface", interface.name),
        ),
    }
}

fn owns(installed: &Installed, interface: &Interface, xdp: &Xdp) -> bool {
    installed.attached.iter().any(|(name, id)| *name == interface.name && *id == xdp.id)
}

fn mode(topic: &Topic, interface: &Interface, link: &Link, xdp: &Xdp) -> Finding {
    match (xdp.place, interface.mode) {
        (Place::Native, _) => topic.ok("Spillway's program runs natively"),
        (Place::Generic, XdpMode::Generic) => topic.ok("Spillway's program runs generically, as the file says"),
        (Place::Generic, _) if lacks_native(link) => topic.hint(
            "Spillway's program runs in generic mode, which works and is slower: the driver has no other",
            "`xdpMode: generic` says that this is meant; an interface whose driver has native XDP is faster",
        ),
        (Place::Generic, _) => topic.hint(
            "Spillway's program runs in generic mode, which works and is slower: the driver refused the native one",
            "a driver that has native XDP refuses it with LRO on, with too large an MTU or with too few queues; see the kernel's log",
        ),
        (Place::Other, _) => topic.warning(
            "more than one XDP program is on it, or one on the card",
            "see `ip -details link show`, and end what attached the other",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{gateway, held, link, severities, with};
    use super::*;
    use crate::doctor::facts::Driver;
    use crate::doctor::finding::Severity::{Error, Hint, Ok as Fine, Warning};

    fn on_it(id: u32, place: Place, name: Option<&str>) -> GatewayFacts {
        let mut facts = gateway();
        link(&mut facts).xdp = Some(Xdp { id, place, name: name.map(str::to_owned) });
        facts
    }

    #[test]
    fn the_agents_own_program_is_told_by_its_mode() {
        assert_eq!(severities(&program(&on_it(55, Place::Native, None))), [Fine]);
        assert_eq!(severities(&program(&on_it(55, Place::Generic, None))), [Hint]);
        assert_eq!(severities(&program(&on_it(55, Place::Other, None))), [Warning]);
        let mut facts = with(&[("[eth0]", "[{name: eth0, xdpMode: generic}]")]);
        link(&mut facts).xdp = Some(Xdp { id: 55, place: Place::Generic, name: None });
        assert_eq!(severities(&program(&facts)), [Fine]);
    }

    #[test]
    fn a_driver_without_a_native_mode_is_told() {
        let mut facts = with(&[("[eth0]", "[{name: eth0, xdpMode: native}]")]);
        let driver = |native| Some(Driver { native, transmits: false });
        (link(&mut facts).xdp, link(&mut facts).driver) = (None, driver(false));
        assert_eq!(program(&facts)[0].mend.as_deref(), Some("set `xdpMode: generic` for eth0"));
        link(&mut facts).driver = driver(true);
        assert!(program(&facts)[0].mend.as_ref().unwrap().contains("the agent's log"));
        let mut facts = on_it(55, Place::Generic, None);
        link(&mut facts).driver = driver(false);
        let findings = program(&facts);
        assert_eq!(severities(&findings), [Hint]);
        assert!(findings[0].says.ends_with("has no other"));
    }

    #[test]
    fn anothers_is_an_error() {
        let findings = program(&on_it(9, Place::Native, Some("xdp_pass")));
        assert_eq!(findings[0].says, "another XDP program (9 xdp_pass) sits on it, and is never replaced");
        assert!(findings[0].mend.as_ref().unwrap().contains("`ip link set dev eth0 xdp off`"));
        let findings = program(&on_it(9, Place::Native, Some("gateway")));
        assert!(findings[0].mend.as_ref().unwrap().contains("spillway unload"));
    }

    #[test]
    fn without_the_pins_nobody_knows_whose_it_is() {
        let facts = GatewayFacts { installed: Err("denied".into()), ..on_it(9, Place::Native, None) };
        assert_eq!(severities(&program(&facts)), [Warning]);
        let facts = GatewayFacts { installed: Ok(None), ..on_it(9, Place::Native, None) };
        assert_eq!(severities(&program(&facts)), [Error]);
    }

    #[test]
    fn none_is_the_agents_to_mend() {
        let mut facts = gateway();
        link(&mut facts).xdp = None;
        assert!(program(&facts)[0].mend.as_ref().unwrap().contains("the agent's log"));
        held(&mut facts).running = false;
        assert!(program(&facts)[0].mend.as_ref().unwrap().starts_with("start the agent"));
        facts.interfaces[0].link = None;
        assert!(program(&facts).is_empty(), "told by the check of interfaces");
    }
}
