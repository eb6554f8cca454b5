use super::Failure;
use super::look::{Look, Source};
use super::output::{Column, Sheet, moment, or_dash, percent};
use crate::observe::next_hop::NextHop;
use crate::observe::view::{BackendView, backends};
use crate::policy::desired::MemberState;

const COLUMNS: [Column; 11] = [
    Column::Text("POOL"),
    Column::Text("CLUSTER"),
    Column::Text("ADDRESS"),
    Column::Text("STATE"),
    Column::Text("SERVES"),
    Column::Number("WEIGHT"),
    Column::Number("ROWS"),
    Column::Number("SHARE"),
    Column::Number("EXPECTED"),
    Column::Number("PACKETS"),
    Column::Number("BYTES"),
];
/// Only where a node reports.
const REPORTED: [Column; 2] = [Column::Number("REFUSED"), Column::Number("CONNECTIONS")];
const LAST: [Column; 3] = [Column::Text("CHANGED"), Column::Text("NEXT HOP"), Column::Text("REASON")];

/// `spillway backends`.
pub(super) fn run(source: &Source) -> Result<(), Failure> {
    let look = Look::at(&source.pinned)?;
    source.output.print(&backends(&look.seen()), |backends| text(backends))
}

fn text(backends: &[BackendView]) -> String {
    let reported = backends.iter().any(|backend| backend.refused.is_some());
    let between: &[Column] = if reported { &REPORTED } else { &[] };
    let mut sheet = Sheet::new(&[&COLUMNS, between, &LAST].concat());
    for backend in backends {
        let counts = [or_dash(backend.refused), or_dash(backend.connections)];
        let counts = counts.into_iter().filter(|_| reported);
        sheet.row(first(backend).into_iter().chain(counts).chain(last(backend)));
    }
    sheet.text()
}

fn first(backend: &BackendView) -> [String; 11] {
    [
        backend.pool.clone(),
        backend.cluster.clone(),
        backend.address.to_string(),
        state(backend.state).to_owned(),
        if backend.serving { "yes" } else { "NO" }.to_owned(),
        weight(backend),
        backend.rows.to_string(),
        percent(backend.share),
        percent(backend.expected_share),
        backend.packets.to_string(),
        backend.bytes.to_string(),
    ]
}

fn last(backend: &BackendView) -> [String; 3] {
    [
        or_dash(backend.last_change.map(moment)),
        or_dash(backend.next_hop.as_ref().map(way)),
        or_dash(backend.reason.as_ref()),
    ]
}

/// `100`; `100 (30%)` while only so much of it counts.
fn weight(backend: &BackendView) -> String {
    match backend.weight_percent {
        100 => backend.weight.to_string(),
        counts => format!("{} ({counts}%)", backend.weight),
    }
}

/// `eth0 02:00:00:00:00:01 vlan 7`.
pub(super) fn way(hop: &NextHop) -> String {
    let vlan = hop.vlan.map_or_else(String::new, |vlan| format!(" vlan {vlan}"));
    format!("{} {}{vlan}", hop.interface, hop.mac)
}

fn state(state: MemberState) -> &'static str {
    match state {
        MemberState::Up => "up",
        MemberState::Unknown => "unknown",
        MemberState::Draining => "draining",
        MemberState::Ejected => "EJECTED",
        MemberState::Down => "DOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(last: u8, refused: Option<u64>) -> BackendView {
        BackendView {
            pool: "web".into(),
            cluster: "eu".into(),
            address: [10, 0, 0, last].into(),
            state: MemberState::Up,
            serving: true,
            weight: 1,
            weight_percent: 100,
            rows: 128,
            share: 0.5,
            expected_share: 0.5,
            packets: 7,
            bytes: 700,
            refused,
            connections: refused.map(|refused| refused + 1),
            last_change: None,
            reason: None,
            encap: "ipip",
            via: "nodes",
            next_hop: None,
        }
    }

    #[test]
    fn a_weight_that_does_not_count_in_full_says_so() {
        assert_eq!(weight(&backend(1, None)), "1");
        assert_eq!(weight(&BackendView { weight_percent: 30, ..backend(1, None) }), "1 (30%)");
    }

    #[test]
    fn what_is_refused_has_columns_where_a_node_reports() {
        let words = |text: &str| -> Vec<Vec<String>> {
            text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
        };
        let silent = words(&text(&[backend(1, None)]));
        assert!(!silent[0].contains(&"REFUSED".to_owned()), "{silent:?}");
        let reported = words(&text(&[backend(1, Some(4)), backend(2, None)]));
        let from = reported[0].iter().position(|word| word == "REFUSED").unwrap();
        assert_eq!(reported[0][from..from + 2], ["REFUSED", "CONNECTIONS"]);
        assert_eq!(
            (&reported[1][from..from + 2], &reported[2][from..from + 2]),
            (&["4", "5"].map(Into::into)[..], &["-", "-"].map(Into::into)[..])
        );
    }
}
