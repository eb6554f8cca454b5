use std::net::IpAddr;

use super::Answer;
use crate::cli::backends::way;
use crate::cli::output::{listing, or_dash};
use crate::explain::answer::{ClusterStep, NodeStep, Outer};
use crate::explain::live::Difference;
use crate::explain::why::Why;
use crate::explain::{Explanation, Live, Query};

/// The answer as people read it: what there is, then why, then what the loaded program did.
pub(super) fn text(query: &Query, answer: &Answer) -> String {
    let Answer { explanation, live } = answer;
    let parts = [Some(facts(query, explanation)), Some(why(&explanation.why)), live.as_ref().map(live_text)];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}

fn facts(query: &Query, explanation: &Explanation) -> String {
    let flow = format!("{} {} -> {}", query.protocol_name(), query.source, query.destination);
    listing(&[
        ("flow", flow),
        ("service", or_dash(explanation.service.as_ref())),
        ("hash", or_dash(explanation.hash.as_ref())),
        ("cluster", or_dash(explanation.cluster.as_ref().map(cluster))),
        ("node", or_dash(explanation.node.as_ref().map(node))),
        ("decision", decision(explanation)),
        ("reason", explanation.reason.clone()),
        ("chain", chain(&explanation.chain)),
        ("via", or_dash(explanation.via)),
        ("outer", or_dash(explanation.outer.as_ref().map(outer))),
        ("next hop", or_dash(explanation.next_hop.as_ref().map(way))),
    ])
}

fn cluster(step: &ClusterStep) -> String {
    let name = or_dash(step.name.as_ref());
    let pool = or_dash(step.pool.as_ref());
    match step.row {
        Some(row) => format!("{name}, pool {pool}, row {row} of 4096, {}", step.mode),
        None => format!("{name}, pool {pool}, the only one that takes new flows"),
    }
}

fn node(step: &NodeStep) -> String {
    format!("{}, row {} of {}, {}", or_dash(step.backend), step.row, step.rows, step.mode)
}

fn decision(explanation: &Explanation) -> String {
    let name = explanation.reason_name.map_or_else(String::new, |name| format!(" ({name})"));
    format!("{}{name}", explanation.decision)
}

/// Whom the backend's receiver asks, in this order.
fn chain(others: &[IpAddr]) -> String {
    if others.is_empty() {
        return or_dash(None::<String>);
    }
    others.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", then ")
}

/// `ipip 192.0.2.1 -> 203.0.113.11`; over UDP with both ports.
fn outer(outer: &Outer) -> String {
    let source = outer.source.map_or_else(|| "(by the route)".to_owned(), |source| source.to_string());
    let (kind, destination) = (outer.kind, outer.destination);
    match outer.destination_port {
        None => format!("{kind} {source} -> {destination}"),
        Some(port) => format!("{kind} {source} port {} -> {destination} port {port}", outer.source_port),
    }
}

fn why(stages: &[Why]) -> String {
    listing(&stages.iter().map(|why| (why.stage, why.says.clone())).collect::<Vec<_>>())
}

fn live_text(live: &Live) -> String {
    let Live { interface, program_id, .. } = live;
    let verdict = live.verdict.word();
    let sent = live.outer.as_ref().map_or_else(String::new, |outer| format!(": {outer}"));
    let equal = if live.equal { "as explained" } else { "NOT as explained" };
    let mut rows = vec![
        ("live", format!("{equal}, by program {program_id} on {interface}")),
        ("did", format!("{verdict}{sent}")),
    ];
    let differs = |one: &Difference| ("differs", format!("{}: {}, not {}", one.what, one.live, one.computed));
    rows.extend(live.differences.iter().map(differs));
    listing(&rows)
}
