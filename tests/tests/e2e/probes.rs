//! Checks that go through the tunnel, as clients' packets do: whom they find up and whom down, what serves meanwhile, and
//! that nothing of them leaves the gateway by another way.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::util::KernelVersion;
use lb_tests::lab::{
    FrameSocket, HEALTH_PORT, Namespace, Objects, TwoClusters, VIP_PORT, VIP_V4, VIP_V6, fetch, fetch_within,
    is_root, offload_checksums,
};
use lb_userspace::datapath::egress;
use lb_userspace::datapath::load::PROBE;
use lb_userspace::datapath::pins::Pins;
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::silence;

const V4: IpAddr = IpAddr::V4(VIP_V4);
const V6: IpAddr = IpAddr::V6(VIP_V6);
/// How often a look-out stops to see whether it is to end.
const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(2);
/// Requests of clients.
const REQUESTS: usize = 40;
/// Longer than several segments.
const LONG_PATH: usize = 6000;

/// How nodes are reached and what is asked of them.
#[derive(Clone)]
struct Case {
    kind: &'static str,
    /// Family of the nodes' addresses.
    outer: IpAddr,
    vips: Vec<IpAddr>,
    via: &'static str,
    path: String,
}

impl Case {
    fn new(kind: &'static str, outer: IpAddr, vips: &[IpAddr]) -> Self {
        Self { kind, outer, vips: vips.to_vec(), via: "tunnel", path: "/healthz".into() }
    }

    fn config(&self, lab: &TwoClusters) -> Value {
        let endpoint = |node| json!({"address": node});
        let addresses = lab.nodes.iter().map(|node| node.address(self.outer));
        let endpoints: Vec<Value> = addresses.map(endpoint).collect();
        let mut check = json!({"name": "web", "type": "http", "path": self.path, "via": self.via,
                               "interval": "250ms", "timeout": "200ms", "rise": 1, "fall": 2});
        if self.via == "direct" {
            check["port"] = json!(HEALTH_PORT);
        }
        json!({
            "clusters": [{"name": "eu-1", "encap": {"kind": self.kind}}],
            "services": [{"name": "test/web", "vips": self.vips, "ports": [{"port": VIP_PORT}], "pools": ["web"]}],
            "pools": [{"name": "web", "cluster": "eu-1", "health": "web", "rows": 1024, "endpoints": endpoints}],
            "healthChecks": [check],
        })
    }

    fn start(&self, lab: &TwoClusters) -> Result<Gateway> {
        let mut gateway = Gateway::new()?;
        gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &self.config(lab))?;
        gateway.start(&lab.gateway)?;
        Ok(gateway)
    }
}

/// Counts the packets to a VIP that the gateway sends without a tunnel, where the router sees them.
struct LookOut {
    leaks: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    watcher: Option<JoinHandle<Result<()>>>,
}

impl LookOut {
    fn at(fabric: &Namespace) -> Result<Self> {
        let socket = FrameSocket::open(fabric, "gateway")?;
        let (leaks, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, ended) = (leaks.clone(), stop.clone());
        let watcher = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if socket.receive(POLL, leaked)?.is_some() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        });
        Ok(Self { leaks, stop, watcher: Some(watcher) })
    }

    /// None was seen; and one that the gateway itself sends as a client is.
    fn ends(mut self, lab: &TwoClusters) -> Result<()> {
        thread::sleep(POLL * 2);
        let leaks = self.leaks.load(Ordering::Relaxed);
        ensure!(leaks == 0, "{leaks} packets to a VIP left the gateway as they were");
        let _ = fetch_within(PATIENCE, &lab.gateway, SocketAddr::new(V4, VIP_PORT), "/");
        thread::sleep(POLL * 2);
        ensure!(self.leaks.load(Ordering::Relaxed) > 0, "the look-out sees nothing");
        self.stop.store(true, Ordering::Relaxed);
        let watcher = self.watcher.take().context("a watcher")?;
        watcher.join().map_err(|_| anyhow::anyhow!("the look-out failed"))?
    }
}

/// Whether a frame goes from the gateway to the router, and in it a packet to a VIP.
fn leaked(frame: &[u8]) -> bool {
    let to_router = frame.get(..6) == Some(&TwoClusters::GATEWAY.router_mac());
    let v4 = frame.get(12..14) == Some(&[8, 0]) && frame.get(30..34) == Some(&VIP_V4.octets());
    let v6 = frame.get(12..14) == Some(&[0x86, 0xdd]) && frame.get(38..54) == Some(&VIP_V6.octets());
    to_router && (v4 || v6)
}

