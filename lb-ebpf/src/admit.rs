//! May the source use the service? Asked only of services that have an access policy.
//!
//! 1. The longest prefix of the policy that holds the source decides; where none does, the policy's default.
//! 2. Where the policy limits new flows, a packet that begins one takes a token from its source's bucket. Packets of
//!    flows that are there already never ask for it, nor do those that another cluster's gateway has let begin.

use crate::select::MISSING;
use crate::tables::Tables;
use crate::verdict::End;
use lb_common::abi::{AccessFlags, AccessKey, Features, Redirected, ServiceEntry, ServiceFlags, SourceKey};
use lb_common::flow::Flow;
use lb_common::net::{Address, Family};
use lb_common::reason::Reason;

/// Ends what the service does not admit. `begins` says whether the packet begins a flow, and is asked only where
/// that matters.
#[inline(always)]
pub fn admit<T: Tables>(
    flow: &Flow,
    service: &ServiceEntry,
    redirected: Redirected,
    tables: &T,
    begins: impl FnOnce() -> bool,
) -> Result<(), End> {
    if !tables.features().has(Features::ADMISSION) || !service.flags.has(ServiceFlags::ADMISSION) {
        return Ok(());
    }
    let ([high, low], family, policy) = (flow.source.words(), flow.family, service.access);
    // No policy has that index, and none limits anything.
    let limit = policy | redirected.word();
    match end(high, low, family, policy, tables) {
        ADMITTED if begins() && !may_begin(high, low, family, limit, tables) => {
            Err(End::drop(Reason::RateLimited))
        }
        ADMITTED => Ok(()),
        end => Err(End::of_word(end)),
    }
}

/// No end's word.
const ADMITTED: u32 = u32::MAX;

/// The word of the end of a packet whose source (its two words) is not admitted. Functions of their own in the kernel
/// program, too, and called with numbers: keys of maps lie on the stack, where the caller has no room for them.
#[inline(never)]
fn end<T: Tables>(high: u64, low: u64, family: Family, index: u32, tables: &T) -> u32 {
    let Some(policy) = tables.access_policy(index) else { return MISSING.word() };
    let mut verdict = policy.flags;
    if policy.flags.has(AccessFlags::PREFIXES) {
        let source = AccessKey::of_source(index, family, Address::from_v6_words([high, low]));
        verdict = tables.access(&source).unwrap_or(verdict);
    }
    if verdict.has(AccessFlags::DENY) { End::drop(Reason::Denied).word() } else { ADMITTED }
}

/// Takes a token of the source's, if the policy limits new flows.
#[inline(never)]
fn may_begin<T: Tables>(high: u64, low: u64, family: Family, index: u32, tables: &T) -> bool {
    let interval = tables.access_policy(index).map_or(0, |policy| policy.interval);
    let source = SourceKey::new(index, family, Address::from_v6_words([high, low]));
    interval == 0 || tables.take(&source, interval)
}
