//! Rules of `clusters[].encap`.

use crate::config::file::{self, Kind};
use crate::config::model::{Encap, EncapKind};
use crate::config::problem::Problems;
use crate::config::read::Located;
use crate::config::scalar::Mac;
use lb_ebpf::encapsulate::{gue, vxlan};

use super::within;

/// The ports that IANA gives GUE and VXLAN.
pub(super) const GUE_PORT: u16 = 6080;
pub(super) const VXLAN_PORT: u16 = 4789;
pub(super) const VNI: u32 = 100;
pub(super) const LARGEST_VNI: u32 = 0x00ff_ffff;
/// Of a node's VXLAN device, unless the file says otherwise: locally administered, "SPLW" in ASCII, and 2.
const INNER_MAC: [u8; 6] = [0x02, 0x53, 0x50, 0x4c, 0x57, 0x02];

/// `has_key`: there is one to make tags with.
pub(super) fn encap(encap: Option<&Located<file::Encap>>, has_key: bool, problems: &mut Problems) -> Encap {
    let Some(encap) = encap else { return Encap::default() };
    let kind = kind(encap);
    tag_is_made(encap, has_key, problems);
    let gue = encap.gue.as_ref().filter(|section| belongs(section, "gue", kind == Kind::Gue, problems));
    let vxlan =
        encap.vxlan.as_ref().filter(|section| belongs(section, "vxlan", kind == Kind::Vxlan, problems));
    let ports = 1..=u16::MAX;
    let kind = match kind {
        Kind::Ipip => EncapKind::Ipip,
        Kind::Gue => {
            let port = gue.and_then(|gue| gue.port.as_ref());
            EncapKind::Gue { port: within(port, GUE_PORT, &ports, problems), tag: is_tagged(encap) }
        }
        Kind::Vxlan => {
            let port = vxlan.and_then(|vxlan| vxlan.port.as_ref());
            let vni = vxlan.and_then(|vxlan| vxlan.vni.as_ref());
            EncapKind::Vxlan {
                port: within(port, VXLAN_PORT, &ports, problems),
                vni: within(vni, VNI, &(0..=LARGEST_VNI), problems),
                mac: inner_mac(vxlan, problems),
            }
        }
    };
    Encap { kind, mtu: encap.mtu.as_ref().and_then(|mtu| mtu.value.0) }
}

/// Bytes between the outer IP header and the packet, but for what travels with it.
pub(super) fn between(encap: &file::Encap) -> usize {
    match kind(encap) {
        Kind::Ipip => 0,
        Kind::Gue => gue::LENGTH,
        Kind::Vxlan => vxlan::LENGTH,
    }
}

fn tag_is_made(encap: &file::Encap, has_key: bool, problems: &mut Problems) {
    let Some(tag) = encap.tag.as_ref().filter(|tag| tag.value) else { return };
    if kind(encap) != Kind::Gue {
        problems.add(&tag.place, "only `kind: gue` has room for a tag", "remove it, or use `kind: gue`");
    } else if !has_key {
        let mend = "add `tunnelKey: {epoch: 1, file: tunnel-1.key}` to `clusterSet`, or remove it";
        problems.add(&tag.place, "there is no key to make tags with", mend);
    }
}

/// Whether packets carry a tag.
pub(super) fn is_tagged(encap: &file::Encap) -> bool {
    encap.tag.as_ref().is_some_and(|tag| tag.value)
}

/// Whether packets can carry more than themselves: only GUE has room for it.
pub(super) fn carries(encap: Option<&Located<file::Encap>>) -> bool {
    encap.is_some_and(|encap| kind(encap) == Kind::Gue)
}

fn kind(encap: &file::Encap) -> Kind {
    encap.kind.as_ref().map(|kind| kind.value.0).unwrap_or_default()
}

/// Whether a section is of the kind that is chosen; reported if not.
fn belongs<T>(section: &Located<T>, kind: &str, chosen: bool, problems: &mut Problems) -> bool {
    if !chosen {
        let mend = format!("remove it, or use `kind: {kind}`");
        problems.add(&section.place, format!("only `kind: {kind}` has this section"), mend);
    }
    chosen
}

fn inner_mac(vxlan: Option<&Located<file::Vxlan>>, problems: &mut Problems) -> [u8; 6] {
    let Some(mac) = vxlan.and_then(|vxlan| vxlan.mac.as_ref()) else { return INNER_MAC };
    let Mac(bytes) = mac.value;
    if bytes[0] & 1 != 0 || bytes == [0; 6] {
        let mend = "use the MAC of the nodes' VXLAN devices, the same on all of them";
        problems.add(&mac.place, "it is not the MAC of one device", mend);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::abi::{BackendEntry, BackendFlags, Features};
    use lb_ebpf::chain::Earlier;
    use lb_ebpf::encapsulate::{outer, overhead};

    #[test]
    fn what_the_mtu_is_checked_for_is_what_the_program_adds() {
        let of = |kind| {
            let place = crate::config::problem::Place::default();
            let kind = Some(Located { place, value: crate::config::scalar::Choice(kind) });
            between(&file::Encap { kind, mtu: None, tag: None, gue: None, vxlan: None })
        };
        let program = |flags| {
            let mut entry = BackendEntry::default();
            entry.route.flags = flags;
            overhead(&entry, Features::ALL, Earlier::NONE) - outer::V4_LENGTH
        };
        let flags = [BackendFlags::default(), BackendFlags::GUE, BackendFlags::VXLAN];
        assert_eq!([of(Kind::Ipip), of(Kind::Gue), of(Kind::Vxlan)], flags.map(program));
    }
}
