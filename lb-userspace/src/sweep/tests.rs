use super::*;
use crate::config::model::Config;
use crate::explain::offline;
use lb_common::row::{Mode, Row};
use std::sync::Arc;

const WINDOW: u64 = 10_000;
const NOW: u64 = 50_000;

const FILE: &str = "
apiVersion: spillway/v1
clusterSet: {id: prod, secretFile: hash.key}
gateway: {interfaces: [eth0]}
clusters: [{name: eu}, {name: us}]
services:
- {name: shop/web, vips: [198.51.100.10], ports: [{port: 443}], pools: [eu, us]}
- {name: shop/all, vips: [198.51.100.11], ports: [{port: 443}], pools: [eu, us], tracking: full}
pools:
- {name: eu, cluster: eu, rows: 256, endpoints: [{address: 10.0.0.1}, {address: 10.0.0.2}]}
- {name: us, cluster: us, rows: 256, endpoints: [{address: 10.0.1.1}, {address: 10.0.1.2}]}
";

fn config() -> Config {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let [file, key] = ["config.yaml", "hash.key"].map(|name| directory.path().join(name));
    std::fs::write(&file, FILE).unwrap();
    std::fs::write(&key, "000102030405060708090a0b0c0d0e0f").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    crate::config::load(&file).unwrap()
}

struct World {
    image: MapImage,
    record: Record,
}

impl World {
    fn new() -> Self {
        let (image, record) = offline::imagine(&config()).unwrap();
        Self { image, record }
    }

    fn judge(&self, connection: Connection) -> Found {
        let image = Arc::new(self.image.clone());
        Sweep::new(image, &self.record, NOW, WINDOW).judge(std::iter::once((7, connection)))
    }

    /// A connection of a service that went where the tables say, a moment ago.
    fn connection(&self, service: &str) -> Connection {
        let service = self.record.services[service].index;
        let hash = 0x1234_5678_9abc_def0;
        let way = way(&self.image.services[&service], Redirected::NO, FlowHash(hash), &self.image).unwrap();
        let backend = u16::try_from(way.backend).unwrap();
        Connection { backend, state: 0, service, hash, seen: (NOW - 1) * 1_000_000 }
    }

    /// Every row is RESIDUE.
    fn unsettle(&mut self) {
        for rows in self.image.slab.values_mut() {
            *rows = rows.iter().map(|row| row.in_mode(Mode::Residue)).collect::<Vec<Row>>().into();
        }
    }
}

#[test]
fn where_rows_are_clean_and_right_no_record_is_needed() {
    let mut world = World::new();
    assert_eq!(world.judge(world.connection("shop/web")).over.len(), 1);
    assert_eq!(world.judge(world.connection("shop/all")).entries, 1, "which has every flow recorded");
    world.unsettle();
    let found = world.judge(world.connection("shop/web"));
    assert_eq!((found.entries, found.over.len(), found.needed.len()), (1, 0, 0));
}

#[test]
fn a_connection_that_would_go_astray_keeps_both_its_rows() {
    let world = World::new();
    let connection = world.connection("shop/web");
    let other = Connection { backend: connection.backend ^ 1, ..connection };
    let found = world.judge(other);
    assert_eq!((found.entries, found.needed.len()), (1, 2));
    let hash = FlowHash(connection.hash);
    let table = world.image.services[&connection.service].select.table();
    assert!(found.needed.contains(&(table, hash.cluster_row())));
    assert!(found.needed.iter().any(|&(other, row)| other != table && row == hash.node_row(8)));
    assert_eq!(found.before, NOW - GRACE);
}

#[test]
fn what_is_silent_for_a_window_is_over() {
    let mut world = World::new();
    world.unsettle();
    let last = |seen: u64| Connection { seen: seen * 1_000_000, ..world.connection("shop/web") };
    assert_eq!(world.judge(last(NOW - WINDOW)).entries, 1);
    assert_eq!(world.judge(last(NOW - WINDOW - 1)).over.len(), 1);
    assert_eq!(world.judge(last(NOW + 5)).entries, 1, "a packet came meanwhile");
}

#[test]
fn what_nobody_has_any_more_is_over() {
    let mut world = World::new();
    world.unsettle();
    let connection = world.connection("shop/web");
    world.record.services.get_mut("shop/web").unwrap().gone = Some(1);
    assert_eq!(world.judge(connection).over.len(), 1);
    let mut world = World::new();
    world.unsettle();
    for pool in world.record.pools.values_mut() {
        let backends = pool.backends.values_mut();
        backends.filter(|one| one.index == connection.backend).for_each(|one| one.gone = Some(1));
    }
    assert_eq!(world.judge(connection).over.len(), 1);
    let stranger = Connection { service: 99, ..connection };
    assert_eq!(World::new().judge(stranger).entries, 1, "one that is newer than the sweep's tables");
}
