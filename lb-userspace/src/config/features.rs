//! What a configuration needs the program to be able to do.

use lb_common::abi::Features;

use super::model::{Cluster, Config, EncapKind, Service, Tracking, Via};

/// The features without which the program could not serve it.
pub fn features(config: &Config) -> Features {
    let clusters = config.clusters.iter().map(cluster);
    let services = config.services.iter().map(service);
    let redirects = !config.gateway.redirects.gateways.is_empty();
    let needed = [(Features::REDIRECT, redirects), (Features::EVIDENCE, config.gateway.evidence.is_some())];
    let gateway = all(needed);
    clusters.chain(services).fold(gateway, Features::with)
}

fn cluster(cluster: &Cluster) -> Features {
    let encapsulation = encapsulation(cluster.encap.kind);
    match cluster.via {
        Via::Nodes => encapsulation,
        Via::Gateway => encapsulation.with(Features::REDIRECT),
    }
}

fn service(service: &Service) -> Features {
    let needed = [
        (Features::QUIC, !service.quic.is_empty()),
        (Features::ADMISSION, service.access.is_some()),
        (Features::CHAIN, service.tracking == Tracking::Chain),
        (Features::PORT_RANGES, service.ports.iter().any(|port| port.last.is_some())),
    ];
    all(needed)
}

fn all(needed: impl IntoIterator<Item = (Features, bool)>) -> Features {
    let needed = needed.into_iter().filter(|(_, needed)| *needed);
    needed.fold(Features::default(), |all, (feature, _)| all.with(feature))
}

fn encapsulation(kind: EncapKind) -> Features {
    match kind {
        EncapKind::Ipip => Features::default(),
        EncapKind::Gue { tag: true, .. } => Features::GUE.with(Features::TAG),
        EncapKind::Gue { .. } => Features::GUE,
        EncapKind::Vxlan { .. } => Features::VXLAN,
    }
}
