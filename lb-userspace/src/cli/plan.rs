use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::look::Look;
use super::output::{Column, Output, Sheet, or_dash, percent};
use super::{DEFAULT_PINS, Failure, Pinned};
use crate::config;
use crate::config::model::Config;
use crate::config::unknown;
use crate::datapath::clock::monotonic;
use crate::plan::answer::{ClusterPlan, PoolPlan, Presence, ServicePlan, Verdict, Violation};
use crate::plan::change::Setting;
use crate::plan::{Change, Plan, World, plan};
use crate::policy::resilience::Demand;
use crate::policy::subject::Subject;

/// `spillway plan`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The configuration that is changed. Every backend of it is taken to be up and reachable, and no kernel, agent or privilege
    /// is needed, but with `--live`.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Begin with how things stand at this gateway, which runs the configuration: what is down, drained, ejected or kept out, how
    /// far rollouts are, what is held back.
    #[arg(long)]
    live: bool,
    /// Directory on a BPF file system below which the maps are pinned.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_PINS, requires = "live")]
    pin_path: PathBuf,
    /// The configuration that takes its place. The other changes are made to this one.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// A cluster or a backend dies. Health checks find it so; without one nobody does.
    #[arg(long, value_name = "CLUSTER|POOL/ADDRESS", value_parser = subject)]
    fail: Vec<Subject>,
    /// A cluster or a backend is drained.
    #[arg(long, value_name = "CLUSTER|POOL/ADDRESS", value_parser = subject)]
    drain: Vec<Subject>,
    /// A pool, or a backend within its pool, has another weight.
    #[arg(long, value_name = "POOL[/ADDRESS].weight=N", value_parser = setting)]
    set: Vec<Setting>,
    /// So many new connections per second are made to a service: the clusters' loads are compared with their `capacity`.
    #[arg(long, value_name = "SERVICE=NEW_CONN_PER_SEC", value_parser = demand)]
    demand: Vec<(String, u64)>,
    #[command(flatten)]
    output: Output,
}

fn subject(text: &str) -> Result<Subject, String> {
    text.parse()
}

fn setting(text: &str) -> Result<Setting, String> {
    text.parse()
}

fn demand(text: &str) -> Result<(String, u64), String> {
    let (service, rate) = text.rsplit_once('=').ok_or("write it as SERVICE=NEW_CONN_PER_SEC")?;
    let rate = rate.parse().ok().filter(|rate| *rate <= MOST);
    let rate = rate.ok_or_else(|| format!("write the rate as an integer, 0 to {MOST}"))?;
    Ok((service.to_owned(), rate))
}

/// New connections per second of a service.
const MOST: u64 = 1_000_000_000;

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let plan = make(options)?;
    options.output.print(&plan, text)?;
    match plan.violations.len() {
        0 => Ok(()),
        1 => Err(Failure::violation(anyhow!("1 violation"))),
        number => Err(Failure::violation(anyhow!("{number} violations"))),
    }
}

fn make(options: &Options) -> Result<Plan, Failure> {
    let before = begin(options)?;
    let to = options.to.as_deref().map(load).transpose()?;
    let base = to.map_or_else(|| before.clone(), |to| before.reconfigured(to));
    let (demand, mut wrong) = demands(&options.demand);
    wrong.extend(strangers(&demand, &[&before.config, &base.config]));
    match base.changed(&options.changes()) {
        Ok(after) if wrong.is_empty() => Ok(plan(&before, &after, &demand).with_context(|| options.named())?),
        Ok(_) => Err(Failure::usage(anyhow!(wrong.join("\n")))),
        Err(reasons) => {
            wrong.extend(reasons);
            Err(Failure::usage(anyhow!(wrong.join("\n"))))
        }
    }
}

/// How things stand before all changes.
fn begin(options: &Options) -> Result<World, Failure> {
    let config = load(&options.config)?;
    if !options.live {
        return Ok(World::all_well(config));
    }
    let Look { published, snapshot, .. } = Look::at(&Pinned { pin_path: options.pin_path.clone() })?;
    let present = World::present(config, &published, &snapshot, monotonic());
    present.map_err(|reason| anyhow!("{}: {reason}", options.config.display()).into())
}

/// What is asked of each service, and which of them are named twice.
fn demands(told: &[(String, u64)]) -> (Demand, Vec<String>) {
    let (mut demand, mut twice) = (Demand::new(), Vec::new());
    for (service, rate) in told {
        if demand.insert(service.clone(), *rate).is_some() {
            twice.push(format!("the demand of service {service} is given twice; leave one"));
        }
    }
    (demand, twice)
}

