use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use lb_common::abi::Features;
use thiserror::Error;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::admin::{Admin, AdminError, Ask};
use super::agent::Agent;
use super::reload::{Origin, Reload};
use super::watch;
use super::{adopt, interfaces};
use crate::compile::{AdoptError, Ledger, Sizes};
use crate::config::model::Config;
use crate::config::{self, Problems};
use crate::datapath::attach::AttachError;
use crate::datapath::clock::monotonic;
use crate::datapath::events::Events;
use crate::datapath::load::{self, LoadError, Loaded, RenewError};
use crate::datapath::lock::{LockError, PinLock};
use crate::datapath::maps::MapsError;
use crate::datapath::nexthop::{NextHopEvent, Resolver, StartError, Timing};
use crate::datapath::packet_log::{PacketLog, PacketLogError};
use crate::datapath::pins::{Pins, Tenant};
use crate::datapath::privilege::{self, PrivilegeError};
use crate::datapath::state;
use crate::health::{self, Checker, HealthEvent};
use crate::observe::published::Published;
use crate::reconcile::Maps as _;
use crate::report::{Asker, Heard};

/// How long new tables wait for the next hops.
pub(super) const SETTLE: Duration = Duration::from_secs(1);
/// Health events that may wait.
const EVENTS: usize = 4096;

/// Why the agent ended, or did not begin.
#[derive(Debug, Error)]
pub enum RunError {
    /// A privilege is missing.
    #[error(transparent)]
    Privilege(#[from] PrivilegeError),
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] Problems),
    /// The program is not in the kernel.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The program cannot be exchanged for one that can do more.
    #[error(transparent)]
    Renew(#[from] RenewError),
    /// Packets cannot be logged.
    #[error(transparent)]
    PacketLog(#[from] PacketLogError),
    /// Another agent is there.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The socket for commands.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// What a receiver goes by cannot be read or written.
    #[error(
        "the receiver's maps or this machine's addresses: {0}; name fewer `gateways` or `addresses` if there are many"
    )]
    Receiver(std::io::Error),
    /// This machine's interfaces cannot be watched.
    #[error(
        "cannot open a netlink route socket: {0}; is AF_NETLINK allowed here (seccomp, container policy)?"
    )]
    Links(std::io::Error),
    /// The pinned maps have another size.
    #[error(
        "{0}; `spillway unload` removes them, and with them the program, so that the new limits can take force"
    )]
    Shape(MapsError),
    /// An interface is not balanced.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Next hops cannot be asked for.
    #[error(transparent)]
    NextHops(#[from] StartError),
    /// The first tables could not be made or written.
    #[error("the tables could not be applied: {0}")]
    Apply(String),
    /// What the program tells cannot be watched.
    #[error("the program's events: {0}")]
    Events(std::io::Error),
    /// Signals cannot be watched.
    #[error("signals: {0}")]
    Signals(std::io::Error),
}

/// Everything that sends events to the agent.
pub(super) struct Sources {
    pub(super) resolver: Resolver,
    pub(super) next_hops: mpsc::Receiver<NextHopEvent>,
    pub(super) checker: Checker<health::Network>,
    pub(super) health: mpsc::Receiver<HealthEvent>,
    pub(super) asker: Asker,
    pub(super) reports: mpsc::Receiver<Heard>,
    pub(super) asks: mpsc::Receiver<Ask>,
    /// What the program tells.
    pub(super) told: AsyncFd<Events>,
}

/// Runs the agent until it is told to end by SIGINT or SIGTERM.
pub async fn run(origin: Origin, log: PacketLog) -> Result<(), RunError> {
    privilege::check()?;
    let signals = watch::Signals::new().map_err(RunError::Signals)?;
    let read = origin.read()?;
    let config = read.config;
    let pins = Pins::new(&config.gateway.pin_path);
    let found = pins.directory().exists();
    load::prepare(&pins, Tenant::Gateway)?;
    let _lock = PinLock::take(&pins)?;
    let opened = Admin::listen(&config.gateway.admin)
        .map_err(RunError::from)
        .and_then(|listening| Ok((listening, open(&pins, &config, log)?)));
    let ((_socket, asks), (loaded, published)) = opened.inspect_err(|_| leave_nothing(found, &pins))?;
    match begin(config, &pins, loaded, published.as_ref(), asks).await {
        Ok((agent, sources)) => {
            watch::watch(agent, sources, Reload::new(origin, read.key_files), signals).await;
            Ok(())
        }
        Err(error) => {
            leave_nothing(published.is_some(), &pins);
            Err(error)
        }
    }
}

/// The first tables, then the interfaces.
async fn begin(
    config: Config,
    pins: &Pins,
    mut loaded: Loaded,
    published: Option<&Published>,
    asks: mpsc::Receiver<Ask>,
) -> Result<(Agent, Sources), RunError> {
    let sizes = Sizes::of(&config.gateway.limits);
    let ledger = match published {
        Some(published) => {
            // Packets may be under way by tables that the agent before had just replaced.
            loaded.maps.grace();
            Ledger::adopt(published.record.clone(), sizes, &loaded.maps, monotonic()).map_err(adoption)?
        }
        None => Ledger::new(sizes),
    };
    loaded.log_packets()?;
    let mut agent = Agent::new(config, pins.clone(), loaded, ledger, published);
    let mut sources = sources(&mut agent, asks)?;
    agent.published.features = agent.loaded.features().bits();
    settle(&mut agent, &mut sources).await;
    agent.converge().map_err(RunError::Apply)?;
    agent.attach()?;
    agent.prune();
    agent.follow_probes();
    Ok((agent, sources))
}

