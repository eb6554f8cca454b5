//! What a check through the tunnel connects to: the VIP and port of a service that uses the pool.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::model::{Config, HealthCheck, Pool, ProbeVia, Protocol, Service};

/// The pools that are checked through the tunnel, in the file's order, each with its check and the service whose VIPs that
/// uses; `None`: no service names the pool.
pub fn pools(config: &Config) -> Vec<(&Pool, &HealthCheck, Option<&Service>)> {
    let checks = config.health_checks.iter().filter(|check| check.via == ProbeVia::Tunnel);
    let checks: HashMap<&str, &HealthCheck> = checks.map(|check| (check.name.as_str(), check)).collect();
    if checks.is_empty() {
        return Vec::new();
    }
    let services = services(config);
    let checked = config.pools.iter().filter_map(|pool| Some((pool, *checks.get(pool.health.as_deref()?)?)));
    checked.map(|(pool, check)| (pool, check, services.get(pool.name.as_str()).copied())).collect()
}

/// For each pool the service whose VIPs its checks use: the first in the file that names it.
pub fn services(config: &Config) -> HashMap<&str, &Service> {
    let mut services = HashMap::new();
    for service in &config.services {
        for pool in &service.pools {
            services.entry(pool.as_str()).or_insert(service);
        }
    }
    services
}

/// What a check of an endpoint connects to: the first VIP of the endpoint's family, or the first if there is none, and the
/// check's port, or the first of the service that is a port of TCP. `None`: neither names one.
pub fn vip(service: &Service, check: &HealthCheck, endpoint: IpAddr) -> Option<SocketAddr> {
    let same = |vip: &&IpAddr| vip.is_ipv4() == endpoint.is_ipv4();
    let vip = service.vips.iter().find(same).or_else(|| service.vips.first())?;
    Some(SocketAddr::new(*vip, check.port.or_else(|| port(service))?))
}

/// Of a range the first; a service of any port has none.
fn port(service: &Service) -> Option<u16> {
    let ports = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp && port.port != 0);
    ports.map(|port| port.port).next()
}
