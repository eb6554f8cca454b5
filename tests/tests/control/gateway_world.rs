//! A gateway between a client and some nodes, each on a link of its own; an agent that can be run there.
//!
//! ```text
//! client ── eth0 [gateway] eth1 ── node 1
//!                          eth2 ── node 2
//! ```
//!
//! The gateway routes the nodes' answers back to the client. Everything goes when the world is dropped.

use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lb_tests::lab::{
    Agent, Attached, End, HEALTH_PORT, Namespace, Objects, Receiver, Server, VIP_PORT, VIP_V4, WorkDir,
    connect, fetch,
};
use nix::net::if_::if_nametoindex;

/// For anything the agent should do within a second or two.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
/// Room for an outer header, in bytes.
const MTU: u16 = 1600;

/// A node that decapsulates, holds the VIP and says its name.
pub(crate) struct Node {
    pub(crate) address: Ipv4Addr,
    pub(crate) namespace: Namespace,
    _servers: Vec<Server>,
    receiver: Option<Receiver>,
}

impl Node {
    /// Takes its program off.
    pub(crate) fn end_receiver(&mut self) {
        self.receiver = None;
    }
}

/// The namespaces, and the agent's files.
pub(crate) struct World {
    pub(crate) client: Namespace,
    pub(crate) gateway: Namespace,
    pub(crate) nodes: Vec<Node>,
    pub(crate) work: WorkDir,
    peer: Attached,
}

impl World {
    /// With as many nodes.
    pub(crate) fn new(nodes: u8) -> Self {
        let objects = Objects::from_env().unwrap();
        let (client, gateway) = (Namespace::new("client").unwrap(), Namespace::new("gateway").unwrap());
        gateway.sysctl("net/ipv4/ip_forward", "1").unwrap();
        let peer = front(&objects, &gateway, &client);
        let nodes = (1..=nodes).map(|number| node(&objects, &gateway, number)).collect();
        let world = Self { client, gateway, nodes, work: WorkDir::new().unwrap(), peer };
        world.write_secret("000102030405060708090a0b0c0d0e0f\n");
        world
    }

    /// Makes the link to the client, and with it the gateway's eth0, anew.
    pub(crate) fn make_front(&mut self) {
        self.peer = front(&Objects::from_env().unwrap(), &self.gateway, &self.client);
    }

    /// Replaces the secret.
    pub(crate) fn write_secret(&self, text: &str) {
        self.work.write_key("hash.key", text).unwrap();
    }

