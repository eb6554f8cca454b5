//! Two machines on two links, with a next-hop resolver running on the first.
//!
//! ```text
//!   gateway                                         router
//!   up0  10.77.0.1/24, fd77::1/64, fe80::1/64  ───  down0  10.77.0.2/24, fd77::2/64, fe80::2/64
//!   up1  10.78.0.1/24                          ───  down1  10.78.0.2/24
//! ```

use std::collections::BTreeSet;
use std::fs::File;
use std::net::IpAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use lb_userspace::datapath::nexthop::{NextHop, NextHopEvent, Resolution, Resolver, Timing, Unresolved};
use nix::sched::{CloneFlags, setns};

/// Longest wait for anything; a slow machine needs a small part of it.
const PATIENCE: Duration = Duration::from_secs(20);

/// MAC of the router on the first link.
pub(crate) const ROUTER_0: [u8; 6] = [2, 0, 0, 0, 0, 0x20];
/// MAC of the router on the second link.
pub(crate) const ROUTER_1: [u8; 6] = [2, 0, 0, 0, 0, 0x21];
/// MAC of the gateway on both links.
pub(crate) const GATEWAY: [u8; 6] = [2, 0, 0, 0, 0, 0x10];

/// The two namespaces; removed when dropped, whether the test passed or not.
pub(crate) struct World {
    pub(crate) gateway: String,
    pub(crate) router: String,
}

impl World {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |role: &str| format!("spw-nexthop-{}-{number}-{role}", std::process::id());
        let world = Self { gateway: name("gateway"), router: name("router") };
        for namespace in [&world.gateway, &world.router] {
            run("ip", &["netns", "add", namespace]);
        }
        world.link("up0", "down0", "20");
        world.link("up1", "down1", "21");
        world.at_gateway("address add 10.77.0.1/24 dev up0");
        world.at_gateway("address add fd77::1/64 dev up0 nodad");
        world.at_gateway("address add fe80::1/64 dev up0 nodad");
        world.at_gateway("address add 10.78.0.1/24 dev up1");
        world.at_router("address add 10.77.0.2/24 dev down0");
        world.at_router("address add fd77::2/64 dev down0 nodad");
        world.at_router("address add fe80::2/64 dev down0 nodad");
        world.at_router("address add 10.78.0.2/24 dev down1");
        world
    }

    fn link(&self, up: &str, down: &str, last: &str) {
        let Self { gateway, router } = self;
        run_words(&format!(
            "ip -n {gateway} link add {up} address 02:00:00:00:00:10 type veth \
             peer name {down} address 02:00:00:00:00:{last} netns {router}"
        ));
        self.at_router(&format!("link set {down} up"));
        // A link-local address that appears a second later would be a notification of its own, which
        // hides a missing one.
        self.at_gateway(&format!("link set {up} addrgenmode none"));
        self.at_gateway(&format!("link set {up} up"));
    }

    /// Runs `ip WORDS` in the gateway's namespace.
    pub(crate) fn at_gateway(&self, words: &str) -> String {
        run_words(&format!("ip -n {} {words}", self.gateway))
    }

    /// Runs `ip WORDS` in the router's namespace.
    pub(crate) fn at_router(&self, words: &str) -> String {
        run_words(&format!("ip -n {} {words}", self.router))
    }

    /// Has the gateway notice a silent neighbour within a second instead of ten.
    pub(crate) fn hurry_probes(&self) {
        let namespace = &self.gateway;
        for setting in ["delay_first_probe_time=1", "retrans_time_ms=100"] {
            run_words(&format!("ip netns exec {namespace} sysctl -qw net.ipv4.neigh.up0.{setting}"));
        }
    }

    /// The next hop through the first link.
    pub(crate) fn hop_0(&self) -> NextHop {
        self.hop("up0", ROUTER_0, [10, 77, 0, 1].into())
    }

    /// The next hop through the second link.
    pub(crate) fn hop_1(&self) -> NextHop {
        self.hop("up1", ROUTER_1, [10, 78, 0, 1].into())
    }

    fn hop(&self, interface: &str, destination_mac: [u8; 6], source: IpAddr) -> NextHop {
        let shown = self.at_gateway(&format!("-oneline link show dev {interface}"));
        let index = shown.split(':').next().expect("an index before the first colon");
        NextHop {
            interface_index: index.parse().expect("a number"),
            interface_name: interface.to_owned(),
            source_mac: GATEWAY,
            destination_mac,
            vlan: None,
            source,
            mtu: 1500,
        }
    }

    /// Starts a resolver in the gateway's namespace.
    pub(crate) fn resolver(&self, timing: Timing) -> Running {
        self.resolver_with(timing, Conduct { privileged: true, backlog: 100_000 })
    }

    /// Starts a resolver in the gateway's namespace that is not as it should be.
    pub(crate) fn resolver_with(&self, timing: Timing, conduct: Conduct) -> Running {
        let namespace = File::open(format!("/run/netns/{}", self.gateway)).expect("namespace");
        let (started, resolver) = channel();
        let (events, received) = sync_channel(conduct.backlog);
        thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("enter the namespace");
            if !conduct.privileged {
                become_nobody();
            }
            serve(timing, &started, &events);
        });
        let resolver = resolver.recv_timeout(PATIENCE).expect("the resolver starts");
        Running { resolver, events: received }
    }
}