/// Waits until each node's state is the one of these.
fn until_states(gateway: &mut Gateway, lab: &TwoClusters, outer: IpAddr, states: &[&str]) -> Result<()> {
    let wanted: Vec<_> = lab.nodes.iter().map(|node| node.address(outer).to_string()).zip(states).collect();
    gateway.until(&format!("finding nodes {states:?}"), |gateway| {
        let backends = gateway.ask(&["backends"]).ok()?;
        let state = |address: &str| backends.as_array()?.iter().find(|one| one["address"] == address);
        wanted
            .iter()
            .all(|(address, state_is)| state(address).is_some_and(|one| one["state"] == **state_is))
            .then_some(())
    })
}

fn probes(gateway: &Gateway) -> Result<Value> {
    Ok(gateway.ask(&["status"])?["probes"].clone())
}

/// Names of those who answer a client.
fn answers(lab: &TwoClusters, vip: IpAddr) -> Result<Vec<String>> {
    let target = SocketAddr::new(vip, VIP_PORT);
    let mut names = (0..REQUESTS).map(|_| fetch(&lab.client, target, "/")).collect::<Result<Vec<_>>>()?;
    names.sort();
    names.dedup();
    Ok(names)
}

/// Whether a link holds the program on what the gateway sends; `None`: this kernel has no such links.
fn is_held() -> Result<Option<bool>> {
    let linked = KernelVersion::current()? >= KernelVersion::new(6, 6, 0);
    Ok(egress::has_link("eth0", PROBE).filter(|_| linked))
}

#[test]
fn unload_leaves_nothing_of_it() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let lab = TwoClusters::build(&Objects::from_env()?)?;
    let case = Case::new("gue", V4, &[V4]);
    let mut gateway = case.start(&lab)?;
    until_states(&mut gateway, &lab, V4, &["up"; 4])?;
    gateway.kill()?;
    let mut unload = lab.gateway.command(gateway.spillway());
    let unloaded = unload.arg("unload").arg("--pin-path").arg(gateway.pin_path()).status()?;
    ensure!(unloaded.success() && !Pins::new(&gateway.pin_path()).directory().exists());
    ensure!(lab.gateway.enter(is_held)? != Some(true));
    Ok(())
}

fn skip() -> bool {
    if !is_root() {
        println!("SKIP: network namespaces need root");
    }
    !is_root()
}

#[test]
fn probes_pass_through_every_tunnel_and_leave_by_no_other_way() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let lab = TwoClusters::build(&Objects::from_env()?)?;
    let look_out = LookOut::at(&lab.fabric)?;
    for kind in ["ipip", "gue", "vxlan"] {
        for (outer, vips) in [(V4, [V4].as_slice()), (V4, &[V6]), (V6, &[V4]), (V6, &[V4, V6])] {
            let case = Case::new(kind, outer, vips);
            let mut gateway = case.start(&lab)?;
            until_states(&mut gateway, &lab, outer, &["up"; 4])
                .with_context(|| format!("{kind} {outer} {vips:?}"))?;
            let probes = probes(&gateway)?;
            ensure!(probes["interfaces"] == json!(["eth0"]) && probes["dropped"] == 0, "{probes}");
            ensure!(probes["sent"].as_u64() > Some(8), "{probes}");
        }
    }
    look_out.ends(&lab)
}

#[test]
fn a_node_that_does_not_take_a_vips_packets_is_found_down_and_gets_none() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let mut lab = TwoClusters::build(&Objects::from_env()?)?;
    let look_out = LookOut::at(&lab.fabric)?;
    let mut gateway = Case::new("gue", V4, &[V4, V6]).start(&lab)?;
    until_states(&mut gateway, &lab, V4, &["up"; 4])?;

    // The first has no such VIP, and sends on what is not its own; nothing takes tunnels apart at the last.
    let first = &lab.nodes[0];
    first.namespace.sysctl("net/ipv4/ip_forward", "1")?;
    silence(first)?;
    let last = lab.nodes.last_mut().context("a node")?;
    last.end_receiver();
    until_states(&mut gateway, &lab, V4, &["down", "up", "up", "down"])?;
    for node in &lab.nodes {
        let own = SocketAddr::new(node.address(V4), HEALTH_PORT);
        ensure!(fetch(&lab.gateway, own, "/healthz")? == node.name, "a direct check of {} passes", node.name);
    }
    let expected = [lab.nodes[1].name.clone(), lab.nodes[2].name.clone()];
    ensure!(answers(&lab, V4)? == expected, "only they get packets");

    lab.nodes[0].namespace.ip(&format!("address add {VIP_V4}/32 dev lo"))?;
    until_states(&mut gateway, &lab, V4, &["up", "up", "up", "down"])?;
    look_out.ends(&lab)
}

