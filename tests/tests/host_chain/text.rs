//! Configurations at random, as text: all that policy knows, in any combination that may be written.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use lb_tests::fixture::Chance;

/// Clusters there may be.
pub(crate) const CLUSTERS: usize = 4;

/// A configuration file. One in some is refused, for what it combines.
pub(crate) fn configuration(chance: &mut Chance) -> String {
    let clusters = 1 + chance.below(CLUSTERS);
    // Of which cluster each pool is.
    let pools: Vec<_> = (0..=chance.below(6)).map(|_| chance.below(clusters)).collect();
    let policies = chance.below(4);
    // Connections are found by way of nodes over GUE alone.
    let gue = chance.one_in(2);
    let mut text = HEAD.to_owned();
    text.push_str("clusters:\n");
    (0..clusters).for_each(|one| cluster(&mut text, one, gue, chance));
    text.push_str("services:\n");
    let mut rollouts = String::new();
    (0..=chance.below(3)).for_each(|one| {
        let tracking =
            if gue { chance.pick(&["chain", "full"]) } else { chance.pick(&["transition", "full", "none"]) };
        let served = served(&pools, chance);
        service(&mut text, one, tracking, (&served, policies), chance);
        if let [from, to, ..] = &served[..] && chance.one_in(6) {
            let _ = writeln!(
                rollouts,
                "- {{name: r{one}, service: shop/s{one}, from: {from}, to: {to}, steps: [{{setWeight: 100}}]}}"
            );
        }
    });
    if !rollouts.is_empty() {
        text.push_str("rollouts:\n");
        text.push_str(&rollouts);
    }
    text.push_str("pools:\n");
    pools.iter().enumerate().for_each(|(one, cluster)| pool(&mut text, one, *cluster, chance));
    if policies > 0 {
        text.push_str("failoverPolicies:\n");
    }
    (0..policies).for_each(|one| policy(&mut text, one, clusters, chance));
    text
}

const HEAD: &str = "apiVersion: spillway/v1
clusterSet: {id: random, self: c0, secretFile: hash.key}
gateway:
  interfaces: [eth0]
  evidence: {oneIn: 16}
  limits: {services: 64, backends: 256, rows: 256Ki, trackedConnections: 64}
healthChecks:
- {name: check, type: tcp, port: 80}
";

fn cluster(text: &mut String, one: usize, gue: bool, chance: &mut Chance) {
    let state = chance.pick(&["active", "active", "active", "active", "draining", "drained"]);
    let (region, zone) = (chance.below(2), chance.below(3));
    let capacity = 1 + chance.below(100_000);
    let encap = if gue { ", encap: {kind: gue}" } else { "" };
    let _ = writeln!(
        text,
        "- {{name: c{one}, state: {state}, labels: {{region: r{region}, zone: z{zone}}}, \
         capacity: {{newConnPerSec: {capacity}}}{encap}}}"
    );
}

fn service(
    text: &mut String,
    one: usize,
    tracking: &str,
    (served, policies): (&[String], usize),
    chance: &mut Chance,
) {
    let affinity = chance.pick(&["flow", "flow", "client", "client-prefix"]);
    let policy = match policies {
        0 => String::new(),
        _ if chance.one_in(4) => String::new(),
        _ => format!(", failoverPolicy: f{}", chance.below(policies)),
    };
    let (last, of) = (10 + one, served.join(", "));
    let _ = writeln!(
        text,
        "- {{name: shop/s{one}, vips: [198.51.100.{last}, \"2001:db8::{last}\"], ports: [{{port: 443}}], \
         affinity: {affinity}, tracking: {tracking}, pools: [{of}]{policy}}}"
    );
}

/// Names of pools, no two of which are of the same cluster.
fn served(pools: &[usize], chance: &mut Chance) -> Vec<String> {
    let first = chance.below(pools.len());
    let mut clusters = BTreeSet::from([pools[first]]);
    let mut served = vec![format!("p{first}")];
    for (pool, cluster) in pools.iter().enumerate() {
        if !chance.one_in(3) && clusters.insert(*cluster) {
            served.push(format!("p{pool}"));
        }
    }
    served
}

fn pool(text: &mut String, one: usize, cluster: usize, chance: &mut Chance) {
    let weight = chance.pick(&[0, 1, 1, 5, 100, 1000, 65_535]);
    let rows = chance.pick(&[256, 1024, 4096]);
    let algorithm = chance.pick(&["maglev", "hrw"]);
    let endpoints: Vec<_> = (1..=chance.below(7))
        .map(|last| format!("{{address: 10.0.{one}.{last}, weight: {}}}", chance.pick(&[0, 1, 1, 1, 2, 50])))
        .collect();
    let health = if chance.one_in(4) { "" } else { ", health: check" };
    let outlier = if chance.one_in(2) { ", outlier: {}" } else { "" };
    let breaker = if chance.one_in(2) { ", circuitBreaker: {}" } else { "" };
    let slow = if chance.one_in(2) { ", slowStart: 60s" } else { "" };
    let _ = writeln!(
        text,
        "- {{name: p{one}, cluster: c{cluster}, weight: {weight}, rows: {rows}, algorithm: {algorithm}, endpoints: [{}]{health}{outlier}{breaker}{slow}}}",
        endpoints.join(", ")
    );
}

fn policy(text: &mut String, one: usize, clusters: usize, chance: &mut Chance) {
    let order = if chance.one_in(3) {
        "labels: [region, zone]".to_owned()
    } else {
        format!("priorities: [{}]", groups(clusters, chance))
    };
    let factor = chance.pick(&[100, 140, 140, 141, 1000]);
    let panic = chance.pick(&[0, 1, 50, 50, 100]);
    let least = chance.pick(&[0, 0, 0, 1, 2]);
    let failback = chance.pick(&[
        "",
        "",
        ", failback: {}",
        ", failback: {mode: manual}",
        ", failback: {holdDown: 10s, stepPercent: 7}",
    ]);
    let spill = chance.pick(&["", "", ", spill: {mode: both}", ", spill: {mode: capacity, hysteresis: 0.3}"]);
    let resilience =
        chance.pick(&["", ", resilience: {model: N+1}", ", resilience: {model: N+2, onViolation: refuse}"]);
    let _ = writeln!(
        text,
        "- {{name: f{one}, {order}, overprovisioningFactor: {factor}, panicThreshold: {panic}, \
         minHealthyEndpoints: {least}{failback}{spill}{resilience}}}"
    );
}

/// All clusters in groups, one after the other.
fn groups(clusters: usize, chance: &mut Chance) -> String {
    let mut groups = vec![Vec::new()];
    for cluster in 0..clusters {
        if cluster > 0 && chance.one_in(2) {
            groups.push(Vec::new());
        }
        groups.last_mut().into_iter().for_each(|group| group.push(format!("c{cluster}")));
    }
    groups.iter().map(|group| format!("[{}]", group.join(", "))).collect::<Vec<_>>().join(", ")
}
