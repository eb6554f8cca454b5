//! A node's file and addresses → what its receiver's maps should hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::abi::{Accepted, AcceptedFlags, AccessKey, SegmentLimits, TunnelKey};
use lb_common::net::NetworkU16;
use lb_common::segment;

use super::access;
use crate::config::model::NodeConfig;

/// What a receiver goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverImage {
    /// The tunnels that are taken apart.
    pub accepted: Accepted,
    /// Where tunnel packets are sent to.
    pub own: BTreeSet<IpAddr>,
    /// Who may send them, gateways and other nodes: prefixes of policy 0.
    pub peers: BTreeSet<AccessKey>,
    /// What their tags may be made with, by epoch.
    pub keys: BTreeMap<u8, TunnelKey>,
}

impl ReceiverImage {
    /// `own`: this machine's addresses, which count unless the file names others. `mtu`: the smallest of its interfaces,
    /// in bytes, which counts unless the file names one; `None`: it is not known.
    pub fn of(config: &NodeConfig, own: BTreeSet<IpAddr>, mtu: Option<u32>) -> Self {
        let accepted = accepted(config);
        let mtu = config.mtu.map(u32::from).or(mtu).filter(|_| config.clamp_mss);
        let segments = mtu.map_or(SegmentLimits::NONE, |mtu| segment::limits(&accepted, mtu));
        Self {
            accepted: Accepted { segments, ..accepted },
            own: config.addresses.as_ref().map_or(own, |addresses| addresses.iter().copied().collect()),
            keys: config.tunnel_keys.keys.iter().map(|key| (key.epoch, key.key.into())).collect(),
            peers: config.gateways.iter().map(|prefix| access::key(0, prefix)).collect(),
        }
    }
}

fn accepted(config: &NodeConfig) -> Accepted {
    let (accept, remember, tags) = (config.accept, config.remember, &config.tunnel_keys);
    let flags = [
        (accept.ipip, AcceptedFlags::IPIP),
        (remember.udp, AcceptedFlags::REMEMBER_UDP),
        (remember.tcp, AcceptedFlags::REMEMBER_TCP),
        (!tags.keys.is_empty(), AcceptedFlags::KEYS),
        (tags.required, AcceptedFlags::TAG_REQUIRED),
    ];
    let flags = flags.into_iter().filter(|(is, _)| *is).map(|(_, flag)| flag);
    let (vxlan, network) = accept.vxlan.unwrap_or_default();
    Accepted {
        gue: NetworkU16::new(accept.gue.unwrap_or_default()),
        vxlan: NetworkU16::new(vxlan),
        vni: Accepted::vni_of(network),
        flags: flags.fold(AcceptedFlags::default(), AcceptedFlags::with),
        ..Accepted::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_node;
    use lb_common::net::Family;
    use std::path::Path;

    fn image(node: &str, own: &[&str]) -> ReceiverImage {
        let file = format!("apiVersion: spillway/v1\nnode: {{interfaces: [eth0], {node}}}\n");
        let own = own.iter().map(|address| address.parse().unwrap()).collect();
        ReceiverImage::of(&parse_node(&file, "x", Path::new("")).unwrap(), own, Some(1500))
    }

    #[test]
    fn a_gateway_is_found_by_its_prefix() {
        let image = image("gateways: [192.0.2.1, '2001:db8::/64']", &[]);
        let holds = |address: &str| {
            let address: IpAddr = address.parse().unwrap();
            let source = AccessKey::of_source(0, Family::of(address), address.into());
            image.peers.iter().any(|peer| source.cut(peer.bits) == *peer)
        };
        assert!(holds("192.0.2.1") && holds("2001:db8::7"));
        assert!(!holds("192.0.2.2") && !holds("2001:db8:0:1::7"));
    }

    #[test]
    fn addresses_of_the_file_stand_instead_of_the_machines() {
        let own = |text: &str| image(text, &["192.0.2.21"]).own;
        assert_eq!(own("gateways: [192.0.2.1]"), ["192.0.2.21".parse().unwrap()].into());
        assert_eq!(own("gateways: [192.0.2.1], addresses: ['::7']"), ["::7".parse().unwrap()].into());
    }

    #[test]
    fn segments_fit_the_path_in_what_is_accepted() {
        let segments = |text: &str| {
            let segments = image(&format!("gateways: [192.0.2.1], {text}"), &[]).accepted.segments;
            (segments.v4, segments.v6)
        };
        assert_eq!(segments("accept: {ipip: true}"), (1420, 1400));
        assert_eq!(segments("mtu: auto"), (1348, 1328));
        assert_eq!(segments("mtu: 1400, accept: {ipip: true}"), (1320, 1300));
        assert_eq!(segments("mtu: 1400, clampMss: false"), (0, 0));
        let config = parse_node(
            "apiVersion: spillway/v1\nnode: {interfaces: [eth0], gateways: [192.0.2.1]}\n",
            "x",
            Path::new(""),
        );
        let unknown = ReceiverImage::of(&config.unwrap(), BTreeSet::new(), None);
        assert_eq!(unknown.accepted.segments, SegmentLimits::NONE);
    }

    #[test]
    fn what_is_not_accepted_has_port_0() {
        let accepted = |text: &str| {
            let nothing = "remember: {udp: false}";
            image(&format!("gateways: [192.0.2.1], {nothing}, accept: {text}"), &[]).accepted
        };
        let ipip = accepted("{ipip: true}");
        assert_eq!((ipip.gue.get(), ipip.vxlan.get(), ipip.flags), (0, 0, AcceptedFlags::IPIP));
        let vxlan = accepted("{vxlan: {vni: 7}}");
        assert_eq!((vxlan.vxlan.get(), vxlan.network(), vxlan.flags), (4789, 7, AcceptedFlags::default()));
        assert_eq!(bytemuck::bytes_of(&vxlan.vni), [0, 0, 7, 0]);
    }

    #[test]
    fn what_is_remembered_is_a_flag_each() {
        let flags = |text: &str| image(&format!("gateways: [192.0.2.1]{text}"), &[]).accepted.flags;
        let ipip = AcceptedFlags::IPIP;
        assert_eq!(flags(""), ipip.with(AcceptedFlags::REMEMBER_UDP));
        assert_eq!(flags(", remember: {udp: false, tcp: true}"), ipip.with(AcceptedFlags::REMEMBER_TCP));
    }
}
