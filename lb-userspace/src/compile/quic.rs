//! Who has which QUIC server id.

use super::error::{CompileError, Resource};
use super::identity::fits;
use super::record::Record;
use super::sizes::Sizes;
use crate::config::model::QuicConfig;
use crate::policy::desired::{Desired, Member, Service};
use lb_common::abi::{QuicKey, QuicLengths, QuicServer};
use std::collections::BTreeMap;

/// The lengths of a service's server ids.
pub(super) fn lengths(configs: &[QuicConfig]) -> QuicLengths {
    let with = |lengths: QuicLengths, config: &QuicConfig| lengths.with(config.id, config.server_id_length);
    configs.iter().fold(QuicLengths::default(), with)
}

/// The servers of all services: every endpoint of every pool, for one that takes nothing new still has its
/// connections, and one that is down may come back.
///
/// # Errors
/// [`CompileError::Full`] if there are too many.
pub(super) fn servers(
    desired: &Desired,
    record: &Record,
    sizes: &Sizes,
) -> Result<BTreeMap<QuicKey, QuicServer>, CompileError> {
    let members: BTreeMap<_, _> =
        desired.pools.iter().map(|pool| (pool.name.as_str(), &pool.members)).collect();
    let mut servers = BTreeMap::new();
    for service in desired.services.iter().filter(|service| !service.quic.is_empty()) {
        for share in &service.shares {
            let Some(members) = members.get(share.pool.as_str()) else { continue };
            let backends = &record.pools[&share.pool].backends;
            let index = record.services[&service.name].index;
            let of = |member: &Member| server(service, index, member, backends[&member.address].index.into());
            members.iter().for_each(|member| servers.extend(of(member)));
        }
    }
    fits(Resource::QuicServers, servers.len(), sizes.quic_servers())?;
    Ok(servers)
}

/// A member under each configuration of a service.
fn server(service: &Service, index: u32, member: &Member, backend: u32) -> Vec<(QuicKey, QuicServer)> {
    let Some(server_id) = member.server_id else { return Vec::new() };
    let entry = |config: &QuicConfig| {
        let server = QuicServer { backend, shortest: config.connection_id_length() };
        (QuicKey::new(index, config.id, server_id.bytes()), server)
    };
    service.quic.iter().map(entry).collect()
}
