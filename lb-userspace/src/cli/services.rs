use super::Failure;
use super::look::{Look, Source};
use super::output::{Column, Sheet, held, kept_out, or_dash, percent};
use crate::observe::view::{PoolShare, PortView, RolloutView, ServiceView, services};

const COLUMNS: [Column; 12] = [
    Column::Text("SERVICE"),
    Column::Text("VIPS"),
    Column::Text("PORTS"),
    Column::Text("AFFINITY"),
    Column::Text("ACCESS"),
    Column::Text("POOL"),
    Column::Text("PRIORITY"),
    Column::Number("WEIGHT"),
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
        let rollout = service.rollout.as_ref();
        let [pool, priority, weight, share] = cells(first, rollout);
        sheet.row([
            service.name.clone(),
            join(service.vips.iter().map(ToString::to_string)),
            join(service.ports.iter().map(port)),
            service.affinity.to_owned(),
            or_dash(service.access.as_ref()),
            pool,
            priority,
            weight,
            share,
            service.packets.to_string(),
            service.bytes.to_string(),
            service.dropped.to_string(),
        ]);
        for [pool, priority, weight, share] in rest.iter().map(|pool| cells(Some(pool), rollout)) {
            let no = String::new;
            sheet.row([no(), no(), no(), no(), no(), pool, priority, weight, share, no(), no(), no()]);
        }
    }
    sheet.text()
}

fn cells(pool: Option<&PoolShare>, rollout: Option<&RolloutView>) -> [String; 4] {
    let cells = |pool: &PoolShare| {
        [name(pool, rollout), priority(pool), pool.weight.to_string(), percent(pool.share)]
    };
    pool.map(cells).unwrap_or_default()
}

/// `web-us`; `web-us, rollout web-to-us 2/6`; `web-us, rollout web-to-us complete`.
fn name(pool: &PoolShare, rollout: Option<&RolloutView>) -> String {
    let Some(rollout) = rollout.filter(|rollout| rollout.to == pool.name) else { return pool.name.clone() };
    let at = |step| format!("{step}/{}", rollout.steps.len());
    let state = rollout.step.map_or_else(|| rollout.phase.to_owned(), at);
    format!("{}, rollout {} {state}", pool.name, rollout.name)
}

/// `0`; `1, PANIC`; `0, held at 40% for 23 s`; `0, full at 53%`; `-`; `-, kept out of 99%`.
fn priority(pool: &PoolShare) -> String {
    let panic = if pool.panic { ", PANIC" } else { "" };
    let held = pool.held.map(held).unwrap_or_default();
    let full = pool.ceiling.map(|ceiling| format!(", full at {ceiling}%")).unwrap_or_default();
    let kept_out = pool.kept_out.as_ref().map(kept_out).unwrap_or_default();
    let priority = or_dash(pool.priority.map(|priority| format!("{priority}{panic}{held}{full}")));
    format!("{priority}{kept_out}")
}

fn join(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

/// `443/TCP`; `8000-8999/TCP`; `any/UDP`.
fn port(port: &PortView) -> String {
    let number = match (port.port, port.last) {
        (0, _) => "any".to_owned(),
        (number, None) => number.to_string(),
        (first, Some(last)) => format!("{first}-{last}"),
    };
    format!("{number}/{}", port.protocol)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::view::HeldView;
    use crate::policy::slices::KeptOut;

    #[test]
    fn a_service_has_a_line_for_each_pool() {
        let pool = |name: &str, priority, weight, share| PoolShare {
            name: name.into(),
            cluster: "c".into(),
            weight,
            priority,
            panic: priority == Some(1),
            held: (priority == Some(0)).then_some(HeldView {
                health: 100,
                perceived: 40,
                next_step: Some(23),
            }),
            ceiling: (priority == Some(1)).then_some(53),
            kept_out: (weight == 90).then_some(KeptOut { percent: 99, reason: "told".into() }),
            share,
        };
        let service = ServiceView {
            name: "shop/web".into(),
            vips: vec![[198, 51, 100, 10].into()],
            ports: [(443, Some(445)), (0, None)]
                .map(|(port, last)| PortView { name: None, protocol: "TCP", port, last })
                .into(),
            affinity: "flow",
            tracking: "transition",
            access: Some("public".into()),
            pools: vec![
                pool("web-eu", None, 90, 0.9),
                pool("web-us", Some(1), 10, 0.1),
                pool("web-ap", Some(0), 0, 0.0),
            ],
            demand: None,
            rollout: None,
            packets: 7,
            bytes: 800,
            dropped: 0,
        };
        let expected = "\
SERVICE   VIPS           PORTS                AFFINITY  ACCESS  POOL    PRIORITY                 WEIGHT  SHARE  PACKETS  BYTES  DROPPED
shop/web  198.51.100.10  443-445/TCP any/TCP  flow      public  web-eu  -, kept out of 99%           90  90.0%        7    800        0
                                                                web-us  1, PANIC, full at 53%        10  10.0%
                                                                web-ap  0, held at 40% for 23 s       0   0.0%";
        assert_eq!(text(&[service]), expected);
    }
}