impl Options {
    fn changes(&self) -> Vec<Change> {
        let fail = self.fail.iter().cloned().map(Change::Fail);
        let drain = self.drain.iter().cloned().map(Change::Drain);
        fail.chain(drain).chain(self.set.iter().cloned().map(Change::Set)).collect()
    }

    fn named(&self) -> String {
        let to = self.to.as_ref().map_or_else(String::new, |to| format!(" to {}", to.display()));
        format!("{}{to}", self.config.display())
    }
}

fn load(file: &Path) -> Result<Config, Failure> {
    config::load(file).map_err(|problems| Failure::config(problems.into()))
}

/// Services that clients are said to ask for and that no file has.
fn strangers(demand: &Demand, configs: &[&Config]) -> Vec<String> {
    let names: Vec<_> =
        configs.iter().flat_map(|config| &config.services).map(|one| one.name.as_str()).collect();
    let is_unknown = |name: &&String| !names.contains(&name.as_str());
    let strangers = demand.keys().filter(is_unknown);
    strangers.map(|name| unknown("service", name, names.iter().copied())).collect()
}

/// What moves, clusters if their loads are known, and violations; parts of which there is nothing to tell are left out.
fn text(plan: &Plan) -> String {
    let (told, quiet): (Vec<_>, Vec<_>) = plan.services.iter().partition(|service| is_told(service));
    let rest = match (told.is_empty(), quiet.len()) {
        (true, _) => "nothing moves".to_owned(),
        (false, 0) => String::new(),
        (false, number) => format!("nothing moves in {number} more"),
    };
    let (moved, shares) = if told.is_empty() { <_>::default() } else { (movements(&told), shares(&told)) };
    let parts = [moved, rest, shares, loads(&plan.clusters), violations(&plan.violations)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}

fn is_told(service: &ServicePlan) -> bool {
    let is_alike = |pool: &PoolPlan| pool.before.total_cmp(&pool.after).is_eq();
    let is_calm = service.flows.moved + service.broken + service.lost <= 0.0;
    let holds = service.resilience.as_ref().is_some_and(|verdict| verdict.holds);
    !(is_calm && holds && service.presence == Presence::Kept && service.pools.iter().all(is_alike))
}

fn movements(services: &[&ServicePlan]) -> String {
    let mut sheet = Sheet::new(&[
        Column::Text("SERVICE"),
        Column::Number("ROWS MOVED"),
        Column::Number("LEAST"),
        Column::Number("FLOWS MOVED"),
        Column::Number("LEAST"),
        Column::Number("BROKEN"),
        Column::Number("LOST"),
        Column::Text("BEARS"),
    ]);
    for service in services {
        sheet.row([
            named(service),
            service.rows.moved.to_string(),
            service.rows.least.to_string(),
            percent(service.flows.moved),
            percent(service.flows.least),
            percent(service.broken),
            percent(service.lost),
            or_dash(service.resilience.as_ref().map(bears)),
        ]);
    }
    sheet.text()
}

fn named(service: &ServicePlan) -> String {
    let name = &service.name;
    match service.presence {
        Presence::Kept if service.rehashed => format!("{name} (rehashed)"),
        Presence::Kept => name.clone(),
        Presence::Added => format!("{name} (added)"),
        Presence::Removed => format!("{name} (removed)"),
    }
}

fn bears(verdict: &Verdict) -> String {
    match (verdict.model, verdict.holds) {
        (None, true) => "-".to_owned(),
        (None, false) => "no".to_owned(),
        (Some(model), true) => model.to_string(),
        (Some(model), false) => format!("not {model}"),
    }
}

fn shares(services: &[&ServicePlan]) -> String {
    let [service, pool, cluster] = ["SERVICE", "POOL", "CLUSTER"].map(Column::Text);
    let mut sheet = Sheet::new(&[service, pool, cluster, Column::Number("BEFORE"), Column::Number("AFTER")]);
    for service in services {
        for PoolPlan { name, cluster, before, after } in &service.pools {
            sheet.row([
                service.name.clone(),
                name.clone(),
                cluster.clone(),
                percent(*before),
                percent(*after),
            ]);
        }
    }
    sheet.text()
}

fn loads(clusters: &[ClusterPlan]) -> String {
    if clusters.is_empty() {
        return String::new();
    }
    let [before, after, capacity] = ["BEFORE", "AFTER", "CAPACITY"].map(Column::Number);
    let mut sheet = Sheet::new(&[Column::Text("CLUSTER"), before, after, capacity]);
    for cluster in clusters {
        let loads = [cluster.before.to_string(), cluster.after.to_string(), or_dash(cluster.capacity)];
        sheet.row([cluster.name.clone()].into_iter().chain(loads));
    }
    sheet.text()
}

fn violations(violations: &[Violation]) -> String {
    let line = |violation: &Violation| format!("violation: {}: {}", violation.subject, violation.reason);
    violations.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
