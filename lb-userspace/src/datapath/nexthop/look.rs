//! One look at the way to some addresses, for a command: nothing is watched, nothing provoked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use netlink_packet_route::neighbour::{NeighbourMessage, NeighbourState};

use super::decide::{Answer, decide};
use super::decode;
use super::netlink::{LookError, Netlink};
use super::view::{NeighbourKey, View};
use super::{Resolution, Unresolved};

/// What one look says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Where packets to it leave.
    pub resolution: Resolution,
    /// What the kernel holds of a neighbour that has no MAC.
    pub silence: Silence,
}

/// Why a neighbour has no MAC, as far as the kernel knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Silence {
    /// Nobody has asked for it lately, or it has one.
    #[default]
    NotAsked,
    /// It is being asked for.
    Asking,
    /// It was asked and did not answer.
    Failed,
}

/// The ways to `targets`, from the network namespace of the calling thread, as the kernel has them now. A neighbour
/// that nobody asked for is not asked for.
///
/// # Errors
/// Outside a tokio runtime, or when the kernel does not answer.
pub async fn look(targets: &BTreeSet<IpAddr>) -> Result<BTreeMap<IpAddr, Way>, LookError> {
    let netlink = Netlink::open()?;
    let (view, neighbours) = netlink.dump_all().await?;
    let silent: BTreeMap<_, _> = neighbours.iter().filter_map(silence).collect();
    let mut ways = BTreeMap::new();
    for target in targets {
        let answer = netlink.route(*target).await?;
        ways.insert(*target, way(&view, &silent, *target, &answer));
    }
    Ok(ways)
}

fn way(view: &View, silent: &BTreeMap<NeighbourKey, Silence>, target: IpAddr, answer: &Answer) -> Way {
    let decision = decide(view, target, answer);
    let missing = matches!(decision.resolution, Resolution::Unresolved(Unresolved::NoNeighbour { .. }));
    let wanted = decision.wants.filter(|_| missing).map(|want| want.neighbour);
    let silence = wanted.and_then(|neighbour| silent.get(&neighbour)).copied().unwrap_or_default();
    Way { resolution: decision.resolution, silence }
}

fn silence(message: &NeighbourMessage) -> Option<(NeighbourKey, Silence)> {
    let (key, _) = decode::neighbour(message)?;
    match message.header.state {
        NeighbourState::Failed => Some((key, Silence::Failed)),
        NeighbourState::Incomplete => Some((key, Silence::Asking)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::decide::Route;
    use super::super::view::Link;
    use super::*;

    #[test]
    fn a_silent_neighbour_is_told_with_its_silence() {
        let mac = Some([2, 0, 0, 0, 0, 1]);
        let link = Link { index: 2, name: "eth0".into(), running: true, mtu: 1500, mac, vlan: None };
        let view = View::from_dumps([link], []);
        let target: IpAddr = [192, 0, 2, 9].into();
        let key = NeighbourKey { link: 2, address: target };
        let route = Route { link: 2, gateway: None, source: Some(target), mtu: None, encapsulating: false };
        let look = |silent: &[(NeighbourKey, Silence)]| {
            way(&view, &silent.iter().copied().collect(), target, &Answer::Unicast(route.clone())).silence
        };
        assert_eq!(look(&[]), Silence::NotAsked);
        assert_eq!(look(&[(key, Silence::Failed)]), Silence::Failed);
        let none = way(&view, &BTreeMap::from([(key, Silence::Failed)]), target, &Answer::NoRoute);
        assert_eq!(none.silence, Silence::NotAsked);
    }
}
