//! What the agent costs: building a table, filling empty maps, memory.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use lb_common::abi::Features;
use lb_userspace::compile::node::Member as Contender;
use lb_userspace::compile::{Cache, Ledger, Sizes, compile, maglev};
use lb_userspace::config::model::{
    Affinity, Algorithm, ClusterState, EncapKind, Limits, OnNoBackend, Protocol, Replies, ServicePort,
    Tracking, UdpOnChange,
};
use lb_userspace::datapath::load::Loaded;
use lb_userspace::datapath::packet_log::PacketLog;
use lb_userspace::datapath::pins::Pins;
use lb_userspace::policy::desired::{
    Cluster, Desired, Egress, Member, MemberState, Pool, Reach, Redirects, Service, Share, Vip, WHOLE,
};
use lb_userspace::policy::observed::NextHop;
use lb_userspace::reconcile::reconcile;
use serde::Serialize;
use serde_json::Value;

use super::machine::{self, Machine};
use super::resident;
use crate::lab::WorkDir;

pub(super) const ROWS: u32 = 65_536;
pub(super) const SERVICES: u16 = 1_000;
pub(super) const POOLS: u16 = 10;
pub(super) const NODES: u16 = 100;
const REPEATS: usize = 21;

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Subject {
    /// The spillway program to run; `cargo xtask bench` sets it
    #[arg(long, env = "SPILLWAY_BIN", value_name = "PATH")]
    spillway: PathBuf,
}

/// The control plane's figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    machine: Machine,
    /// A table of 65,536 rows for 1,000 members of different weights, in milliseconds: the median.
    maglev_build_ms: f64,
    /// 1,000 services on 10 pools of 100 nodes, compiled and written into empty kernel maps, in milliseconds.
    reconcile_cold_ms: f64,
    /// The same where every service has weights of its own, so that no cluster table is shared.
    reconcile_cold_distinct_ms: f64,
    /// Memory of a running agent that serves all of it, the mapped maps included, in MiB.
    agent_rss_mb: f64,
}

impl Report {
    /// One object.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::to_value(self)?)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>8.2} ms  a Maglev table, 65,536 rows, 1,000 weighted members", self.maglev_build_ms)?;
        writeln!(f, "{:>8.1} ms  1,000 services on 10 pools into empty maps", self.reconcile_cold_ms)?;
        writeln!(f, "{:>8.1} ms  the same, no two with the same weights", self.reconcile_cold_distinct_ms)?;
        writeln!(f, "{:>8.1} MiB of memory in a running agent that serves them", self.agent_rss_mb)
    }
}

/// Measures. Fails without root or the program.
pub fn measure(subject: &Subject) -> Result<Report> {
    Ok(Report {
        machine: machine::describe(),
        maglev_build_ms: maglev_build(),
        reconcile_cold_ms: cold(false)?,
        reconcile_cold_distinct_ms: cold(true)?,
        agent_rss_mb: resident::agent(&subject.spillway)?,
    })
}

fn maglev_build() -> f64 {
    let members: Vec<_> = (0..SERVICES)
        .map(|number| Contender {
            address: address(3, number).into(),
            port: 0,
            weight: u32::from(number % 10) + 1,
        })
        .collect();
    let mut times: Vec<_> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(maglev::table(std::hint::black_box(&members), ROWS));
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[REPEATS / 2]
}

/// Milliseconds from what is desired to maps that hold it.
fn cold(distinct: bool) -> Result<f64> {
    let work = WorkDir::new()?;
    let sizes = Sizes::of(&Limits::default());
    let mut loaded = Loaded::load(&Pins::new(&work.bpf()), &sizes, PacketLog::Off, Features::default())?;
    let (mut ledger, mut cache) = (Ledger::new(sizes), Cache::default());
    let desired = desired(distinct);
    let start = Instant::now();
    let image = compile(&desired, &mut ledger, &mut cache, 0)?;
    reconcile(&image, &mut loaded.maps)?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

pub(super) fn address(block: u8, number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, block, high, low))
}

fn desired(distinct: bool) -> Desired {
    Desired {
        access: Vec::new(),
        redirects: Redirects::default(),
        config_digest: String::new(),
        replies: Replies::default(),
        evidence: None,
        secret: (1, 2),
        tunnel_key: None,
        change_window: 300_000,
        roll_delay: 0,
        clusters: (0..POOLS).map(|n| Cluster { name: cluster(n), state: ClusterState::Active }).collect(),
        services: (0..SERVICES).map(|number| service(number, distinct)).collect(),
        pools: (0..POOLS).map(pool).collect(),
    }
}

fn cluster(number: u16) -> String {
    format!("c{number}")
}

fn service(number: u16, distinct: bool) -> Service {
    let share = |pool: u16| {
        let weight = if distinct && pool == 0 { 100 + number } else { 100 };
        Share::fixed(format!("p{pool}"), cluster(pool), weight)
    };
    Service {
        name: format!("bench/s{number}"),
        vips: vec![Vip { address: address(200, number), local: false }],
        ports: vec![ServicePort { name: None, protocol: Protocol::Tcp, port: 443, last: None }],
        affinity: Affinity::Flow,
        tracking: Tracking::Transition,
        udp_on_change: UdpOnChange::Keep,
        access: None,
        on_no_backend: OnNoBackend::Drop,
        quic: Vec::new(),
        shares: (0..POOLS).map(share).collect(),
    }
}

fn pool(number: u16) -> Pool {
    let members = (0..NODES).map(|node| member(address(100, number * NODES + node)));
    Pool {
        name: format!("p{number}"),
        cluster: cluster(number),
        weight: 100,
        rows: ROWS,
        encap: EncapKind::Ipip,
        algorithm: Algorithm::Maglev,
        panic: false,
        kept_out: None,
        members: members.collect(),
    }
}

fn member(address: IpAddr) -> Member {
    let hop = NextHop {
        interface: 1,
        vlan: 0,
        destination_mac: [2, 0, 0, 0, 0, 1],
        source_mac: [2, 0, 0, 0, 0, 2],
        source: None,
        mtu: 1500,
    };
    let reach = Reach::Via(Egress { hop, source: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), mtu: 1500 });
    let state = MemberState::Up;
    Member {
        address,
        weight: 1,
        tenths: WHOLE,
        server_id: None,
        state,
        reason: String::new(),
        changed_ms: 0,
        reach,
    }
}
