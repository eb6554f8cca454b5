//! Who contends for the rows of a node table, whatever the algorithm.

use lb_common::net::Address;

/// One contender for rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The endpoint's address.
    pub address: Address,
    /// Tunnel port in host order; 0 for IPIP.
    pub port: u16,
    /// Share, below 2³¹; 0 takes no rows, unless all members have 0: then all count as 1.
    pub weight: u32,
}

impl Member {
    /// What it is sorted by and hashed with: its address as sixteen bytes, then its port in network order.
    pub fn identity(&self) -> [u8; 18] {
        let mut bytes = [0; 18];
        bytes[..16].copy_from_slice(&self.address.bytes());
        bytes[16..].copy_from_slice(&self.port.to_be_bytes());
        bytes
    }
}

/// The members that take rows, with the weights that count, in order of their identities; each with its position
/// in `members`. At most 65,536.
pub(super) fn contenders(members: &[Member]) -> Vec<(u16, Member)> {
    let weightless = members.iter().all(|member| member.weight == 0);
    let counted = |member: &Member| Member { weight: if weightless { 1 } else { member.weight }, ..*member };
    let mut contenders: Vec<_> =
        (0..).zip(members).map(|(position, member)| (position, counted(member))).collect();
    contenders.retain(|(_, member)| member.weight > 0);
    contenders.sort_by_key(|(_, member)| member.identity());
    contenders
}
