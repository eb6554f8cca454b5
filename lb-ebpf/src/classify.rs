//! Is the packet ours, and which service is it for?
//!
//! 1. [`ours`]: one bit of a small filter over hashed destination addresses. It says "no" to nearly all
//!    other traffic, for the price of one array load.
//! 2. [`service`]: the exact key {address, port, protocol} in one of two buckets.
//! 3. No match: the address as such, which tells a VIP from a stranger that shares its bit; then the key for
//!    ranges of ports, if the VIP has some, which leads to a line of them; then the key for any port, if the VIP has
//!    such a service.

use crate::parse::Network;
use crate::tables::Tables;
use crate::verdict::End;
use lb_common::abi::{Features, PortRanges, VipFlags, VipKey, VipSlot, VipTable};
use lb_common::flow::Flow;
use lb_common::net::{Family, NetworkU16};
use lb_common::reason::Reason;

/// Ends what is certainly not for a VIP.
#[inline(always)]
pub fn ours<T: Tables>(network: &Network, tables: &T) -> Result<(), End> {
    let (word, bit) = VipKey::filter_bit(network.family, &network.destination);
    match tables.filter(word) {
        Some(bits) if bits & bit != 0 => Ok(()),
        _ => Err(End::NOT_OURS),
    }
}

/// The index of the flow's service.
#[inline(always)]
pub fn service<T: Tables>(flow: &Flow, table: VipTable, tables: &T) -> Result<u32, End> {
    let key = VipKey::new(flow.family, flow.destination, flow.protocol, flow.destination_port);
    match find(&key, flow.family, table, tables) {
        Some(slot) => Ok(slot.service),
        None => any_port(flow, table, tables),
    }
}

#[inline(always)]
fn any_port<T: Tables>(flow: &Flow, table: VipTable, tables: &T) -> Result<u32, End> {
    let address = VipKey::of_address(flow.family, flow.destination);
    let slot = find(&address, flow.family, table, tables).ok_or(End::NOT_OURS)?;
    if tables.features().has(Features::PORT_RANGES)
        && slot.flags.has(VipFlags::PORT_RANGES)
        && let Some(service) = range(flow, table, tables)
    {
        return Ok(service);
    }
    if slot.flags.has(VipFlags::ANY_PORT) {
        let any = VipKey::new(flow.family, flow.destination, flow.protocol, NetworkU16::new(0));
        if let Some(slot) = find(&any, flow.family, table, tables) {
            return Ok(slot.service);
        }
    }
    Err(of_vip(slot, Reason::NoService))
}

/// The slot of the destination as such. A packet that passed the filter and is for no VIP is not ours.
#[inline(always)]
pub fn address<'t, T: Tables>(network: &Network, table: VipTable, tables: &'t T) -> Result<&'t VipSlot, End> {
    let key = VipKey::of_address(network.family, network.destination);
    find(&key, network.family, table, tables).ok_or(End::NOT_OURS)
}

#[inline(always)]
fn range<T: Tables>(flow: &Flow, table: VipTable, tables: &T) -> Option<u32> {
    let ranges = VipKey::of_ranges(flow.family, flow.destination, flow.protocol);
    let line = find(&ranges, flow.family, table, tables)?.service;
    tables.port_ranges(PortRanges::index(line, table))?.service(flow.destination_port)
}

/// The end of a packet that passed the filter and cannot be balanced for `reason`: dropped if the
/// destination is a VIP, passed if it is not, or if it is also an address of this machine.
#[inline(always)]
pub fn unmatched<T: Tables>(network: &Network, table: VipTable, reason: Reason, tables: &T) -> End {
    address(network, table, tables).map_or_else(|end| end, |slot| of_vip(slot, reason))
}

/// The end of a packet to this VIP that cannot be balanced for `reason`.
#[inline(always)]
pub fn of_vip(slot: &VipSlot, reason: Reason) -> End {
    if slot.flags.has(VipFlags::LOCAL) { End::pass(Reason::LocalVip) } else { End::drop(reason) }
}

/// The slot of a key of this family.
#[inline(always)]
pub fn find<'t, T: Tables>(
    key: &VipKey,
    family: Family,
    table: VipTable,
    tables: &'t T,
) -> Option<&'t VipSlot> {
    let (first, second) = key.buckets(family, table);
    match tables.bucket(first)?.find(key) {
        Some(slot) => Some(slot),
        None => tables.bucket(second)?.find(key),
    }
}
