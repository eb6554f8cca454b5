//! Who contends for a pool's rows.

use crate::policy::desired::Member;

/// The members of a node table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Positions in the pool's list of members, in its order.
    pub positions: Vec<usize>,
    /// All members serve: nobody takes new flows and nobody drains, so that all are in, or the pool is in panic.
    pub all_serve: bool,
}

impl Selection {
    /// What those of `members` that are selected count for beside each other, in the selection's order. Where all have equally
    /// many tenths, and where nobody can be spared, that is their weights.
    pub fn weights(&self, members: &[Member]) -> Vec<u32> {
        let chosen = || self.positions.iter().map(|position| &members[*position]);
        let mut tenths = chosen().map(|member| member.tenths);
        let first = tenths.next();
        let whole = self.all_serve || tenths.all(|tenths| Some(tenths) == first);
        let weigh = |member: &Member| u32::from(member.weight) * if whole { 1 } else { member.tenths.into() };
        chosen().map(weigh).collect()
    }
}

/// Those of weight above zero that are up or unknown, and in `panic` those that are down with them; if nobody is up or
/// unknown, those that are draining or ejected; if none, all. Also among all a member of weight 0 owns no row, unless all have weight
/// 0: then each counts as 1.
pub fn select(members: &[Member], panic: bool) -> Selection {
    let pick = |wanted: &dyn Fn(&Member) -> bool| -> Vec<usize> {
        let picked = members.iter().enumerate().filter(|(_, member)| wanted(member));
        picked.map(|(position, _)| position).collect()
    };
    let takes_new = |member: &Member| member.weight > 0 && member.state.takes_new();
    let drains = |member: &Member| member.weight > 0 && member.state.keeps_old();
    let chosen = |positions: Vec<usize>, all_serve| Selection { positions, all_serve };
    match (pick(&takes_new), pick(&drains)) {
        (up, _) if !up.is_empty() && !panic => chosen(up, false),
        (up, _) if !up.is_empty() => chosen(pick(&|member| member.weight > 0 && !drains(member)), true),
        (_, draining) if !draining.is_empty() => chosen(draining, false),
        _ => chosen(pick(&|_| true), !members.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::desired::{MemberState, Reach, WHOLE};

    fn members(states: &[(MemberState, u16)]) -> Vec<Member> {
        let member = |&(state, weight): &(MemberState, u16)| Member {
            address: [192, 0, 2, 1].into(),
            weight,
            server_id: None,
            state,
            reason: String::new(),
            tenths: WHOLE,
            changed_ms: 0,
            reach: Reach::Local,
        };
        states.iter().map(member).collect()
    }

    #[test]
    fn tenths_count_where_they_differ_and_somebody_can_be_spared() {
        use MemberState::{Down, Up};
        let weights = |tenths: [u8; 3], states: [MemberState; 3], panic| {
            let mut all = members(&[(states[0], 5), (states[1], 7), (states[2], 1)]);
            all.iter_mut().zip(tenths).for_each(|(member, tenths)| member.tenths = tenths);
            select(&all, panic).weights(&all)
        };
        assert_eq!(weights([10; 3], [Up; 3], false), [5, 7, 1]);
        assert_eq!(weights([10, 1, 10], [Up; 3], false), [50, 7, 10]);
        assert_eq!(weights([3; 3], [Up; 3], false), [5, 7, 1], "beside each other they are all grown");
        assert_eq!(weights([3, 3, 10], [Up, Up, Down], false), [5, 7]);
        assert_eq!(weights([1, 10, 10], [Up, Down, Down], true), [5, 7, 1]);
    }

    #[test]
    fn in_panic_those_that_are_down_contend_too() {
        use MemberState::{Down, Draining, Up};
        let all = members(&[(Up, 1), (Down, 1), (Draining, 1), (Down, 0)]);
        let chosen = |positions: &[usize], all_serve| Selection { positions: positions.into(), all_serve };
        assert_eq!(select(&all, false), chosen(&[0], false));
        assert_eq!(select(&all, true), chosen(&[0, 1], true));
        // Who drains serves, the dead do not.
        assert_eq!(select(&all[1..], true), chosen(&[1], false));
        assert_eq!(select(&members(&[(Down, 1), (Down, 0)]), true), chosen(&[0, 1], true));
        assert_eq!(select(&[], true), chosen(&[], false));
    }
}
