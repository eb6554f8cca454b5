use super::Failure;
use super::look::{Look, Source};
use super::output::{Column, Sheet, percent};
use crate::observe::view::{PoolShare, PortView, ServiceView, services};

const COLUMNS: [Column; 9] = [
    Column::Text("SERVICE"),
    Column::Text("VIPS"),
    Column::Text("PORTS"),
    Column::Text("AFFINITY"),
    Column::Text("POOL"),
    Column::Number("SHARE"),
    Column::Number("PACKETS"),
    Column::Number("BYTES"),
    Column::Number("DROPPED"),
];

/// `spillway services`.
pub(super) fn run(source: &Source) -> Result<(), Failure> {
    let look = Look::at(&source.pinned)?;
    source.output.print(&services(&look.seen()), |services| text(services))
}

/// A service has a line for each pool; what concerns the whole stands on the first.
fn text(services: &[ServiceView]) -> String {
    let mut sheet = Sheet::new(&COLUMNS);
    for service in services {
        let (first, rest) =
            service.pools.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
        let [pool, share] = cells(first);
        sheet.row([
            service.name.clone(),
            join(service.vips.iter().map(ToString::to_string)),
            join(service.ports.iter().map(port)),
            service.affinity.to_owned(),
            pool,
            share,
            service.packets.to_string(),
            service.bytes.to_string(),
            service.dropped.to_string(),
        ]);
        for [pool, share] in rest.iter().map(|pool| cells(Some(pool))) {
            let no = String::new;
            sheet.row([no(), no(), no(), no(), pool, share, no(), no(), no()]);
        }
    }
    sheet.text()
}

fn cells(pool: Option<&PoolShare>) -> [String; 2] {
    pool.map_or_else(<[String; 2]>::default, |pool| [pool.name.clone(), percent(pool.share)])
}

fn join(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

/// `443/TCP`; `any/UDP`.
fn port(port: &PortView) -> String {
    let number = if port.port == 0 { "any".to_owned() } else { port.port.to_string() };
    format!("{number}/{}", port.protocol)
}
