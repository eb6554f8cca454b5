//! Who contends for a pool's rows.

use crate::policy::desired::{Member, MemberState};

/// The members of a node table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Positions in the pool's list of members, in its order.
    pub positions: Vec<usize>,
    /// Nobody takes new flows and nobody drains: all members are in, and all serve.
    pub failed_open: bool,
}

/// Those of weight above zero that are up or unknown; if there are none, those that are draining; if none,
/// all. Also among all a member of weight 0 owns no row, unless all have weight 0: then each counts as 1.
pub fn select(members: &[Member]) -> Selection {
    let pick = |wanted: fn(&Member) -> bool| -> Vec<usize> {
        members
            .iter()
            .enumerate()
            .filter(|(_, member)| wanted(member))
            .map(|(position, _)| position)
            .collect()
    };
    let mut positions = pick(|member| member.weight > 0 && member.state.takes_new());
    if positions.is_empty() {
        positions = pick(|member| member.weight > 0 && member.state == MemberState::Draining);
    }
    let failed_open = positions.is_empty() && !members.is_empty();
    if failed_open {
        positions = pick(|_| true);
    }
    Selection { positions, failed_open }
}
