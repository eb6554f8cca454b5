//! Links and neighbours as the kernel last told them. Pure: messages in, what they touched out.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// A network interface, as far as sending through it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    /// Administratively up, with carrier, and operational (RFC 2863).
    pub(super) running: bool,
    /// IP packet size, bytes.
    pub(super) mtu: u32,
    /// `None` when the interface is not Ethernet.
    pub(super) mac: Option<[u8; 6]>,
    pub(super) vlan: Option<Vlan>,
}

/// What makes a link a VLAN sub-interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vlan {
    /// Tag, 1 … 4094.
    pub(super) id: u16,
    /// 802.1Q; otherwise 802.1ad.
    pub(super) dot1q: bool,
    /// Index of the parent; `None` when that lives in another network namespace.
    pub(super) parent: Option<u32>,
}

/// A neighbour is known by its interface and address (which may be IPv6 for an IPv4 route).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NeighbourKey {
    pub(super) link: u32,
    pub(super) address: IpAddr,
}

/// A neighbour whose MAC may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) mac: [u8; 6],
    /// PERMANENT or NOARP: never expires, need not be kept alive.
    pub(super) fixed: bool,
}

/// One netlink notification, reduced to what matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    Link(Link),
    LinkGone(u32),
    /// `None`: the entry went away, or has no valid MAC (INCOMPLETE, FAILED).
    Neighbour(NeighbourKey, Option<Neighbour>),
    /// A route to `address`/`length` was added, changed or removed.
    Route(Prefix),
    /// An address or policy rule changed: any route may answer differently.
    Routing,
}

/// A destination prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) address: IpAddr,
    pub(super) length: u8,
}

impl Prefix {
    /// Whether `address` is of this prefix; never across families.
    pub(super) fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                let difference = u128::from(ours.to_bits() ^ other.to_bits());
                leading_bits_equal(difference, 32, self.length)
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                leading_bits_equal(ours.to_bits() ^ other.to_bits(), 128, self.length)
            }
            _ => false,
        }
    }
}

/// Whether the first `length` of `width` bits of an XOR are zero.
fn leading_bits_equal(difference: u128, width: u32, length: u8) -> bool {
    let ignored = width.saturating_sub(u32::from(length));
    difference.checked_shr(ignored).unwrap_or(0) == 0
}

/// What a notice made out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touched {
    Nothing,
    /// Decisions are to be taken again, from the route answers already held.
    Decisions,
    /// The kernel is to be asked again about targets of this prefix.
    Routes(Prefix),
    /// The kernel is to be asked again about every target.
    AllRoutes,
    /// The same, since an interface came, went or changed.
    Links,
}

/// The kernel's links and neighbours.
#[derive(Debug, Default)]
pub(super) struct View {
    links: BTreeMap<u32, Link>,
    neighbours: BTreeMap<NeighbourKey, Neighbour>,
}

impl View {
    /// A view that holds exactly what two dumps said.
    pub(super) fn from_dumps(
        links: impl IntoIterator<Item = Link>,
        neighbours: impl IntoIterator<Item = (NeighbourKey, Neighbour)>,
    ) -> Self {
        Self {
            links: links.into_iter().map(|link| (link.index, link)).collect(),
            neighbours: neighbours.into_iter().collect(),
        }
    }

    pub(super) fn link(&self, index: u32) -> Option<&Link> {
        self.links.get(&index)
    }

    pub(super) fn neighbour(&self, key: NeighbourKey) -> Option<Neighbour> {
        self.neighbours.get(&key).copied()
    }

    /// Takes one notice in. Notices that repeat what is known touch nothing: the kernel sends a link
    /// again for changes that do not matter here, and a neighbour for each change of its state.
    pub(super) fn apply(&mut self, notice: Notice) -> Touched {
        match notice {
            Notice::Link(link) => self.put_link(link),
            Notice::LinkGone(index) => self.remove_link(index),
            Notice::Neighbour(key, neighbour) => self.put_neighbour(key, neighbour),
            Notice::Route(prefix) => Touched::Routes(prefix),
            Notice::Routing => Touched::AllRoutes,
        }
    }

