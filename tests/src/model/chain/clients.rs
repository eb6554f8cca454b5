//! Clients, and what they would notice.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lb_common::flow::Flow;
use lb_common::net::{Family, NetworkU16};
use lb_ebpf::track::Segment;
use lb_ebpf::wire::protocol;

use super::frames::{LINK, frame};
use super::gateway::View;
use super::judge::Mark;
use super::network::Network;
use super::{Counts, Rows};
use crate::fixture::chance::Chance;
use crate::model::world::{CHAINED, has_one_pool, vip};

/// How far a flow has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Nothing was sent, or the last connection is over.
    Idle,
    /// SYNs were sent; these nodes have seen one.
    Opening(BTreeSet<IpAddr>),
    /// It is with this node, since when its rows had changed so often: none, if they were not that node's.
    Established(IpAddr, Option<Mark>),
}

/// One client's flow, time after time.
#[derive(Debug, Clone)]
pub(super) struct Client {
    number: usize,
    pub(super) service: usize,
    pub(super) flow: Flow,
    state: State,
}

/// What a packet meets.
pub(super) struct Surroundings<'a> {
    /// The gateways that are alive, and the one that this flow's packets come to.
    pub(super) views: [Option<View<'a>>; 2],
    pub(super) network: &'a mut Network,
    /// Nodes that are in the file.
    pub(super) configured: &'a BTreeSet<IpAddr>,
    pub(super) counts: &'a mut Counts,
    /// Whether nodes are of both families.
    pub(super) wide: bool,
}

/// The clients of a history.
pub(super) fn clients(count: usize, chance: &mut Chance) -> Vec<Client> {
    (0..count).map(|number| client(number, chance)).collect()
}

fn client(number: usize, chance: &mut Chance) -> Client {
    let service = chance.below(CHAINED);
    let protocol = if chance.one_in(4) { protocol::UDP } else { protocol::TCP };
    let source = IpAddr::from([192, 0, 2, u8::try_from(chance.below(24)).unwrap_or(0)]);
    let flow = Flow {
        family: Family::V4,
        source: source.into(),
        destination: vip(service).into(),
        source_port: NetworkU16::new(1024 + u16::try_from(number).unwrap_or(0)),
        destination_port: NetworkU16::new(443),
        protocol,
    };
    Client { number, service, flow, state: State::Idle }
}

impl<'a> Surroundings<'a> {
    /// The gateway that the network gives a flow to: each has half of them, or one all.
    fn view(&self, client: usize) -> Option<View<'a>> {
        let [first, second] = self.views;
        if client.is_multiple_of(2) { first.or(second) } else { second.or(first) }
    }
}

impl Client {
    /// Its connection is over without a word: the node died, or is no more.
    pub(super) fn lose(&mut self, node: IpAddr, network: &mut Network) {
        match &mut self.state {
            State::Established(owner, _) if *owner == node => self.give_up(network),
            State::Opening(seen) => _ = seen.remove(&node),
            State::Idle | State::Established(..) => {}
        }
    }

