//! Which addresses a VIP, a node or a source may have.

use std::net::IpAddr;

use crate::config::problem::Problems;
use crate::config::read::Located;

/// Reports an address that cannot be the `role` (with an article) of one machine on a network.
pub(super) fn unicast<A: Copy + Into<IpAddr>>(role: &str, address: &Located<A>, problems: &mut Problems) {
    if let Some((kind, mend)) = unfit(address.value.into()) {
        let address_text: IpAddr = address.value.into();
        problems.add(&address.place, format!("{role} cannot be {address_text}: {kind}"), mend);
    }
}

/// What kind of address it is and what to write instead; `None`: it is fit.
fn unfit(address: IpAddr) -> Option<(&'static str, String)> {
    let kind = match address {
        IpAddr::V4(v4) if v4.is_broadcast() => "it is the broadcast address",
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => return Some(("it is an IPv4 address mapped into IPv6", format!("write `{v4}`"))),
            None if v6.is_unicast_link_local() => "a link-local address means nothing without its link",
            None => any_family(address)?,
        },
        IpAddr::V4(_) => any_family(address)?,
    };
    Some((kind, "use a unicast address that other machines can reach".into()))
}

fn any_family(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("it is the unspecified address")
    } else if address.is_loopback() {
        Some("it is a loopback address")
    } else if address.is_multicast() {
        Some("it is a multicast address")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unicast_addresses_are_fit() {
        for good in ["192.0.2.1", "10.0.0.0", "2001:db8::", "fd00::1"] {
            assert_eq!(unfit(good.parse().unwrap()), None, "{good}");
        }
        let bad = ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "ff02::1", "fe80::1"];
        for bad in bad.into_iter().chain(["::ffff:192.0.2.1"]) {
            assert!(unfit(bad.parse().unwrap()).is_some(), "{bad}");
        }
    }
}
