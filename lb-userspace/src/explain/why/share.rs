//! Why a cluster has its share of a service's new flows.

use lb_ebpf::tables::Tables;

use super::Story;
use super::endpoint::takes_new;
use crate::compile::record::{PoolRecord, ServiceRecord, ShareRecord};
use crate::config::model::ClusterState;
use crate::observe::view::{HeldView, of_pools};
use crate::policy::desired::MemberState;
use crate::policy::rollout::split::Split;
use crate::policy::slices::{ALL, KeptOut};

/// A pool of the service, as it stands.
struct Standing<'a> {
    share: &'a ShareRecord,
    pool: &'a PoolRecord,
    /// Its weight beside the service's other pools; of a service that a rollout divides in hundredths.
    weight: u32,
    /// Its part of the service's new flows by the rows, 0 to 1.
    part: f64,
    /// Endpoints of weight above 0: how many take new flows, and how many there are.
    endpoints: (usize, usize),
    /// Its cluster takes new flows.
    active: bool,
}

impl Standing<'_> {
    /// Whether nothing but those before it keeps it from getting something.
    fn is_spare(&self) -> bool {
        self.holds() && self.share.hold.is_none() && self.pool.kept_out.is_none()
    }

    /// Whether somebody in it takes new flows.
    fn holds(&self) -> bool {
        self.active && self.endpoints.0 > 0
    }
}

/// One line for each pool, those first that have more. None of a packet that another cluster's gateway sent here: it stays in
/// this cluster, whatever the shares are.
pub(super) fn shares<T: Tables>(story: &Story<T>) -> Vec<String> {
    let Some((name, service)) = story.service().filter(|_| !story.query.is_redirected()) else {
        return Vec::new();
    };
    let split = split(name, story);
    let mut all = standings(service, split.as_ref(), story);
    all.sort_by(|one, other| other.part.total_cmp(&one.part));
    all.iter().map(|one| line(one, &all, split.as_ref(), story)).collect()
}

/// The rollout that divides a service's new flows, and how.
type Rolled<'a> = (&'a str, Split<'a>);

fn split<'a, T: Tables>(service: &str, story: &Story<'a, T>) -> Option<Rolled<'a>> {
    let splits = story.known.rollouts?.iter();
    let mut splits = splits.filter_map(|(name, progress)| Some((name.as_str(), progress.split()?)));
    splits.find(|(_, split)| split.service == service)
}

fn standings<'a, T: Tables>(
    service: &'a ServiceRecord,
    split: Option<&Rolled>,
    story: &Story<'a, T>,
) -> Vec<Standing<'a>> {
    let record = story.known.record;
    let parts = of_pools(service, story.tables);
    let known = || service.pools.iter().filter_map(|share| Some((share, record.pools.get(&share.name)?)));
    let configured = known().map(|(share, pool)| (share.name.as_str(), u32::from(pool.weight)));
    let weights = match split {
        Some((_, split)) => split.weigh(configured),
        None => configured.map(|(_, weight)| weight).collect(),
    };
    let standing = |((share, pool), weight): ((&'a ShareRecord, &'a PoolRecord), u32)| {
        let counted = || pool.backends.values().filter(|one| one.gone.is_none() && one.weight > 0);
        let up = counted().filter(|one| takes_new(one, story.tables.backend(one.index.into()))).count();
        let state = record.clusters.get(&share.cluster).map(|cluster| cluster.state);
        Standing {
            share,
            pool,
            weight,
            part: parts.get(&u32::from(pool.index)).copied().unwrap_or(0.0),
            endpoints: (up, counted().count()),
            active: state == Some(ClusterState::Active),
        }
    };
    known().zip(weights).map(standing).collect()
}

