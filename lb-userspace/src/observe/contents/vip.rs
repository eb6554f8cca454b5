//! The VIP table's buckets and slots.

use std::net::{IpAddr, SocketAddr};

use lb_common::abi::{PortRange, PortRanges, VipFlags, VipKey, VipSlot, map};
use lb_common::net::{Family, NetworkU16};
use lb_ebpf::wire::protocol;
use serde::Serialize;

use super::{Decoded, Entry, Key, NoEntry};
use crate::reconcile::MemoryMaps;

/// What a key looks like.
const EXPECTED: &str = "a bucket's index, a VIP as ADDRESS:PORT/tcp (or /udp; port 0: any), an address alone, or ADDRESS/redirects";

/// A slot in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// `ADDRESS:PORT/PROTOCOL`, port 0 for any; of ranges `ADDRESS:ranges/PROTOCOL`; of an address as such, the address;
    /// of one that other clusters' gateways send to `ADDRESS/redirects`.
    pub vip: String,
    /// Index of the service; `None` for an address as such or of redirects, and for ranges.
    pub service: Option<u32>,
    /// The address is also one of this machine.
    pub local: bool,
    /// A service takes any port of the address.
    pub any_port: bool,
    /// Of ranges: the line of `port_ranges`, which is its entry 2 × line, or that plus 1 in the second half of the table.
    pub ranges: Option<u32>,
}

impl Slot {
    /// `None` of an empty one.
    fn of(slot: &VipSlot) -> Option<Self> {
        slot.key.family()?;
        let ranged = slot.key.is_of_ranges();
        let is_port = slot.key.protocol() != 0 && !slot.key.is_of_tunnel();
        Some(Self {
            vip: name(&slot.key),
            service: (is_port && !ranged).then_some(slot.service),
            local: slot.flags.has(VipFlags::LOCAL),
            any_port: slot.flags.has(VipFlags::ANY_PORT),
            ranges: ranged.then_some(slot.service),
        })
    }
}

fn name(key: &VipKey) -> String {
    // An IPv6 packet may carry an IPv4-mapped address; the key knows which it is of.
    let address = match key.family() {
        Some(Family::V6) => IpAddr::V6(key.address().bytes().into()),
        _ => key.address().into(),
    };
    let place = SocketAddr::new(address, key.port().get());
    let place = match place.to_string() {
        place if key.is_of_ranges() => place.trim_end_matches('0').to_owned() + "ranges",
        place => place,
    };
    match key.protocol() & 0x7f {
        _ if key.is_of_tunnel() => format!("{address}/redirects"),
        0 => address.to_string(),
        protocol::TCP => format!("{place}/tcp"),
        protocol::UDP => format!("{place}/udp"),
        other => format!("{place}/{other}"),
    }
}

/// A bucket; `None` beyond the last.
pub(super) fn bucket(snapshot: &MemoryMaps, index: u32) -> Option<Decoded> {
    let bucket = snapshot.vips.get(index as usize)?;
    let in_force = snapshot.control.first().is_some_and(|control| {
        let (base, buckets) = (control.vips.base(), 1 << control.vips.log2());
        (base..base + buckets).contains(&index)
    });
    Some(Decoded::Bucket { in_force, slots: bucket.slots.iter().filter_map(Slot::of).collect() })
}

/// A range of ports, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Range {
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
    /// Index of the service.
    pub service: u32,
}

/// A line of port ranges.
pub(super) fn ranges(line: &PortRanges) -> Decoded {
    let range = |range: &PortRange| {
        let last = range.first.saturating_add(range.count.checked_sub(1)?);
        Some(Range { first: range.first, last, service: range.service })
    };
    Decoded::PortRanges(line.ranges.iter().filter_map(range).collect())
}

/// The slot of a VIP in the table in force.
pub(super) fn find(snapshot: &MemoryMaps, text: &str) -> Result<Entry, NoEntry> {
    let (family, key) = parse(text).ok_or_else(|| super::wrong(map::VIPS, text, EXPECTED))?;
    let absent = || super::absent(map::VIPS, text, "see `services` for the VIPs there are");
    let table = snapshot.control.first().ok_or_else(absent)?.vips;
    let (first, second) = key.buckets(family, table);
    let slot = [first, second].into_iter().find_map(|bucket| {
        let slot = snapshot.vips.get(bucket as usize)?.find(&key)?;
        Some(Decoded::Slot { bucket, slot: Slot::of(slot)? })
    });
    slot.map(|value| Entry { key: Key::Text(text.to_owned()), value }).ok_or_else(absent)
}

fn parse(text: &str) -> Option<(Family, VipKey)> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((Family::of(address), VipKey::of_address(Family::of(address), address.into())));
    }
    let (place, word) = text.split_once('/')?;
    if word == "redirects" {
        let address: IpAddr = place.parse().ok()?;
        return Some((Family::of(address), VipKey::of_tunnel(Family::of(address), address.into())));
    }
    let place: SocketAddr = place.parse().ok()?;
    let number = match word.to_ascii_lowercase().as_str() {
        "tcp" => protocol::TCP,
        "udp" => protocol::UDP,
        _ => return None,
    };
    let family = Family::of(place.ip());
    Some((family, VipKey::new(family, place.ip().into(), number, NetworkU16::new(place.port()))))
}