    fn put_link(&mut self, link: Link) -> Touched {
        if self.links.get(&link.index) == Some(&link) {
            return Touched::Nothing;
        }
        self.links.insert(link.index, link);
        Touched::Links
    }

    fn remove_link(&mut self, index: u32) -> Touched {
        self.neighbours.retain(|key, _| key.link != index);
        if self.links.remove(&index).is_some() { Touched::Links } else { Touched::Nothing }
    }

    fn put_neighbour(&mut self, key: NeighbourKey, neighbour: Option<Neighbour>) -> Touched {
        let before = match neighbour {
            Some(neighbour) => self.neighbours.insert(key, neighbour),
            None => self.neighbours.remove(&key),
        };
        if before == neighbour { Touched::Nothing } else { Touched::Decisions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32) -> Link {
        let mac = Some([2, 0, 0, 0, 0, 1]);
        Link { index, name: format!("eth{index}"), running: true, mtu: 1500, mac, vlan: None }
    }

    fn key(link: u32, address: &str) -> NeighbourKey {
        NeighbourKey { link, address: address.parse().unwrap() }
    }

    fn prefix(address: &str, length: u8) -> Prefix {
        Prefix { address: address.parse().unwrap(), length }
    }

    #[test]
    fn a_link_told_twice_touches_nothing_and_a_changed_one_all_routes() {
        let mut view = View::default();
        assert_eq!(view.apply(Notice::Link(link(3))), Touched::Links);
        assert_eq!(view.apply(Notice::Link(link(3))), Touched::Nothing);
        let down = Link { running: false, ..link(3) };
        assert_eq!(view.apply(Notice::Link(down.clone())), Touched::Links);
        assert_eq!(view.link(3), Some(&down));
    }

    #[test]
    fn neighbours_go_with_their_link() {
        let mut view = View::default();
        let neighbour = Neighbour { mac: [2; 6], fixed: false };
        view.apply(Notice::Link(link(3)));
        view.apply(Notice::Neighbour(key(3, "10.0.0.1"), Some(neighbour)));
        view.apply(Notice::Neighbour(key(4, "10.0.0.1"), Some(neighbour)));
        assert_eq!(view.apply(Notice::LinkGone(3)), Touched::Links);
        assert_eq!(view.neighbour(key(3, "10.0.0.1")), None);
        assert_eq!(view.neighbour(key(4, "10.0.0.1")), Some(neighbour));
        assert_eq!(view.apply(Notice::LinkGone(3)), Touched::Nothing);
    }

    #[test]
    fn a_neighbour_touches_decisions_only_when_its_mac_changes() {
        let mut view = View::default();
        let at = key(3, "fe80::1");
        let notice = |mac| Notice::Neighbour(at, Some(Neighbour { mac, fixed: false }));
        assert_eq!(view.apply(notice([2; 6])), Touched::Decisions);
        assert_eq!(view.apply(notice([2; 6])), Touched::Nothing);
        assert_eq!(view.apply(notice([4; 6])), Touched::Decisions);
        assert_eq!(view.apply(Notice::Neighbour(at, None)), Touched::Decisions);
        assert_eq!(view.apply(Notice::Neighbour(at, None)), Touched::Nothing);
    }

    #[test]
    fn a_prefix_contains_its_own_family_only() {
        let address = |text: &str| text.parse().unwrap();
        assert!(prefix("10.1.0.0", 16).contains(address("10.1.255.3")));
        assert!(!prefix("10.1.0.0", 16).contains(address("10.2.0.0")));
        assert!(prefix("0.0.0.0", 0).contains(address("203.0.113.9")));
        assert!(!prefix("0.0.0.0", 0).contains(address("2001:db8::1")));
        assert!(prefix("::", 0).contains(address("2001:db8::1")));
        assert!(prefix("2001:db8::", 32).contains(address("2001:db8:ffff::1")));
        assert!(!prefix("2001:db8::1", 128).contains(address("2001:db8::2")));
        assert!(!prefix("10.0.0.1", 32).contains(address("10.0.0.2")));
    }
}