#[test]
fn a_long_request_takes_the_tunnel_in_segments_whoever_cuts_it() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let lab = TwoClusters::build(&Objects::from_env()?)?;
    let look_out = LookOut::at(&lab.fabric)?;
    for offloaded in [false, true] {
        if offloaded {
            offload_checksums(&lab.gateway, "eth0")?;
        }
        for (kind, outer) in [("ipip", V4), ("gue", V6), ("vxlan", V4)] {
            let case =
                Case { path: format!("/{}", "a".repeat(LONG_PATH)), ..Case::new(kind, outer, &[V4, V6]) };
            let mut gateway = case.start(&lab)?;
            until_states(&mut gateway, &lab, outer, &["up"; 4])
                .with_context(|| format!("{kind} {outer} offloaded: {offloaded}"))?;
            ensure!(
                probes(&gateway)?["dropped"] == 0,
                "what is longer than the path is cut, and not sent again"
            );
        }
    }
    look_out.ends(&lab)
}

#[test]
fn an_agent_takes_over_the_probes_of_the_one_before_and_removes_what_it_does_not_need() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let lab = TwoClusters::build(&Objects::from_env()?)?;
    let look_out = LookOut::at(&lab.fabric)?;
    let case = Case::new("gue", V4, &[V4]);
    let mut gateway = case.start(&lab)?;
    until_states(&mut gateway, &lab, V4, &["up"; 4])?;
    ensure!(gateway.ask(&["maps", "dump", "probes"])?.as_array().map(Vec::len) == Some(4));
    let sent = probes(&gateway)?["sent"].as_u64();
    gateway.kill()?;
    gateway.start(&lab.gateway)?;
    gateway.until("probing on", |gateway| (probes(gateway).ok()?["sent"].as_u64() > sent).then_some(()))?;
    until_states(&mut gateway, &lab, V4, &["up"; 4])?;
    silence(&lab.nodes[0])?;
    until_states(&mut gateway, &lab, V4, &["down", "up", "up", "up"])?;

    ensure!(lab.gateway.enter(is_held)? != Some(false), "what is asked says nothing");
    let held = || Pins::new(&gateway.pin_path()).egress_interfaces();
    ensure!(held()? == ["eth0"]);
    gateway.kill()?;
    let direct = Case { via: "direct", ..case };
    gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &direct.config(&lab))?;
    gateway.start(&lab.gateway)?;
    until_states(&mut gateway, &lab, V4, &["up"; 4])?;
    ensure!(Pins::new(&gateway.pin_path()).egress_interfaces()?.is_empty() && probes(&gateway)?.is_null());
    ensure!(lab.gateway.enter(is_held)? == Some(false));
    look_out.ends(&lab)
}

#[test]
fn a_running_agent_begins_and_ends_to_probe_through_tunnels() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let lab = TwoClusters::build(&Objects::from_env()?)?;
    let look_out = LookOut::at(&lab.fabric)?;
    let tunnel = Case::new("ipip", V4, &[V4]);
    let direct = Case { via: "direct", ..tunnel.clone() };
    silence(&lab.nodes[0])?;
    let mut gateway = direct.start(&lab)?;
    until_states(&mut gateway, &lab, V4, &["up"; 4])?;
    ensure!(probes(&gateway)?.is_null(), "nothing of it without such a check");
    gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &tunnel.config(&lab))?;
    until_states(&mut gateway, &lab, V4, &["down", "up", "up", "up"])?;
    // Another tunnel, another program.
    let vxlan = Case { kind: "vxlan", ..tunnel };
    gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &vxlan.config(&lab))?;
    lab.nodes[0].namespace.ip(&format!("address add {VIP_V4}/32 dev lo"))?;
    until_states(&mut gateway, &lab, V4, &["up"; 4])?;
    gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &direct.config(&lab))?;
    gateway.until("probing by the nodes' own addresses", |gateway| {
        let probes = gateway.ask(&["maps", "dump", "probes"]).ok()?;
        probes.as_array()?.is_empty().then_some(())
    })?;
    look_out.ends(&lab)
}

#[test]
fn without_a_way_to_the_vip_nothing_is_said_about_nodes() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let lab = TwoClusters::build(&Objects::from_env()?)?;
    let look_out = LookOut::at(&lab.fabric)?;
    // What leads to the nodes stays.
    let router = TwoClusters::GATEWAY.router(V4);
    lab.gateway.ip("route del default")?;
    lab.gateway.ip(&format!("route add 10.0.0.0/8 via {router}"))?;
    let mut gateway = Case::new("gue", V4, &[V4]).start(&lab)?;
    let trouble = gateway.until("saying why", |gateway| {
        let error = gateway.ask(&["status"]).ok()?["lastError"].as_str()?.to_owned();
        error.contains("no probes through the tunnel").then_some(error)
    })?;
    ensure!(trouble.contains(&VIP_V4.to_string()), "{trouble}");
    until_states(&mut gateway, &lab, V4, &["unknown"; 4])?;
    ensure!(fetch_within(PATIENCE, &lab.client, SocketAddr::new(V4, VIP_PORT), "/").is_ok(), "they serve");
    lab.gateway.ip(&format!("route add default via {router}"))?;
    until_states(&mut gateway, &lab, V4, &["up"; 4])?;
    ensure!(gateway.ask(&["status"])?["lastError"].is_null());
    look_out.ends(&lab)
}
