use super::Failure;
use super::look::{Look, Source};
use super::output::{Column, Sheet, moment, or_dash, percent};
use crate::observe::next_hop::NextHop;
use crate::observe::view::{BackendView, backends};
use crate::policy::desired::MemberState;

const COLUMNS: [Column; 14] = [
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
    Column::Text("CHANGED"),
    Column::Text("NEXT HOP"),
    Column::Text("REASON"),
];

/// `spillway backends`.
pub(super) fn run(source: &Source) -> Result<(), Failure> {
    let look = Look::at(&source.pinned)?;
    source.output.print(&backends(&look.seen()), |backends| text(backends))
}

fn text(backends: &[BackendView]) -> String {
    let mut sheet = Sheet::new(&COLUMNS);
    for backend in backends {
        sheet.row([
            backend.pool.clone(),
            backend.cluster.clone(),
            backend.address.to_string(),
            state(backend.state).to_owned(),
            if backend.serving { "yes" } else { "NO" }.to_owned(),
            backend.weight.to_string(),
            backend.rows.to_string(),
            percent(backend.share),
            percent(backend.expected_share),
            backend.packets.to_string(),
            backend.bytes.to_string(),
            or_dash(backend.last_change.map(moment)),
            or_dash(backend.next_hop.as_ref().map(way)),
            or_dash(backend.reason.as_ref()),
        ]);
    }
    sheet.text()
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
        MemberState::Down => "DOWN",
    }
}
