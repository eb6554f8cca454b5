use super::Failure;
use super::look::{Look, Source};
use super::output::{Column, Sheet, held, kept_out, or_dash, percent, span};
use crate::observe::view::{ClusterView, clusters};

const COLUMNS: [Column; 11] = [
    Column::Text("CLUSTER"),
    Column::Text("STATE"),
    Column::Number("HEALTHY"),
    Column::Number("UNKNOWN"),
    Column::Number("DRAINING"),
    Column::Number("EJECTED"),
    Column::Number("DOWN"),
    Column::Number("SHARE"),
    Column::Number("NEW/S"),
    Column::Text("SOURCE"),
    Column::Number("AGE"),
];

/// `spillway clusters`.
pub(super) fn run(source: &Source) -> Result<(), Failure> {
    let look = Look::at(&source.pinned)?;
    source.output.print(&clusters(&look.seen()), |clusters| text(clusters))
}

fn text(clusters: &[ClusterView]) -> String {
    let mut sheet = Sheet::new(&COLUMNS);
    for cluster in clusters {
        sheet.row([
            cluster.name.clone(),
            state(cluster),
            format!("{}/{}", cluster.healthy, cluster.total),
            cluster.unknown.to_string(),
            cluster.draining.to_string(),
            cluster.ejected.to_string(),
            cluster.down.to_string(),
            percent(cluster.share),
            load(cluster),
            cluster.source.to_owned(),
            span(cluster.age),
        ]);
    }
    sheet.text()
}

/// `159 of 200`; `159`, where nobody says what it can take; `-`, where it is not known.
fn load(cluster: &ClusterView) -> String {
    let of = cluster.capacity.map(|capacity| format!(" of {capacity}")).unwrap_or_default();
    or_dash(cluster.demand.map(|demand| format!("{demand}{of}")).as_ref())
}

/// `active`; `active, held at 40% for 23 s, kept out of 99%`.
fn state(cluster: &ClusterView) -> String {
    let held = cluster.held.map(held).unwrap_or_default();
    let kept_out = cluster.kept_out.as_ref().map(kept_out).unwrap_or_default();
    format!("{}{held}{kept_out}", cluster.state)
}