/// A start that failed leaves no maps behind, unless they were there or a program uses them.
pub(super) fn leave_nothing(were_there: bool, pins: &Pins) {
    if !were_there
        && pins.links().is_ok_and(|links| links.is_empty())
        && let Err(reason) = pins.remove_all()
    {
        warn!(event = "maps", %reason, "the maps are left behind");
    }
}

fn adoption(error: AdoptError) -> RunError {
    RunError::Apply(format!("{error}; `spillway unload` removes the pinned maps"))
}

/// The program over the maps that are pinned, if they are whole and their record can be read; else over new
/// ones. An attached program keeps the old ones until it is replaced, so that no packet is lost either way.
fn open(pins: &Pins, config: &Config, log: PacketLog) -> Result<(Loaded, Option<Published>), RunError> {
    let (sizes, needed) = (Sizes::of(&config.gateway.limits), config::features(config));
    let mut loaded = Loaded::load(pins, &sizes, log, needed).map_err(shape)?;
    if !loaded.adopted {
        return Ok((loaded, None));
    }
    match read(&loaded) {
        Ok(Some(published)) => {
            // The tables in force may need more, those to come what the program on the interfaces cannot do.
            let held = needed.with(Features::of_bits(published.agent.features));
            if held != needed {
                loaded.renew(pins, &sizes, held)?;
            }
            interfaces::exchange(&mut loaded, pins)?;
            Ok((loaded, Some(published)))
        }
        Ok(None) => anew(pins, config, log, "it has no record"),
        Err(reason) => anew(pins, config, log, &reason),
    }
}

/// Tells pins of another size apart: what they hold is in force.
pub(super) fn shape(error: LoadError) -> RunError {
    match error {
        LoadError::Maps(error @ MapsError::Shape { .. }) => RunError::Shape(error),
        error => RunError::Load(error),
    }
}

fn read(loaded: &Loaded) -> Result<Option<Published>, String> {
    let text =
        state::read(loaded.maps.mapping(lb_common::abi::map::STATE)).map_err(|error| error.to_string())?;
    text.map(|text| serde_json::from_slice(&text).map_err(|error| error.to_string())).transpose()
}

fn anew(
    pins: &Pins,
    config: &Config,
    log: PacketLog,
    reason: &str,
) -> Result<(Loaded, Option<Published>), RunError> {
    warn!(event = "maps", reason, "the pinned maps cannot be adopted and are made anew");
    let directory = pins.directory().display().to_string();
    pins.remove_maps().map_err(|source| LoadError::Pins { directory, source })?;
    let (sizes, needed) = (Sizes::of(&config.gateway.limits), config::features(config));
    Ok((Loaded::load(pins, &sizes, log, needed)?, None))
}

fn sources(agent: &mut Agent, asks: mpsc::Receiver<Ask>) -> Result<Sources, RunError> {
    let (resolver, next_hops) = Resolver::start(Timing::default())?;
    agent.ask_ways(&resolver, None);
    let (config, pins) = (&agent.config, &agent.pins);
    let (sender, health) = mpsc::channel(EVENTS);
    let salt = salt();
    let options = health::Options { salt, ..health::Options::default() };
    let network = health::Network { ways: agent.probes.ways.clone() };
    let mut checker = Checker::start(network, options, sender).resuming(adopt::judged(&agent.observed));
    checker.apply(config);
    let told = Events::open(pins).map_err(LoadError::from)?;
    let told = told.watched().map_err(RunError::Events)?;
    let (sender, reports) = mpsc::channel(EVENTS);
    let mut asker = Asker::start(salt, sender);
    asker.apply(agent.ask_nodes());
    Ok(Sources { resolver, next_hops, checker, health, asker, reports, asks, told })
}

/// Gateways are not to probe in step; that is all this number is for.
fn salt() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) << 32 | u64::from(std::process::id())
}

/// Every address that packets are encapsulated to.
pub(super) fn targets(config: &Config) -> BTreeSet<IpAddr> {
    config.pools.iter().flat_map(|pool| &pool.endpoints).map(|endpoint| endpoint.address).collect()
}

/// Takes in next hops until each is known or the time is over: an unresolved backend does not serve, and one
/// that served before a restart must not miss a packet because the kernel was not asked yet.
async fn settle(agent: &mut Agent, sources: &mut Sources) {
    let deadline = Instant::now() + SETTLE;
    while !agent.awaited.is_empty() {
        match timeout_at(deadline, sources.next_hops.recv()).await {
            Ok(Some(event)) => agent.next_hop(event),
            Ok(None) | Err(_) => break,
        }
    }
    info!(event = "settled", unresolved = agent.awaited.len(), "next hops are known");
    agent.give_up_waiting();
}