    /// The configuration file.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.work.path().join("spillway.yaml")
    }

    /// Replaces the configuration file, in one step.
    pub(crate) fn write(&self, text: &str) {
        let fresh = self.work.path().join("spillway.yaml.new");
        fs::write(&fresh, text).unwrap();
        fs::rename(&fresh, self.config_path()).unwrap();
    }

    /// The agent's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.work.path().join("admin.sock")
    }

    /// A configuration of one service on one pool of all nodes, balanced on eth0.
    pub(crate) fn config(&self) -> Text {
        Text {
            interfaces: "eth0".to_owned(),
            gateway: String::new(),
            service: String::new(),
            endpoints: self.nodes.iter().map(|node| IpAddr::from(node.address)).collect(),
            pin_path: self.work.bpf().join("spillway"),
            socket: self.socket(),
        }
    }

    /// Starts the agent and waits until all endpoints of `config` were found up, and its first tables are there.
    pub(crate) fn start(&self, config: &Text) -> Agent {
        self.write(&config.yaml());
        let mut agent = Agent::start(&self.gateway, &binary(), &self.config_path()).unwrap();
        self.eventually("the agent runs and finds its endpoints up", &mut agent, |_| {
            let view = self.view()?;
            let up = config.endpoints.iter().all(|address| view.state(*address) == Some("up"));
            (up && !view.published.agent.interfaces.is_empty()).then_some(())
        });
        agent
    }

    /// What is in the pins; nothing before there are any.
    pub(crate) fn view(&self) -> Option<super::gateway_view::View> {
        super::gateway_view::View::of(&self.work.bpf().join("spillway"))
    }

    /// Looks until `probe` finds something, and fails with `what` and the agent's last words otherwise.
    #[expect(clippy::unused_self, reason = "it reads as a sentence where it is called")]
    pub(crate) fn eventually<T>(
        &self,
        what: &str,
        agent: &mut Agent,
        mut probe: impl FnMut(&Agent) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            agent.check_alive().unwrap();
            if let Some(found) = probe(agent) {
                return found;
            }
            let log = || agent.last_lines().join("\n  ");
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}\n  {}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Who answers a number of requests, each over a connection of its own; each must be answered.
    pub(crate) fn answers(&self, requests: usize) -> Vec<String> {
        let target = SocketAddr::from((VIP_V4, VIP_PORT));
        let mut names: Vec<_> = (0..requests).map(|_| fetch(&self.client, target, "/").unwrap()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Runs `spillway` with these words inside the gateway; ended if it takes too long.
    pub(crate) fn spillway(&self, words: &[&str]) -> Output {
        let mut command = self.gateway.command(binary());
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        output(command.spawn().unwrap())
    }

    /// Runs `spillway run`, which is expected to end by itself: exit code and what it said.
    pub(crate) fn run_to_its_end(&self, config: &Text) -> (Option<i32>, String) {
        let file = self.work.path().join("ended.yaml");
        fs::write(&file, config.yaml()).unwrap();
        let output = self.spillway(&["run", "--config", &file.display().to_string()]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Runs `drain` or `undrain` with these words: whether it was done, and what it said.
    pub(crate) fn tell(&self, words: &[&str]) -> (bool, String) {
        let socket = format!("unix://{}", self.socket().display());
        let output = self.spillway(&[words, &["--admin", &socket]].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).trim().to_owned())
    }

    /// The index of one of the gateway's interfaces.
    pub(crate) fn index(&self, interface: &str) -> u32 {
        self.gateway.enter(|| Ok(if_nametoindex(interface)?)).unwrap()
    }

    /// Whether an XDP program sits on one of the gateway's interfaces.
    pub(crate) fn has_program(&self, interface: &str) -> bool {
        let output = self.gateway.command("ip").args(["link", "show", "dev", interface]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("prog/xdp")
    }
}

/// The program under test.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("SPILLWAY_BIN").expect("run through `cargo xtask test --tier control`").into()
}

/// The link to the client, with the client's routes. Without a program on the peer a veth loses what is sent
/// back out of it.
fn front(objects: &Objects, gateway: &Namespace, client: &Namespace) -> Attached {
    link(gateway, 0, client);
    client.ip(&format!("route add {VIP_V4} via 10.50.0.1")).unwrap();
    client.ip("route add 10.50.0.0/16 via 10.50.0.1").unwrap();
    Attached::pass(objects, client, "eth0").unwrap()
}

fn link(gateway: &Namespace, number: u8, host: &Namespace) {
    let interface = format!("eth{number}");
    let near = End {
        namespace: gateway,
        interface: &interface,
        mac: [2, 0, 0, 50, number, 1],
        addresses: vec![format!("10.50.{number}.1/24")],
    };
    let far = End {
        namespace: host,
        interface: "eth0",
        mac: [2, 0, 0, 50, number, 2],
        addresses: vec![format!("10.50.{number}.2/24")],
    };
    connect(&near, &far, MTU).unwrap();
}

fn node(objects: &Objects, gateway: &Namespace, number: u8) -> Node {
    let name = format!("node-{number}");
    let namespace = Namespace::new(&name).unwrap();
    link(gateway, number, &namespace);
    namespace.ip(&format!("address add {VIP_V4}/32 dev lo")).unwrap();
    namespace.ip(&format!("route add default via 10.50.{number}.1")).unwrap();
    let [own, from] = [2, 1].map(|host| Ipv4Addr::new(10, 50, number, host).into());
    let receiver = Receiver::load(objects, Receiver::usual(), &[own], &[from]).unwrap();
    let receiver = receiver.attach(&namespace, "eth0").unwrap();
    let servers = [VIP_PORT, HEALTH_PORT].map(|port| Server::start(&namespace, &name, port).unwrap());
    let address = Ipv4Addr::new(10, 50, number, 2);
    Node { address, namespace, _servers: servers.into(), receiver: Some(receiver) }
}

fn output(mut child: Child) -> Output {
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("it did not end within {PATIENCE:?}:\n{said}");
        }
        thread::sleep(Duration::from_millis(20));
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
    Output { status, stdout, stderr }
}

/// A configuration to be written.
#[derive(Clone)]
pub(crate) struct Text {
    /// Elements of `gateway.interfaces`.
    pub(crate) interfaces: String,
    /// More of `gateway`, from a line break on.
    pub(crate) gateway: String,
    /// More of the service.
    pub(crate) service: String,
    pub(crate) endpoints: Vec<IpAddr>,
    pub(crate) pin_path: PathBuf,
    pub(crate) socket: PathBuf,
}

impl Text {
    pub(crate) fn yaml(&self) -> String {
        let Self { interfaces, gateway, service, .. } = self;
        let endpoint = |address: &IpAddr| format!("{{address: \"{address}\"}}");
        let endpoints: Vec<_> = self.endpoints.iter().map(endpoint).collect();
        format!(
            "apiVersion: spillway/v1
clusterSet: {{id: test, self: eu-1, secretFile: hash.key}}
gateway:
  interfaces: [{interfaces}]
  pinPath: {}
  listen: {{admin: \"unix://{}\"}}{gateway}
clusters:
- name: eu-1
services:
- {{name: test/web, vips: [{VIP_V4}], ports: [{{port: {VIP_PORT}}}], pools: [web]{service}}}
pools:
- {{name: web, cluster: eu-1, rows: 256, health: http, endpoints: [{}]}}
healthChecks:
- {{name: http, type: http, path: /healthz, port: {HEALTH_PORT}, interval: 250ms, timeout: 200ms, rise: 1, fall: 2}}
",
            self.pin_path.display(),
            self.socket.display(),
            endpoints.join(", "),
        )
    }
}
