//! Which probes through tunnels lead where: what the kernel program for them looks up, and what their sockets need.

use super::image::MapImage;
use super::record::Record;
use crate::config::model::{Config, Endpoint};
use crate::config::probed;
use crate::policy::observed::NextHop;
use lb_common::abi::{BackendEntry, BackendFlags, Features, ProbeEntry, ProbeMark};
use lb_ebpf::encapsulate::largest;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// Bytes of a packet that are not of its TCP segment.
const HEADERS_V4: usize = 20 + 20;
const HEADERS_V6: usize = 40 + 20;

/// An endpoint that is probed through its tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Name of its pool.
    pub pool: String,
    /// Its own address.
    pub address: IpAddr,
    /// What is probed there.
    pub vip: SocketAddr,
    /// What its packets are known by.
    pub mark: ProbeMark,
    /// Where these go, or why they cannot.
    pub way: Result<ProbeWay, Obstacle>,
}

/// How the sockets of probes send to the VIPs, by themselves: the way there, or why there is none. A VIP that is missing
/// was not asked for yet.
pub type VipWays = BTreeMap<IpAddr, Result<NextHop, String>>;

/// Where packets of a probe go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeWay {
    /// What the kernel program looks up.
    pub entry: ProbeEntry,
    /// The longest segments of TCP that fit the tunnel, in bytes.
    pub segment: u16,
}

/// Why an endpoint that is reached cannot be probed through a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// It is this machine.
    #[error("it is this machine, to which there is no tunnel")]
    Local,
    /// A tag, which would be sent beside the frame.
    #[error("a VLAN leads there, or to the VIP, which probes through tunnels do not support")]
    Vlan,
    /// A socket here could not send to the VIP, tunnel or not.
    #[error("this machine's own route to {vip}, which the probe's socket needs, leads nowhere: {reason}")]
    Vip {
        /// The VIP.
        vip: IpAddr,
        /// What is wrong.
        reason: String,
    },
}

/// The VIPs that are probed.
pub fn probed_vips(config: &Config) -> BTreeSet<IpAddr> {
    let mut vips = BTreeSet::new();
    for (pool, check, service) in probed::pools(config) {
        let Some(service) = service else { continue };
        let of = |endpoint: &Endpoint| probed::vip(service, check, endpoint.address);
        vips.extend(pool.endpoints.iter().filter_map(of).map(|vip| vip.ip()));
    }
    vips
}

/// All of a configuration, in its order; endpoints and VIPs that are not reached yet have none.
pub fn probes(config: &Config, record: &Record, image: &MapImage, vips: &VipWays) -> Vec<Probe> {
    let mut probes = Vec::new();
    for (pool, check, service) in probed::pools(config) {
        let (Some(service), Some(known)) = (service, record.pools.get(&pool.name)) else { continue };
        for address in pool.endpoints.iter().map(|endpoint| endpoint.address) {
            let Some(index) = known.backends.get(&address).map(|backend| backend.index) else { continue };
            let (entry, vip) = (image.backends.get(&index.into()), probed::vip(service, check, address));
            let (Some(entry), Some(vip)) = (entry, vip) else { continue };
            let way = way(index, entry, vip.ip(), vips).transpose();
            let of = |way| Probe { pool: pool.name.clone(), address, vip, mark: ProbeMark::of(index), way };
            probes.extend(way.map(of));
        }
    }
    probes
}

/// `Ok(None)`: it is not known how the backend is reached, or the VIP.
fn way(
    index: u16,
    backend: &BackendEntry,
    vip: IpAddr,
    vips: &VipWays,
) -> Result<Option<ProbeWay>, Obstacle> {
    if backend.route.flags.has(BackendFlags::LOCAL) {
        return Err(Obstacle::Local);
    }
    let out = match vips.get(&vip) {
        Some(Ok(hop)) => hop,
        Some(Err(reason)) => return Err(Obstacle::Vip { vip, reason: reason.clone() }),
        None => return Ok(None),
    };
    if backend.route.interface == 0 {
        return Ok(None);
    }
    if backend.destination_mac.number != 0 || out.vlan != 0 {
        return Err(Obstacle::Vlan);
    }
    let interface = out.interface;
    let entry =
        ProbeEntry { destination: backend.destination, interface, backend: index, pool: backend.pool };
    Ok(Some(ProbeWay { entry, segment: segment(backend, out.mtu, vip) }))
}

/// The kernel lets no frame become longer than the interface takes that it was sent by, either.
fn segment(backend: &BackendEntry, mtu: u16, vip: IpAddr) -> u16 {
    let inner = largest(backend, Features::ALL);
    let overhead = usize::from(backend.mtu).saturating_sub(inner);
    let headers = if vip.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
    let segment = inner.min(usize::from(mtu).saturating_sub(overhead)).saturating_sub(headers);
    u16::try_from(segment).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests;
