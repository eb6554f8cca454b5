use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use lb_ebpf::tables::Tables as _;

use super::Failure;
use super::look::{Look, Source};
use super::output::{Column, Sheet, or_dash, percent};
use crate::observe::view::{Rates, RatesView, rates};

/// Longest time that is measured.
const LONGEST: u64 = 3600;

/// `spillway rates`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// How long to measure, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    over: u64,
    #[command(flatten)]
    source: Source,
}

const COLUMNS: [Column; 11] = [
    Column::Text("CLUSTER"),
    Column::Text("POOL"),
    Column::Text("ADDRESS"),
    Column::Number("PACKETS/S"),
    Column::Number("BYTES/S"),
    Column::Number("NEW/S"),
    Column::Number("ACTIVE"),
    Column::Number("HANDSHAKES"),
    Column::Number("FAILED"),
    Column::Number("MEDIAN"),
    Column::Number("P99"),
];

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let (earlier, begun) = (Look::at(&options.source.pinned)?.moment(), Instant::now());
    sleep(Duration::from_secs(options.over));
    // Anew: backends may have come and gone.
    let look = Look::at(&options.source.pinned)?;
    let (later, over) = (look.moment(), begun.elapsed());
    let sampled = look.snapshot.control().map_or(0, |control| control.sampled);
    options.source.output.print(&rates(&earlier, &later, over, sampled), text)
}

/// Clusters first, then the backends of each.
fn text(view: &RatesView) -> String {
    let mut sheet = Sheet::new(&COLUMNS);
    for cluster in &view.clusters {
        sheet.row(row([cluster.name.clone(), "all".into(), or_dash(None::<String>)], &cluster.rates));
    }
    for backend in &view.backends {
        let names = [backend.cluster.clone(), backend.pool.clone(), backend.address.to_string()];
        sheet.row(row(names, &backend.rates));
    }
    let note = if view.sampled == 0.0 { "\nNo flow is followed: see `gateway.evidence`." } else { "" };
    format!("{}{note}", sheet.text())
}

fn row(names: [String; 3], rates: &Rates) -> [String; 11] {
    let whole = |number: f64| format!("{number:.0}");
    let time = |time: Option<f64>| or_dash(time.map(|time| format!("<{time:.1} ms")));
    let [cluster, pool, address] = names;
    [
        cluster,
        pool,
        address,
        whole(rates.packets_per_sec),
        whole(rates.bytes_per_sec),
        or_dash(rates.new_flows_per_sec.map(whole)),
        or_dash(rates.active_flows.map(whole)),
        rates.handshakes.to_string(),
        or_dash(rates.failed_handshakes.map(percent)),
        time(rates.median_handshake_ms),
        time(rates.p99_handshake_ms),
    ]
}
