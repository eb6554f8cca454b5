//! Memory of an agent at work: 1,000 services on 10 pools of 100 nodes, all of them found up.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::control::{NODES, POOLS, ROWS, SERVICES, address};
use crate::lab::{Agent, End, EventKind, HEALTH_PORT, Namespace, Server, WorkDir, connect};

/// Until every node was found up.
const PATIENCE: Duration = Duration::from_mins(1);
/// Longer than the interval of the probes: each node has been probed again.
const REST: Duration = Duration::from_secs(7);

/// Resident memory in MiB of `spillway run`, the mapped maps included, in a namespace of its own. All nodes are
/// behind one router, which answers their health checks.
pub(super) fn agent(spillway: &Path) -> Result<f64> {
    let (gateway, router) = (Namespace::new("gateway")?, Namespace::new("router")?);
    connect(&end(&gateway, 1), &end(&router, 2), 1500)?;
    gateway.ip("route add default via 10.50.0.2")?;
    router.ip("route add local 10.100.0.0/16 dev lo")?;
    let _nodes = Server::start(&router, "node", HEALTH_PORT)?;
    let work = WorkDir::new()?;
    let mut agent = Agent::start(&gateway, spillway, &write(&work)?)?;
    wait_for_nodes(&mut agent)?;
    sleep(REST);
    agent.check_alive()?;
    resident(agent.id())
}

fn end(namespace: &Namespace, number: u8) -> End<'_> {
    let addresses = vec![format!("10.50.0.{number}/24")];
    End { namespace, interface: "eth0", mac: [2, 0, 0, 50, 0, number], addresses }
}

fn wait_for_nodes(agent: &mut Agent) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let wanted = usize::from(POOLS * NODES);
    loop {
        agent.check_alive()?;
        let found = up(agent);
        if found == wanted {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the agent found {found} of {wanted} nodes up:\n  {}", agent.last_lines().join("\n  "));
        }
        sleep(Duration::from_millis(100));
    }
}

fn up(agent: &Agent) -> usize {
    let events = agent.events();
    let up = events.iter().filter_map(|event| match event.kind {
        EventKind::Health { address, up: true } => Some(address),
        _ => None,
    });
    up.collect::<BTreeSet<_>>().len()
}

fn resident(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}

fn write(work: &WorkDir) -> Result<PathBuf> {
    work.write_key("hash.key", "000102030405060708090a0b0c0d0e0f")?;
    let file = work.path().join("spillway.yaml");
    fs::write(&file, config(&work.bpf().join("spillway"), &work.path().join("admin.sock"))?)?;
    Ok(file)
}

fn config(pins: &Path, socket: &Path) -> Result<String> {
    let names: Vec<_> = (0..POOLS).map(|pool| format!("p{pool}")).collect();
    let pools = names.join(", ");
    let mut text = format!(
        "apiVersion: spillway/v1\nclusterSet: {{id: bench, self: c0, secretFile: hash.key}}\ngateway:\n  \
         interfaces: [eth0]\n  pinPath: {}\n  listen: {{admin: \"unix://{}\"}}\nhealthChecks:\n- {{name: http, \
         type: http, path: /, port: {HEALTH_PORT}}}\nclusters:\n",
        pins.display(),
        socket.display()
    );
    for pool in 0..POOLS {
        writeln!(text, "- name: c{pool}")?;
    }
    text += "services:\n";
    for service in 0..SERVICES {
        let vip = address(200, service);
        writeln!(
            text,
            "- {{name: bench/s{service}, vips: [{vip}], ports: [{{port: 443}}], pools: [{pools}]}}"
        )?;
    }
    text += "pools:\n";
    for pool in 0..POOLS {
        writeln!(text, "- name: p{pool}\n  cluster: c{pool}\n  rows: {ROWS}\n  health: http\n  endpoints:")?;
        for node in 0..NODES {
            writeln!(text, "  - {{address: {}}}", address(100, pool * NODES + node))?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use lb_userspace::config;

    use super::*;

    #[test]
    fn the_configuration_is_as_large_as_it_says() {
        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("hash.key");
        fs::write(&secret, "000102030405060708090a0b0c0d0e0f").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let text = config(Path::new("/pins"), Path::new("/run/socket")).unwrap();
        let config = config::parse(&text, "bench", directory.path()).unwrap();
        assert_eq!((config.services.len(), config.pools.len()), (1_000, 10));
        assert!(config.services.iter().all(|service| service.pools.len() == 10));
        assert!(config.pools.iter().all(|pool| pool.endpoints.len() == 100 && pool.health.is_some()));
    }
}
