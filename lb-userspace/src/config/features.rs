//! What a configuration needs the program to be able to do.

use lb_common::abi::Features;

use super::model::{Config, EncapKind};

/// The features without which the program could not serve it.
pub fn features(config: &Config) -> Features {
    let quic = config.services.iter().any(|service| !service.quic.is_empty());
    let quic = if quic { Features::QUIC } else { Features::default() };
    let needed = config.clusters.iter().map(|cluster| encapsulation(cluster.encap.kind));
    needed.fold(quic, Features::with)
}

fn encapsulation(kind: EncapKind) -> Features {
    match kind {
        EncapKind::Ipip => Features::default(),
        EncapKind::Gue { .. } => Features::GUE,
        EncapKind::Vxlan { .. } => Features::VXLAN,
    }
}
