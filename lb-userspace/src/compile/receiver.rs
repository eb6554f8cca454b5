//! A node's file and addresses → what its receiver's maps should hold.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lb_common::abi::{Accepted, AcceptedFlags, AccessKey};
use lb_common::net::NetworkU16;

use super::access;
use crate::config::model;
use crate::config::model::NodeConfig;

/// What a receiver goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverImage {
    /// The tunnels that are taken apart.
    pub accepted: Accepted,
    /// Where tunnel packets are sent to.
    pub own: BTreeSet<IpAddr>,
    /// Who may send them: prefixes of policy 0.
    pub peers: BTreeSet<AccessKey>,
}

impl ReceiverImage {
    /// `own`: this machine's addresses, which count unless the file names others.
    pub fn of(config: &NodeConfig, own: BTreeSet<IpAddr>) -> Self {
        Self {
            accepted: accepted(config.accept),
            own: config.addresses.as_ref().map_or(own, |addresses| addresses.iter().copied().collect()),
            peers: config.gateways.iter().map(|prefix| access::key(0, prefix)).collect(),
        }
    }
}

fn accepted(accept: model::Accept) -> Accepted {
    let (vxlan, network) = accept.vxlan.unwrap_or_default();
    Accepted {
        gue: NetworkU16::new(accept.gue.unwrap_or_default()),
        vxlan: NetworkU16::new(vxlan),
        vni: Accepted::vni_of(network),
        flags: if accept.ipip { AcceptedFlags::IPIP } else { AcceptedFlags::default() },
        ..Accepted::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_node;
    use lb_common::net::Family;

    fn image(node: &str, own: &[&str]) -> ReceiverImage {
        let file = format!("apiVersion: spillway/v1\nnode: {{interfaces: [eth0], {node}}}\n");
        let own = own.iter().map(|address| address.parse().unwrap()).collect();
        ReceiverImage::of(&parse_node(&file, "x").unwrap(), own)
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
    fn what_is_not_accepted_has_port_0() {
        let accepted = |text: &str| image(&format!("gateways: [192.0.2.1], accept: {text}"), &[]).accepted;
        let ipip = accepted("{ipip: true}");
        assert_eq!((ipip.gue.get(), ipip.vxlan.get(), ipip.flags), (0, 0, AcceptedFlags::IPIP));
        let vxlan = accepted("{vxlan: {vni: 7}}");
        assert_eq!((vxlan.vxlan.get(), vxlan.network(), vxlan.flags), (4789, 7, AcceptedFlags::default()));
        assert_eq!(bytemuck::bytes_of(&vxlan.vni), [0, 0, 7, 0]);
    }
}
