use std::net::IpAddr;

use lb_ebpf::tables::Tables;
use serde::Serialize;

use super::{HeldView, RolloutView, Seen, rollouts, share};
use crate::compile::record::{PortRecord, Record, ServiceRecord};
use crate::config::model::{Affinity, Protocol, Tracking};
use crate::policy::slices::KeptOut;

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceView {
    /// `namespace/name`.
    pub name: String,
    /// Its addresses.
    pub vips: Vec<IpAddr>,
    /// Its ports.
    pub ports: Vec<PortView>,
    /// `flow`, `client` or `client-prefix`: what of a packet decides its way.
    pub affinity: &'static str,
    /// `transition`, `full` or `none`: what becomes of its connections when rows change.
    pub tracking: &'static str,
    /// Name of its access policy; `None`: every source is admitted.
    pub access: Option<String>,
    /// Its pools.
    pub pools: Vec<PoolShare>,
    /// New flows per second, estimated: with services that share its pools, of all together; `None`: not known.
    pub demand: Option<u64>,
    /// Its rollout; none if none is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutView>,
    /// Packets sent to a backend.
    pub packets: u64,
    /// Their bytes, from the inner IP header on.
    pub bytes: u64,
    /// Packets that were for the service and were dropped.
    pub dropped: u64,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortView {
    /// For people.
    pub name: Option<String>,
    /// `TCP` or `UDP`.
    pub protocol: &'static str,
    /// Port number, of a range the first; 0: any.
    pub port: u16,
    /// Last port of a range; `None`: it is a single port.
    pub last: Option<u16>,
}

/// A pool's part in a service.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolShare {
    /// The pool.
    pub name: String,
    /// Its cluster.
    pub cluster: String,
    /// Weight in force; 0 where the pool is configured to it, has nobody to send to, or its priority has no load.
    pub weight: u16,
    /// Priority of its cluster, 0 first; `None`: the service has no failover policy.
    pub priority: Option<usize>,
    /// Too few endpoints of its priority are up: health counts for nothing in it.
    pub panic: bool,
    /// What is held back of its health; `None`: nothing.
    pub held: Option<HeldView>,
    /// Its priority is full, and is to get so many percent of the service's new flows; `None`: it is not.
    pub ceiling: Option<u32>,
    /// The part of the hash space in which it takes no new flows, unless nobody else could; `None`: none.
    pub kept_out: Option<KeptOut>,
    /// Its part of the service's new flows by the rows in the kernel, 0 to 1.
    pub share: f64,
}

/// Every service that is in force, by name.
pub fn services<T: Tables>(seen: &Seen<T>) -> Vec<ServiceView> {
    let record = &seen.published.record;
    let in_force = record.services.iter().filter(|(_, service)| service.gone.is_none());
    in_force.map(|(name, service)| of_service(name, service, record, seen)).collect()
}

fn of_service<T: Tables>(
    name: &str,
    service: &ServiceRecord,
    record: &Record,
    seen: &Seen<T>,
) -> ServiceView {
    let counters = seen.counts.service(service.index);
    ServiceView {
        name: name.to_owned(),
        vips: service.vips.clone(),
        ports: service.ports.iter().map(port).collect(),
        affinity: match service.affinity {
            Affinity::Flow => "flow",
            Affinity::Client => "client",
            Affinity::ClientPrefix { .. } => "client-prefix",
            Affinity::ThreeTuple => "three-tuple",
        },
        tracking: match service.tracking {
            Tracking::Transition => "transition",
            Tracking::Chain => "chain",
            Tracking::Full => "full",
            Tracking::None => "none",
        },
        access: service.access.clone(),
        pools: pools(service, record, seen),
        demand: seen.published.loads.as_ref().and_then(|loads| loads.services.get(name)).copied(),
        rollout: rollouts::of_service(name, seen),
        packets: counters.packets,
        bytes: counters.bytes,
        dropped: counters.dropped,
    }
}

fn port(port: &PortRecord) -> PortView {
    let protocol = match port.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    };
    PortView { name: port.name.clone(), protocol, port: port.port, last: port.last }
}

fn pools<T: Tables>(service: &ServiceRecord, record: &Record, seen: &Seen<T>) -> Vec<PoolShare> {
    let shares = share::of_pools(service, seen.tables);
    let view = |pool: &crate::compile::record::ShareRecord| {
        let known = record.pools.get(&pool.name);
        let index = known.map(|pool| u32::from(pool.index));
        let share = index.and_then(|index| shares.get(&index)).copied().unwrap_or(0.0);
        PoolShare {
            name: pool.name.clone(),
            cluster: pool.cluster.clone(),
            weight: pool.weight,
            priority: pool.priority,
            panic: pool.panic,
            held: pool.hold.map(|hold| HeldView::of(hold, seen.monotonic)),
            ceiling: pool.ceiling,
            kept_out: known.and_then(|pool| pool.kept_out.clone()),
            share,
        }
    };
    service.pools.iter().map(view).collect()
}