/// How the thread of a resolver behaves.
#[derive(Clone, Copy)]
pub(crate) struct Conduct {
    pub(crate) privileged: bool,
    /// Events held for the test; beyond them the thread stands still, sockets and all.
    pub(crate) backlog: usize,
}

/// Gives up every capability of this thread alone; the C library would do it to all of them.
fn become_nobody() {
    // SAFETY: the system call takes three integers, touches no memory of ours, and changes the
    // credentials of the calling thread, which is the resolver's own and ends with the test.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
    assert_eq!(result, 0, "setresuid");
}

fn serve(timing: Timing, started: &Sender<Resolver>, events: &SyncSender<NextHopEvent>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let (resolver, mut incoming) = Resolver::start(timing).expect("netlink opens");
        started.send(resolver).expect("the test waits for it");
        while let Some(event) = incoming.recv().await {
            if events.send(event).is_err() {
                return;
            }
        }
    });
}

impl Drop for World {
    fn drop(&mut self) {
        for namespace in [&self.gateway, &self.router] {
            let removed = Command::new("ip").args(["netns", "delete", namespace]).status();
            if !removed.is_ok_and(|status| status.success()) {
                eprintln!("namespace {namespace} could not be removed");
            }
        }
    }
}

/// A resolver and what it says.
pub(crate) struct Running {
    resolver: Resolver,
    events: Receiver<NextHopEvent>,
}

impl Running {
    pub(crate) fn target(&self, addresses: &[&str]) {
        let parsed = addresses.iter().map(|address| address.parse().expect("an address"));
        self.resolver.set_targets(parsed.collect::<BTreeSet<IpAddr>>());
    }

    /// Waits until `address` is said to have exactly this resolution; returns how many events about it
    /// were seen on the way.
    pub(crate) fn wait(&self, address: &str, expected: &Resolution) -> usize {
        let address: IpAddr = address.parse().expect("an address");
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(event) = self.events.recv_timeout(left) else {
                panic!("{address}: expected {expected:?}, saw only {seen:?}");
            };
            if event.address == address {
                let found = event.resolution == *expected;
                seen.push(event.resolution);
                if found {
                    return seen.len();
                }
            }
        }
    }

    pub(crate) fn wait_via(&self, address: &str, hop: &NextHop) -> usize {
        self.wait(address, &Resolution::Via(hop.clone()))
    }

    pub(crate) fn wait_unresolved(&self, address: &str, reason: Unresolved) -> usize {
        self.wait(address, &Resolution::Unresolved(reason))
    }

    /// The next event of any address within `patience`, if one comes.
    pub(crate) fn next_within(&self, patience: Duration) -> Option<NextHopEvent> {
        self.events.recv_timeout(patience).ok()
    }
}

/// Waits until `probe` says yes; fails with `what` otherwise.
pub(crate) fn eventually(what: &str, mut probe: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !probe() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn run_words(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    run(words[0], &words[1..])
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the program is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {errors}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
