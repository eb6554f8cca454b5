use super::Failure;
use super::look::{Look, Source};
use super::output::{Column, Sheet, held, percent, span};
use crate::observe::view::{ClusterView, clusters};

const COLUMNS: [Column; 10] = [
    Column::Text("CLUSTER"),
    Column::Text("STATE"),
    Column::Number("HEALTHY"),
    Column::Number("UNKNOWN"),
    Column::Number("DRAINING"),
    Column::Number("EJECTED"),
    Column::Number("DOWN"),
    Column::Number("SHARE"),
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
            format!("{}{}", cluster.state, cluster.held.map(held).unwrap_or_default()),
            format!("{}/{}", cluster.healthy, cluster.total),
            cluster.unknown.to_string(),
            cluster.draining.to_string(),
            cluster.ejected.to_string(),
            cluster.down.to_string(),
            percent(cluster.share),
            cluster.source.to_owned(),
            span(cluster.age),
        ]);
    }
    sheet.text()
}
