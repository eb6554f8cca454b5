//! Rules of checks through the tunnel, which need a VIP to connect to.

use super::names::Names;
use crate::config::model::{Config, HealthCheck, Service};
use crate::config::probed;
use crate::config::problem::{Problems, quoted};

/// Reports pools that cannot be checked through the tunnel. Asked of a file without other problems.
pub(super) fn pools_have_a_vip(config: &Config, names: &Names<'_>, problems: &mut Problems) {
    for (pool, check, service) in probed::pools(config) {
        let place = names.pools.get(pool.name.as_str()).and_then(|pool| pool.health.as_ref());
        if let (Some(at), Some((reason, mend))) = (place, unfit(service, check)) {
            problems.add(&at.place, reason, mend);
        }
    }
}

/// Why a check has nothing to connect to, and the mend.
fn unfit(service: Option<&Service>, check: &HealthCheck) -> Option<(String, String)> {
    let check_name = quoted(&check.name);
    let Some(service) = service else {
        let reason = format!("{check_name} goes through the tunnel to a VIP, and no service uses this pool");
        return Some((reason, "name the pool in a service, or use a check that goes `via: direct`".into()));
    };
    let name = quoted(&service.name);
    if service.allow_local {
        let reason = format!(
            "{check_name} goes through the tunnel to a VIP of {name}, whose answers this machine would refuse: with `allowLocal` the VIP may be its own address"
        );
        return Some((reason, "use a check that goes `via: direct`".into()));
    }
    let has_port = service.vips.first().is_some_and(|vip| probed::vip(service, check, *vip).is_some());
    (!has_port).then(|| {
        let reason = format!("{check_name} names no `port`, and {name} has none of TCP that it could take");
        (reason, "give the check the `port` that answers on the VIP".into())
    })
}