fn line<T: Tables>(one: &Standing, all: &[Standing], split: Option<&Rolled>, story: &Story<T>) -> String {
    let ShareRecord { name, cluster, .. } = one.share;
    let clauses = [
        taken_out(one, story),
        Some(
            split
                .and_then(|split| rolled(name, split))
                .unwrap_or_else(|| format!("weight {}", one.pool.weight)),
        ),
        priority(one, all),
        Some(endpoints(one)),
        one.share.panic.then(|| "in panic: too few are up, so that health counts for nothing".to_owned()),
        held(one, story.known.now),
        one.share.ceiling.map(|ceiling| format!("full: its priority is to get {ceiling}%, the rest goes on")),
        one.pool.kept_out.as_ref().map(|slice| kept_out(slice, one.part)),
        exception(one, all),
    ];
    let clauses: Vec<_> = clauses.into_iter().flatten().collect();
    format!("{cluster} has {} (pool {name}): {}", percent(one.part), clauses.join("; "))
}

/// 0 to 1 as people write it.
pub(super) fn percent(part: f64) -> String {
    format!("{:.1}%", part * 100.0)
}

fn taken_out<T: Tables>(one: &Standing, story: &Story<T>) -> Option<String> {
    let told = story.known.drained.is_some_and(|drained| drained.clusters.contains(&one.share.cluster));
    let who = if told { "an operator" } else { "the configuration" };
    (!one.active).then(|| format!("{who} drains the cluster"))
}

/// What a rollout gives to one of its pools instead of the weight.
fn rolled(pool: &str, (rollout, split): &Rolled) -> Option<String> {
    let Split { from, to, .. } = split;
    let percent = split.percent_of(pool)?;
    Some(format!("rollout {rollout} gives it {percent}% of what {from} and {to} have together"))
}

fn priority(one: &Standing, all: &[Standing]) -> Option<String> {
    let priority = one.share.priority?;
    let alike = all.iter().filter(|other| other.share.priority == Some(priority));
    Some(format!("priority {priority}, which has {}", percent(alike.map(|one| one.part).sum())))
}

/// `2 of 4 endpoints take new flows (1 down, 1 draining), health 70%`.
fn endpoints(one: &Standing) -> String {
    let (up, total) = one.endpoints;
    let count = |state| {
        let like = |backend: &&crate::compile::record::BackendRecord| {
            backend.gone.is_none() && backend.weight > 0 && backend.state == state
        };
        one.pool.backends.values().filter(like).count()
    };
    let others =
        [(MemberState::Down, "down"), (MemberState::Draining, "draining"), (MemberState::Ejected, "ejected")]
            .map(|(state, word)| (count(state), word));
    let others = others.iter().filter(|(number, _)| *number > 0);
    let others: Vec<_> = others.map(|(number, word)| format!("{number} {word}")).collect();
    let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
    let health = one.share.health.map_or_else(String::new, |health| format!(", health {health}%"));
    format!("{up} of {total} endpoints take new flows{others}{health}")
}

fn held(one: &Standing, now: u64) -> Option<String> {
    let HeldView { health, perceived, next_step } = HeldView::of(one.share.hold?, now);
    let until = next_step.map_or_else(
        || "until an operator says so".to_owned(),
        |left| format!("and the next step is due in {left} s"),
    );
    Some(format!("held back: {perceived}% of the {health}% are taken in, {until}"))
}

fn kept_out(slice: &KeptOut, part: f64) -> String {
    let alone =
        if slice.percent == ALL && part > 0.0 { ", but nobody else could take its flows" } else { "" };
    format!("kept out of {}% of the hash space{alone}: {}", slice.percent, slice.reason)
}

/// What is not as weight and health alone would have it.
fn exception(one: &Standing, all: &[Standing]) -> Option<String> {
    let nobody = !all.iter().any(|other| other.holds() && other.weight > 0);
    let (gets, weighty) = (one.part > 0.0, one.weight > 0);
    let says = match one.share.priority {
        _ if gets && !one.holds() && nobody => "nobody is up anywhere, so that those that are not are used",
        None if !gets && weighty && one.active && !one.holds() => {
            "nothing while nobody in it takes new flows"
        }
        Some(_) if !gets && weighty && one.is_spare() => "it stands by: those before it take everything",
        _ => return None,
    };
    Some(says.to_owned())
}
