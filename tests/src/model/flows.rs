//! Clients, and what they would notice.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lb_common::flow::Flow;
use lb_common::net::{Family, NetworkU16};
use lb_ebpf::track::Segment;
use lb_ebpf::wire::protocol;

use super::agent::serves;
use super::plane::Plane;
use super::world::{WINDOW, is_portless, services, vip};
use crate::fixture::chance::Chance;

/// How long the quietest client is silent: a little less than the window.
const SILENCE: u64 = WINDOW - WINDOW / 20;

/// How far a flow has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Nothing was sent, or the last connection is over.
    Idle,
    /// SYNs were sent; these backends have seen one.
    Opening(BTreeSet<u32>),
    /// It is with this backend.
    Established(u32),
}

/// One client's flow, time after time.
#[derive(Debug, Clone)]
pub(super) struct Client {
    flow: Flow,
    state: State,
    last: u64,
    /// A connection of the same ports ended before this one.
    reused: bool,
}

/// A connection that was led to another backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) flow: Flow,
    pub(super) from: u32,
    pub(super) to: Option<u32>,
}

/// The clients of a history.
pub(super) struct Clients {
    all: Vec<Client>,
    /// Backends that are configured no more.
    pub(super) gone: BTreeSet<u32>,
    pub(super) packets: u64,
    pub(super) established: u64,
}

impl Clients {
    pub(super) fn new(count: usize, chance: &mut Chance) -> Self {
        let client = |number: usize| {
            let service = chance.below(services());
            let udp = chance.one_in(4);
            // A few clients with many connections, for affinities to matter.
            let host = u8::try_from(chance.below(24)).unwrap_or(0);
            let port = 1024 + u16::try_from(number).unwrap_or(0);
            let (source, destination): (IpAddr, IpAddr) = ([192, 0, 2, host].into(), vip(service));
            let flow = Flow {
                family: Family::V4,
                source: source.into(),
                destination: destination.into(),
                source_port: NetworkU16::new(port),
                destination_port: NetworkU16::new(443),
                protocol: if udp { protocol::UDP } else { protocol::TCP },
            };
            Client { flow, state: State::Idle, last: 0, reused: false }
        };
        Self { all: (0..count).map(client).collect(), gone: BTreeSet::new(), packets: 0, established: 0 }
    }

    /// So many clients, whoever they are, send what comes next of theirs.
    pub(super) fn some(
        &mut self,
        count: usize,
        plane: &mut impl Plane,
        now: u64,
        chance: &mut Chance,
    ) -> Option<Moved> {
        (0..count).find_map(|_| {
            let number = chance.below(self.all.len());
            self.next(number, plane, now, chance)
        })
    }

    /// Everybody who must not be silent until `then` sends.
    pub(super) fn keep_alive(
        &mut self,
        plane: &mut impl Plane,
        now: u64,
        then: u64,
        chance: &mut Chance,
    ) -> Option<Moved> {
        (0..self.all.len()).find_map(|number| {
            let client = &self.all[number];
            let due = client.state != State::Idle && client.last + SILENCE <= then;
            if due { self.next(number, plane, now, chance) } else { None }
        })
    }

    /// Connections are over whose backend does not serve, or is configured no more and about to go.
    pub(super) fn lose(&mut self, plane: &impl Plane) {
        for client in &mut self.all {
            if let State::Established(owner) = client.state
                && (self.gone.contains(&owner) || !serves(plane, owner))
            {
                client.state = State::Idle;
            }
        }
    }

    fn next(
        &mut self,
        number: usize,
        plane: &mut impl Plane,
        now: u64,
        chance: &mut Chance,
    ) -> Option<Moved> {
        self.packets += 1;
        let client = &mut self.all[number];
        client.last = now;
        let before = client.state.clone();
        let moved = client.next(plane, chance);
        if matches!(client.state, State::Established(owner) if self.gone.contains(&owner)) {
            client.state = State::Idle;
        }
        if before != client.state && matches!(client.state, State::Established(_)) {
            self.established += 1;
        }
        moved
    }
}

impl Client {
    fn next(&mut self, plane: &mut impl Plane, chance: &mut Chance) -> Option<Moved> {
        let udp = self.flow.protocol == protocol::UDP;
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle if udp => {
                self.state = plane.send(&self.flow, Segment::Middle).map_or(State::Idle, State::Established);
            }
            State::Idle => self.open(BTreeSet::new(), plane),
            // The SYN-ACK was lost, or came late.
            State::Opening(seen) if chance.one_in(4) => self.open(seen, plane),
            State::Opening(seen) => {
                let owner = plane.send(&self.flow, Segment::Middle);
                self.state =
                    owner.filter(|owner| seen.contains(owner)).map_or(State::Idle, State::Established);
            }
            State::Established(owner) => return self.go_on(owner, udp, plane, chance),
        }
        None
    }

    fn open(&mut self, mut seen: BTreeSet<u32>, plane: &mut impl Plane) {
        seen.extend(plane.send(&self.flow, Segment::Opening));
        self.state = State::Opening(seen);
    }

    fn go_on(&mut self, owner: u32, udp: bool, plane: &mut impl Plane, chance: &mut Chance) -> Option<Moved> {
        let serves = serves(plane, owner);
        // A router tells of a packet that the backend sent: the backend is to hear it.
        if serves && chance.one_in(12) {
            let told = plane.send(&self.flow, Segment::Related);
            if told != Some(owner) {
                return Some(Moved { flow: self.flow, from: owner, to: told });
            }
        }
        // The end of a datagram has no ports. Its beginning may have gone by another gateway.
        if serves && udp && is_portless(self.flow.destination.into()) && chance.one_in(4) {
            let to = plane.send(&self.flow.three_tuple(), Segment::Middle);
            if to != Some(owner) {
                return Some(Moved { flow: self.flow, from: owner, to });
            }
        }
        // A SYN that was under way for long, or that somebody made up, right behind a packet.
        let stray = !udp && !self.reused && chance.one_in(24);
        let segment = match chance.below(24) {
            0 if !udp => Segment::Closing,
            _ => Segment::Middle,
        };
        let mut to = plane.send(&self.flow, segment);
        if stray && segment == Segment::Middle && to == Some(owner) {
            to = plane.send(&self.flow, Segment::Opening);
        }
        if serves && to != Some(owner) {
            return Some(Moved { flow: self.flow, from: owner, to });
        }
        self.reused |= segment == Segment::Closing;
        let goes_on = serves && segment != Segment::Closing;
        self.state = if goes_on { State::Established(owner) } else { State::Idle };
        None
    }
}
