//! The account that people read while the demo runs.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::plan::{Member, Site};
use super::report::{Fault, Part, Report, failures, shares};
use super::stage::vip_like;
use crate::lab::{Load, Outcome, TwoClusters};

/// Time between two lines about the load.
const LIVE_EVERY: Duration = Duration::from_secs(1);

/// Where and how the account is told.
pub(super) struct Account {
    out: Box<dyn Write>,
    begun: Instant,
    last_live: Option<Instant>,
    told: usize,
}

impl Account {
    /// On standard output, or on standard error when the former is for JSON.
    pub(super) fn new(json: bool) -> Self {
        let out: Box<dyn Write> = if json { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
        Self { out, begun: Instant::now(), last_live: None, told: 0 }
    }

    /// A line. A reader who has gone away does not stop the demo: it has things to take down.
    pub(super) fn say(&mut self, line: &str) {
        let _ = writeln!(self.out, "{line}");
        let _ = self.out.flush();
    }

    /// A heading.
    pub(super) fn head(&mut self, text: &str) {
        self.say(&format!("\n{text}\n{}", "-".repeat(text.chars().count())));
    }

    /// Once a second: who answered the requests since the last such line.
    pub(super) fn live(&mut self, sites: &[Site], members: &[Member], load: &Load) {
        if self.last_live.get_or_insert_with(Instant::now).elapsed() < LIVE_EVERY {
            return;
        }
        self.last_live = Some(Instant::now());
        let outcomes = load.outcomes();
        let recent = outcomes.get(self.told..).unwrap_or_default();
        let (clusters, nodes) = shares(sites, members, recent);
        let percent = |(name, share): (&String, &Part)| format!("{name} {:3.0} %", share.share * 100.0);
        let line = format!(
            "{:5.1} s {:5} requests {:3} failed | {} | {}",
            self.begun.elapsed().as_secs_f64(),
            recent.len(),
            failures(recent).count(),
            clusters.iter().map(percent).collect::<Vec<_>>().join("  "),
            nodes.iter().map(percent).collect::<Vec<_>>().join("  "),
        );
        self.told = outcomes.len();
        self.say(&line);
    }

    /// Who is connected how.
    pub(super) fn picture(&mut self, sites: &[Site], members: &[Member], lab: &TwoClusters) {
        let like = vip_like(members);
        let [client, gateway, second] =
            [TwoClusters::CLIENT, TwoClusters::GATEWAY, TwoClusters::SECOND_GATEWAY]
                .map(|one| one.host(like));
        self.say(&format!("  client  {client}  sends to the VIP, gets answers from the nodes directly"));
        self.say("     |");
        self.say(&format!("  fabric  routes; VIP via {gateway}"));
        self.say(&format!(
            "     |-- gateway-1 {gateway}  spillway run: picks cluster and node, encapsulates"
        ));
        self.say(&format!("     |-- gateway-2 {second}  joins later"));
        self.say("     |   on each node spillway node: takes what is the node's, sends on what is another's");
        for site in sites {
            self.say(&format!("     |-- cluster {}  weight {}", site.name, site.weight));
            for member in members.iter().filter(|member| member.cluster == site.name) {
                self.say(&format!("     |     `-- node {}  {}", member.name, member.address));
            }
        }
        let path = lab.gateway.path();
        self.say(&format!("Look around while it runs: nsenter --net={} ip address", path.display()));
    }

    /// What each got of the undisturbed part, beside what it should have got.
    pub(super) fn shares(&mut self, sites: &[Site], members: &[Member], outcomes: &[Outcome]) {
        let (clusters, nodes) = shares(sites, members, outcomes);
        self.say(&format!("  {:14}{:>10}{:>10}{:>10}", "", "requests", "share", "expected"));
        for (name, share) in &clusters {
            self.share(name, *share);
            for member in members.iter().filter(|member| member.cluster == *name) {
                if let Some(node) = nodes.get(&member.name).copied() {
                    self.share(&format!("  {}", member.name), node);
                }
            }
        }
    }

    fn share(&mut self, name: &str, share: Part) {
        let (percent, expected) = (share.share * 100.0, share.expected_share * 100.0);
        self.say(&format!("  {name:14}{:>10}{percent:>8.1} %{expected:>8.1} %", share.requests));
    }

    /// What a fault did.
    pub(super) fn fault(&mut self, fault: &Fault) {
        self.say(&format!(
            "{} {}: found dead after {:.0} ms, switched {:.1} ms later, {} requests lost meanwhile",
            fault.kind, fault.target, fault.detected_ms, fault.switched_ms, fault.failed_requests
        ));
        if let Some(live) = fault.live {
            let (all, broken) = (live.connections, live.broken_connections);
            self.say(&format!("{broken} of {all} connections that were open broke"));
        }
    }

    /// The last words.
    pub(super) fn sum(&mut self, report: &Report) {
        self.head("Summary");
        self.say(&format!("{} requests, {} answered, {} failed", report.requests, report.ok, report.failed));
        if report.problems.is_empty() {
            let open: usize =
                report.faults.iter().filter_map(|fault| fault.live).map(|live| live.connections).sum();
            let in_faults: usize = report.faults.iter().map(|fault| fault.failed_requests).sum();
            self.say(&format!(
                "Shares are as configured; none of {open} connections broke with their gateway."
            ));
            self.say(&format!("{in_faults} requests failed between a fault and the switch,"));
            self.say(&format!(
                "{} as their connections moved back with what returned.",
                report.failed - in_faults
            ));
        }
    }
}
