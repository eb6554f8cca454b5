//! One history from its seed.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lb_userspace::reconcile::MemoryMaps;

use super::clients::{Client, Surroundings, clients};
use super::gateway::{Fault, Gateway, View, look, sabotage};
use super::judge::Past;
use super::network::Network;
use super::{Counts, Outcome};
use crate::fixture::chance::Chance;
use crate::model::history::Break;
use crate::model::world::{Change, WINDOW, World};

/// Clients of a history, and events.
const CLIENTS: usize = 40;
const EVENTS: usize = 14;

/// Plays the history of a seed.
pub fn run(seed: u64, fault: Fault) -> Outcome {
    let mut chance = Chance::new(seed);
    let world = World::chained(&mut chance);
    let clients = clients(CLIENTS, &mut chance);
    let network = Network::new(fault == Fault::Deaf);
    let gateways = [(); 2].map(|()| Gateway::new(vec![Past::default(); CLIENTS], &world));
    let people = People { clients, network, configured: BTreeSet::new(), counts: Counts::default() };
    let lost_at = chance.below(EVENTS + EVENTS / 2);
    let mut play = Play { now: WINDOW, world, people, gateways, chance, fault, lost_at };
    for Gateway { maps, pasts, .. } in &mut play.gateways {
        observe(maps, pasts, &play.people.clients);
    }
    let broken = (0..EVENTS).find_map(|event| Some((event, play.event(event).err()?)));
    let broken = broken.map(|(event, what)| Break { seed, event, what });
    Outcome { counts: play.people.counts, broken }
}

/// Who is no gateway.
struct People {
    clients: Vec<Client>,
    network: Network,
    configured: BTreeSet<IpAddr>,
    counts: Counts,
}

struct Play {
    now: u64,
    world: World,
    people: People,
    gateways: [Gateway; 2],
    chance: Chance,
    fault: Fault,
    /// The event at which a gateway is lost.
    lost_at: usize,
}

impl Play {
    fn event(&mut self, number: usize) -> Result<(), String> {
        let changes = if number == 0 { 0 } else { self.chance.below(3) };
        for _ in 0..changes {
            let change = self.world.change(&mut self.chance);
            if let Change::Failed((pool, address)) = change {
                self.people.bury(address);
                let alive = self.gateways.iter_mut().filter(|gateway| gateway.alive);
                alive.for_each(|gateway| gateway.agent.mark(&pool, address, &mut gateway.maps));
            }
        }
        self.people.configure(&self.world);
        self.packets(8)?;
        // The gateway is lost before the agents follow, or between one and the other.
        let lost = (number == self.lost_at).then(|| (self.chance.below(2), self.chance.below(2)));
        let order = if self.chance.one_in(2) { [0, 1] } else { [1, 0] };
        for (step, gateway) in order.into_iter().enumerate() {
            if let Some((which, _)) = lost.filter(|(_, when)| *when == step) {
                self.lose(which);
            }
            self.follow(gateway)?;
        }
        self.converged()?;
        self.rest()
    }

    fn lose(&mut self, which: usize) {
        self.gateways[which].alive = false;
        if self.fault == Fault::Fresh {
            self.gateways[1 - which].begin_anew(&self.world);
        }
    }

    /// A gateway's agent follows; packets come between its stores.
    fn follow(&mut self, which: usize) -> Result<(), String> {
        if !self.gateways[which].alive {
            return Ok(());
        }
        let dies = self.chance.one_in(6);
        // Who takes over goes on at once.
        if self.follow_once(which, dies)? { Ok(()) } else { self.follow_once(which, false).map(|_| ()) }
    }

    fn follow_once(&mut self, which: usize, dies: bool) -> Result<bool, String> {
        let Self { now, world, people, gateways, chance, fault, .. } = self;
        let [first, second] = gateways;
        let (own, other) = if which == 0 { (first, second) } else { (second, first) };
        let Gateway { agent, maps, pasts, .. } = own;
        let other = other.alive.then(|| other.view());
        let mut went = Ok(());
        let whole = agent.follow(world, maps, *now, &mut |maps: &mut MemoryMaps, _: &str| {
            sabotage(maps, *fault);
            observe(maps, pasts, &people.clients);
            let view = Some(View { maps, pasts });
            let views = if which == 0 { [view, other] } else { [other, view] };
            let count = chance.below(3);
            if went.is_ok() {
                went = people.packets(count, views, world, chance);
            }
            !(dies && chance.one_in(12))
        });
        went?;
        sabotage(maps, *fault);
        observe(maps, pasts, &people.clients);
        if whole {
            pasts.iter_mut().for_each(|past| past.forget(&people.configured));
        }
        Ok(whole)
    }

    /// What the gateways have seen is the same.
    fn converged(&self) -> Result<(), String> {
        let [first, second] = &self.gateways;
        if !first.alive || !second.alive || first.pasts == second.pasts {
            return Ok(());
        }
        Err("gateways that have seen the same have other rows".into())
    }

    /// Time passes: packets, sweeps, restarts.
    fn rest(&mut self) -> Result<(), String> {
        for _ in 0..self.chance.below(4) {
            self.packets(24)?;
            self.now += [100, WINDOW / 2, WINDOW][self.chance.below(3)];
            for which in 0..2 {
                let Gateway { agent, maps, alive: true, .. } = &mut self.gateways[which] else { continue };
                match self.chance.below(6) {
                    0 => agent.restart(maps, self.now),
                    1 => agent.begin_sweep(maps, self.now),
                    2 => agent.end_sweep(),
                    _ => {}
                }
                self.follow(which)?;
            }
        }
        Ok(())
    }

    fn packets(&mut self, most: usize) -> Result<(), String> {
        let views = self.gateways.each_ref().map(|gateway| gateway.alive.then(|| gateway.view()));
        let count = self.chance.below(most);
        self.people.packets(count, views, &self.world, &mut self.chance)
    }
}

impl People {
    /// A node dies, and what it had with it.
    fn bury(&mut self, node: IpAddr) {
        self.network.die(node);
        self.clients.iter_mut().for_each(|client| client.lose(node, &mut self.network));
    }

    /// Who is in the file; the connections of others are over.
    fn configure(&mut self, world: &World) {
        let endpoints = world.config.pools.iter().flat_map(|pool| &pool.endpoints);
        let now: BTreeSet<_> = endpoints.map(|endpoint| endpoint.address).collect();
        let gone: Vec<_> = self.configured.difference(&now).copied().collect();
        gone.into_iter().for_each(|node| self.bury(node));
        self.configured = now;
    }

    /// So many clients, whoever they are, send what comes next of theirs.
    fn packets(
        &mut self,
        count: usize,
        views: [Option<View>; 2],
        world: &World,
        chance: &mut Chance,
    ) -> Result<(), String> {
        let Self { clients, network, configured, counts } = self;
        let mut around = Surroundings { views, network, configured, counts, wide: world.is_wide() };
        (0..count).try_for_each(|_| {
            let number = chance.below(clients.len());
            clients[number].next(&mut around, chance)
        })
    }
}

/// The onlooker sees who owns the rows of each client's flow.
fn observe(maps: &MemoryMaps, pasts: &mut [Past], clients: &[Client]) {
    for (past, client) in pasts.iter_mut().zip(clients) {
        // Services have their indices in the file's order.
        if let Some(seen) = look(maps, &client.flow, client.service) {
            past.note(&seen);
        }
    }
}
