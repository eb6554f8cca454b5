//! May the source use the service? Asked only of services that have an access policy.
//!
//! 1. The longest prefix of the policy that holds the source decides; where none does, the policy's default.
//! 2. Where the policy limits new flows, a packet that begins one takes a token from its source's bucket. Packets of
//!    flows that are there already never ask for it.

use crate::select::MISSING;
use crate::tables::Tables;
use crate::verdict::End;
use lb_common::abi::{AccessFlags, AccessKey, Features, ServiceEntry, ServiceFlags, SourceKey};
use lb_common::flow::Flow;
use lb_common::reason::Reason;

/// Ends what the service does not admit. `begins` says whether the packet begins a flow, and is asked only where
/// that matters.
#[inline(always)]
pub fn admit<T: Tables>(
    flow: &Flow,
    service: &ServiceEntry,
    tables: &T,
    begins: impl FnOnce() -> bool,
) -> Result<(), End> {
    if !tables.features().has(Features::ADMISSION) || !service.flags.has(ServiceFlags::ADMISSION) {
        return Ok(());
    }
    let policy = tables.access_policy(service.access).ok_or(MISSING)?;
    let mut verdict = policy.flags;
    if policy.flags.has(AccessFlags::PREFIXES) {
        let source = AccessKey::of_source(service.access, flow.family, flow.source);
        verdict = tables.access(&source).unwrap_or(verdict);
    }
    if verdict.has(AccessFlags::DENY) {
        return Err(End::drop(Reason::Denied));
    }
    if policy.interval != 0 && begins() {
        let source = SourceKey::new(service.access, flow.family, flow.source);
        if !tables.take(&source, policy.interval) {
            return Err(End::drop(Reason::RateLimited));
        }
    }
    Ok(())
}
