//! What `spillway plan` takes for a thousand services: reading the file, making the tables before and after, comparing them.

use std::fmt::{self, Display, Formatter, Write as _};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use lb_userspace::config;
use lb_userspace::plan::{Change, World, plan};
use lb_userspace::policy::resilience::Demand;
use lb_userspace::policy::subject::Subject;
use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde_json::Value;

const SERVICES: usize = 1000;
const CLUSTERS: usize = 10;
/// Endpoints of a pool: about as many in all as the maps hold.
const ENDPOINTS: usize = 6;
/// Times each case is measured.
const RUNS: usize = 3;

/// A change, and what it takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    name: &'static str,
    /// Processor time in milliseconds, the median: of both files or of the one, and of the plan.
    reading: f64,
    planning: f64,
    /// Services of which a flow moves.
    moved: usize,
    violations: usize,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    services: usize,
    pools: usize,
    endpoints: usize,
    cases: Vec<Case>,
}

impl Report {
    /// One object.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::to_value(self)?)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { services, pools, endpoints, .. } = self;
        let title = format!("{services} services, {pools} pools, {endpoints} endpoints");
        writeln!(f, "{title:<48} {:>10} {:>10} {:>8} {:>10}", "read, ms", "plan, ms", "moved", "violations")?;
        for Case { name, reading, planning, moved, violations } in &self.cases {
            writeln!(f, "{name:<48} {reading:>10.0} {planning:>10.0} {moved:>8} {violations:>10}")?;
        }
        Ok(())
    }
}

/// Measures them; changes nothing.
pub fn measure() -> Result<Report> {
    let text = text();
    let one = || "web-7-0/10.0.0.102".parse().map_err(|reason: String| anyhow!(reason));
    let demand: Demand = (0..SERVICES).map(|number| (format!("shop/web-{number}"), 100)).collect();
    let cases = vec![
        case("nothing", &text, &[], &Demand::new())?,
        case("a backend drained", &text, &[Change::Drain(one()?)], &Demand::new())?,
        case("a cluster lost", &text, &[Change::Fail(cluster())], &Demand::new())?,
        case("a cluster lost, with all demands", &text, &[Change::Fail(cluster())], &demand)?,
    ];
    let pools = (0..SERVICES).map(pools_of).sum();
    Ok(Report { services: SERVICES, pools, endpoints: pools * ENDPOINTS, cases })
}

fn cluster() -> Subject {
    Subject::Cluster("site-3".into())
}

/// Every other service has two pools, the others three.
fn pools_of(service: usize) -> usize {
    2 + service % 2
}

/// The file, every policy with `N+2`.
fn text() -> String {
    let mut text = "apiVersion: spillway/v1\nclusterSet: {id: bench, secretFile: hash.key}\ngateway: \
                    {interfaces: [eth0], limits: {rows: 64Mi}}\nclusters:\n"
        .to_owned();
    let mut write = |line: String| _ = writeln!(text, "{line}");
    (0..CLUSTERS)
        .for_each(|site| write(format!("- {{name: site-{site}, capacity: {{newConnPerSec: 20000}}}}")));
    write("healthChecks:\n- {name: open, type: tcp, port: 443}\nfailoverPolicies:".to_owned());
    let sites: Vec<_> = (0..CLUSTERS).map(|site| format!("site-{site}")).collect();
    write(format!(
        "- {{name: near, priorities: [[{}]], resilience: {{model: N+2}}}}\nservices:",
        sites.join("], [")
    ));
    for service in 0..SERVICES {
        let pools: Vec<_> = (0..pools_of(service)).map(|pool| format!("web-{service}-{pool}")).collect();
        write(format!(
            "- {{name: shop/web-{service}, vips: [198.18.{}.{}], ports: [{{port: 443}}], failoverPolicy: near, pools: [{}]}}",
            service / 250,
            service % 250,
            pools.join(", ")
        ));
    }
    write("pools:".to_owned());
    let all = (0..SERVICES).flat_map(|service| (0..pools_of(service)).map(move |pool| (service, pool)));
    for (number, (service, pool)) in all.enumerate() {
        let endpoints: Vec<_> = (0..ENDPOINTS).map(|one| endpoint(number * ENDPOINTS + one)).collect();
        let site = (service + pool) % CLUSTERS;
        write(format!(
            "- {{name: web-{service}-{pool}, cluster: site-{site}, rows: 4Ki, health: open, endpoints: [{}]}}",
            endpoints.join(", ")
        ));
    }
    text
}

fn endpoint(number: usize) -> String {
    format!("{{address: 10.{}.{}.{}}}", number >> 16, number >> 8 & 0xff, number & 0xff)
}

fn case(name: &'static str, text: &str, changes: &[Change], demand: &Demand) -> Result<Case> {
    let directory = tempfile::tempdir()?;
    let (key, file) = (directory.path().join("hash.key"), directory.path().join("spillway.yaml"));
    fs::write(&key, "00".repeat(16))?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    fs::write(&file, text)?;
    let (mut reading, mut planning, mut outcome) = (Vec::new(), Vec::new(), (0, 0));
    for _ in 0..RUNS {
        let started = processor_time()?;
        let before = World::all_well(config::load(&file)?);
        let read = processor_time()?;
        let after = before.clone().changed(changes).map_err(|reasons| anyhow!(reasons.join("; ")))?;
        let plan = plan(&before, &after, demand)?;
        planning.push((processor_time()? - read) * 1e3);
        reading.push((read - started) * 1e3);
        outcome = (plan.services.iter().filter(|one| one.flows.moved > 0.0).count(), plan.violations.len());
    }
    let (moved, violations) = outcome;
    Ok(Case { name, reading: median(reading)?, planning: median(planning)?, moved, violations })
}

fn median(mut times: Vec<f64>) -> Result<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().context("nothing was measured")
}

/// What the thread has used, in seconds: others on the machine do not count.
fn processor_time() -> Result<f64> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?).as_secs_f64())
}