    /// The nodes' sockets of it go, too: by a reset, or in time.
    fn give_up(&mut self, network: &mut Network) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Established(owner, _) => network.node(owner).close(&self.flow),
            State::Opening(seen) => seen.iter().for_each(|node| network.node(*node).close(&self.flow)),
            State::Idle => {}
        }
    }

    /// Sends what comes next. `Err`: what must not have happened.
    pub(super) fn next(&mut self, around: &mut Surroundings, chance: &mut Chance) -> Result<(), String> {
        let udp = self.flow.protocol == protocol::UDP;
        match self.state.clone() {
            State::Idle if udp => {
                let taken = self.send(Segment::Middle, around)?;
                self.establish(taken, around);
            }
            State::Idle => self.open(BTreeSet::new(), around)?,
            // The SYN-ACK was lost, or came late.
            State::Opening(seen) if chance.one_in(4) => self.open(seen, around)?,
            State::Opening(seen) => {
                let taken = self.send(Segment::Middle, around)?;
                self.give_up(around.network);
                if let Some(node) = taken.filter(|node| seen.contains(node)) {
                    around.network.node(node).open(&self.flow);
                    self.establish(Some(node), around);
                }
            }
            State::Established(owner, mark) => return self.go_on(owner, mark, around, chance),
        }
        Ok(())
    }

    fn open(&mut self, mut seen: BTreeSet<IpAddr>, around: &mut Surroundings) -> Result<(), String> {
        if let Some(node) = self.send(Segment::Opening, around)? {
            around.network.node(node).open(&self.flow);
            seen.insert(node);
        }
        self.state = State::Opening(seen);
        Ok(())
    }

    fn establish(&mut self, node: Option<IpAddr>, around: &mut Surroundings) {
        let Some(node) = node else { return };
        around.counts.established += 1;
        let marks = around.views.iter().flatten().map(|view| view.pasts[self.number].mark(node));
        // Gateways of which one is a step ahead do not agree; that flow is judged by who is asked alone.
        let marks: Vec<_> = marks.collect();
        let agreed = marks.windows(2).all(|pair| pair[0] == pair[1]);
        self.state = State::Established(node, marks[0].filter(|_| agreed));
    }

    fn go_on(
        &mut self,
        owner: IpAddr,
        mark: Option<Mark>,
        around: &mut Surroundings,
        chance: &mut Chance,
    ) -> Result<(), String> {
        let segment = match chance.below(24) {
            0 => Segment::Closing,
            1 | 2 => Segment::Related,
            _ => Segment::Middle,
        };
        let promised = self.promised(owner, mark, around)?;
        let taken = self.send(segment, around)?;
        if promised && taken != Some(owner) {
            let past = around.view(self.number).map(|view| &view.pasts[self.number]);
            return Err(format!("{segment:?} of {:?} from {owner} to {taken:?}: {past:?}", self.flow));
        }
        if taken != Some(owner) || segment == Segment::Closing {
            around.counts.led_away += u64::from(taken != Some(owner));
            self.give_up(around.network);
        }
        Ok(())
    }

    /// Whether the next packet of a connection must come to its node.
    fn promised(&self, owner: IpAddr, mark: Option<Mark>, around: &mut Surroundings) -> Result<bool, String> {
        let Some(view) = around.view(self.number).filter(|view| view.serves(owner)) else { return Ok(false) };
        let past = &view.pasts[self.number];
        // Whoever takes new flows is marked, and the new table is not there: the packet is to be sent again.
        if past.target(view).is_none() {
            return Ok(false);
        }
        let mut known = past.clone();
        known.forget(around.configured);
        let is_asked = |past: &super::judge::Past| {
            let target = past.target(view)?;
            let asked = if target == owner { Vec::new() } else { past.asked(view, target) };
            // Who took it once, and could not be asked for a time, has it again.
            let mut before = std::iter::once(target).chain(asked.clone()).take_while(|node| *node != owner);
            let stale = before.any(|node| around.network.claims(node, &self.flow));
            Some((target == owner || asked.contains(&owner)) && !stale)
        };
        // While an agent is at work, those who go may be in the maps, or not.
        let [all, left] = [past, &known].map(|past| is_asked(past) == Some(true));
        let moved = past.target(view) != Some(owner);
        if !all && self.is_sure(owner, mark, view, around) {
            let told = format!("{:?} was with {owner}, and that is not asked: {past:?}", self.flow);
            return Err(told);
        }
        let rows = match (moved, all && left) {
            (false, _) => Rows::Same,
            (true, true) => Rows::Asked,
            (true, false) => Rows::Forgotten,
        };
        around.counts.count(rows, mark.map(|mark| past.since(mark)));
        Ok(all && left)
    }

    /// Whether it may be told without a look at who is asked: one pool and two changes since, one change of each of its two
    /// rows, or two of all that were ever.
    fn is_sure(&self, owner: IpAddr, mark: Option<Mark>, view: View, around: &Surroundings) -> bool {
        let past = &view.pasts[self.number];
        let Some([cluster, node]) = mark.map(|mark| past.since(mark)) else { return false };
        let steady = !around.wide && around.configured.contains(&owner);
        let few = if has_one_pool(self.service) { node <= 2 } else { cluster <= 1 && node <= 1 };
        let stale = around.network.others_claim(owner, &self.flow);
        steady && !stale && (few || past.changes() <= 2)
    }

    /// Who takes the packet; what holds of every packet is looked at.
    fn send(&self, segment: Segment, around: &mut Surroundings) -> Result<Option<IpAddr>, String> {
        around.counts.packets += 1;
        let Some(view) = around.view(self.number) else { return Ok(None) };
        let frame = frame(&self.flow, segment);
        let target = view.pasts[self.number].target(view);
        let Some(sent) = view.send(&frame) else {
            return if target.is_none() { Ok(None) } else { Err(format!("{target:?} got nothing")) };
        };
        let way = around.network.carry(sent);
        let told = || format!("{segment:?} of {:?}, to be sent to {target:?}: {:?}", self.flow, way.nodes);
        let taken = way.taken.as_ref().is_some_and(|taken| taken[LINK..] == frame[LINK..]);
        if !taken || way.nodes.first() != target.as_ref() || way.nodes.len() > 5 {
            return Err(told());
        }
        if segment == Segment::Opening && way.nodes.len() > 1 {
            return Err(told());
        }
        around.counts.longest = around.counts.longest.max(way.nodes.len());
        Ok(way.nodes.last().copied())
    }
}
