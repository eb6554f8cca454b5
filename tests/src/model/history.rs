//! One history from its seed.

use lb_common::abi::map;

use super::agent::Agent;
use super::flows::{Clients, Moved};
use super::plane::Plane;
use super::world::{Change, WINDOW, World};
use crate::fixture::chance::Chance;

/// Clients of a history, and events.
const CLIENTS: usize = 40;
const EVENTS: usize = 14;

/// Rules that the agent may break, to see that somebody notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Sweeps say that no row is needed.
    pub blind_sweeps: bool,
    /// Windows last half as long as the clients were told.
    pub half_windows: bool,
}

/// A connection that was led away from a backend that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// The history.
    pub seed: u64,
    /// The event during which it happened, from 0.
    pub event: usize,
    /// Whose, from where to where.
    pub what: String,
}

/// What a history came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Packets that were sent.
    pub packets: u64,
    /// Connections that were established.
    pub established: u64,
    /// The first connection that was broken, if one was.
    pub broken: Option<Break>,
}

/// Plays the history of a seed over maps that hold nothing yet.
pub fn run<P: Plane>(seed: u64, rules: Rules, plane: &mut P) -> Outcome {
    let mut chance = Chance::new(seed);
    let world = World::new(&mut chance);
    let clients = Clients::new(CLIENTS, &mut chance);
    let mut play = Play { now: WINDOW, world, clients, agent: Agent::new(rules), chance };
    let broken = (0..EVENTS).find_map(|event| Some((event, play.event(event, plane)?)));
    let broken = broken.map(|(event, moved)| Break { seed, event, what: format!("{moved:?}") });
    Outcome { packets: play.clients.packets, established: play.clients.established, broken }
}

struct Play {
    now: u64,
    world: World,
    clients: Clients,
    agent: Agent,
    chance: Chance,
}

impl Play {
    fn event<P: Plane>(&mut self, number: usize, plane: &mut P) -> Option<Moved> {
        plane.clock(self.now);
        let changes = if number == 0 { 0 } else { self.chance.below(4) };
        let happened: Vec<_> = (0..changes).map(|_| self.world.change(&mut self.chance)).collect();
        for change in happened {
            if let Change::Failed((pool, address)) = change {
                self.agent.mark(&pool, address, plane);
            }
        }
        self.clients.gone = self.agent.gone(&self.world);
        self.clients.lose(plane);
        self.packets(4, plane).or_else(|| self.follow(plane)).or_else(|| self.rest(plane))
    }

    /// The agent follows; packets come between its stores.
    fn follow<P: Plane>(&mut self, plane: &mut P) -> Option<Moved> {
        let mut moved = None;
        let Self { now, world, clients, agent, chance } = self;
        let dies = chance.one_in(6);
        agent.follow(world, plane, *now, &mut |plane: &mut P, map: &str| {
            if map == map::BACKENDS {
                clients.lose(plane);
            }
            let count = chance.below(3);
            moved = moved.take().or_else(|| clients.some(count, plane, *now, chance));
            !(dies && chance.one_in(12))
        });
        moved
    }

    /// Time passes: packets, sweeps, restarts.
    fn rest<P: Plane>(&mut self, plane: &mut P) -> Option<Moved> {
        for _ in 0..self.chance.below(4) {
            match self.chance.below(6) {
                0 => self.agent.restart(plane, self.now),
                1 | 2 => self.agent.begin_sweep(plane, self.now),
                3 => self.agent.end_sweep(),
                _ => {}
            }
            let moved = self.packets(12, plane).or_else(|| self.pass(plane)).or_else(|| self.follow(plane));
            if moved.is_some() {
                return moved;
            }
        }
        None
    }

    fn pass(&mut self, plane: &mut impl Plane) -> Option<Moved> {
        let then = self.now + [100, WINDOW / 10, WINDOW / 2, WINDOW - WINDOW / 10][self.chance.below(4)];
        let moved = self.clients.keep_alive(plane, self.now, then, &mut self.chance);
        self.now = then;
        plane.clock(then);
        moved
    }

    fn packets(&mut self, most: usize, plane: &mut impl Plane) -> Option<Moved> {
        let count = self.chance.below(most);
        self.clients.some(count, plane, self.now, &mut self.chance)
    }
}
