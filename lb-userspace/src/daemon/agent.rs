use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use lb_common::abi::{AccessKey, Event};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::{debug, error, info, warn};

use super::breakers::Breakers;
use super::demand::Asked;
use super::drills::Drilling;
use super::interfaces;
use super::machine;
use super::news::News;
use super::outliers::Outlying;
use super::probes::Probes;
use super::reports::Reports;
use super::rollouts::Rolling;
use super::start::{RunError, targets};
use super::tracking::{Tracking, instant};
use super::trouble::Trouble;
use crate::compile::{Cache, Ledger, MapImage, compile};
use crate::config::model::Config;
use crate::datapath::attach::Attachment;
use crate::datapath::clock::monotonic;
use crate::datapath::load::Loaded;
use crate::datapath::pins::Pins;
use crate::datapath::state::{self, StateError};
use crate::observe::event::Told;
use crate::observe::published::{self, Drained, Published};
use crate::policy;
use crate::policy::memory::Memory;
use crate::policy::observed::{NextHop, Observed};
use crate::reconcile::{self, Maps as _, Op};

/// What the agent knows, and the kernel's maps that it keeps true to it.
pub(super) struct Agent {
    pub(super) config: Config,
    pub(super) pins: Pins,
    pub(super) loaded: Loaded,
    pub(super) ledger: Ledger,
    cache: Cache,
    pub(super) observed: Observed,
    /// What policy remembers.
    pub(super) memory: Memory,
    /// When time alone leads to other tables, in milliseconds of [`monotonic`]; `None`: it does not.
    due: Option<u64>,
    /// The configured interfaces that the program is on.
    pub(super) attached: Vec<Attachment>,
    /// Endpoint addresses whose way has been asked for and is not known yet.
    pub(super) awaited: BTreeSet<IpAddr>,
    pub(super) news: News,
    pub(super) published: published::Agent,
    pub(super) trouble: Trouble,
    /// What becomes of the rows that are not clean.
    pub(super) tracking: Tracking,
    /// What probes through tunnels need.
    pub(super) probes: Probes,
    /// What nodes report, beside what is observed.
    pub(super) reports: Reports,
    /// Who is taken out by what clients' packets say.
    pub(super) outlying: Outlying,
    /// What clients ask for.
    pub(super) asked: Asked,
    /// Which pools are kept out by it.
    pub(super) breakers: Breakers,
    /// Which clusters are lost on purpose.
    pub(super) drilling: Drilling,
    /// How far rollouts are.
    pub(super) rolling: Rolling,
    /// What was applied last.
    pub(super) image: Option<Arc<MapImage>>,
    /// Whether the kernel's access prefixes may be others than the seals on them say.
    doubtful: bool,
    /// What was published last.
    written: Option<Published>,
}

impl Agent {
    /// `adopted`: what the agent before left; its verdicts hold until a probe says otherwise, what an operator drained stays
    /// drained, and what was held back stays so.
    pub(super) fn new(
        config: Config,
        pins: Pins,
        loaded: Loaded,
        ledger: Ledger,
        adopted: Option<&Published>,
    ) -> Self {
        let awaited = targets(&config);
        let Drained { backends, clusters } = adopted.map(|seen| seen.drained.clone()).unwrap_or_default();
        let observed = Observed {
            health: adopted.map(super::adopt::verdicts).unwrap_or_default(),
            own_addresses: machine::addresses(),
            drained_backends: backends,
            drained_clusters: clusters,
            ..Observed::default()
        };
        let mut agent = Self {
            config,
            pins,
            loaded,
            ledger,
            cache: Cache::default(),
            observed,
            memory: adopted.map(|seen| seen.memory.clone()).unwrap_or_default(),
            due: None,
            attached: Vec::new(),
            awaited,
            news: News::default(),
            published: super::adopt::introduce(adopted),
            trouble: Trouble::default(),
            tracking: Tracking::default(),
            probes: Probes::default(),
            reports: Reports::default(),
            outlying: adopted.map(|seen| Outlying::of(&seen.ejections)).unwrap_or_default(),
            asked: Asked::default(),
            breakers: adopted.map(|seen| Breakers::of(&seen.breakers)).unwrap_or_default(),
            drilling: adopted.map(|seen| Drilling::of(&seen.drills)).unwrap_or_default(),
            rolling: adopted.map(|seen| Rolling::of(&seen.rollouts)).unwrap_or_default(),
            image: None,
            doubtful: true,
            written: None,
        };
        agent.reports.tables_changed(monotonic());
        agent.forget_drains();
        agent.forget_outliers();
        agent.forget_breakers();
        agent.follow_drills();
        agent.follow_rollouts();
        agent.follow_configuration();
        agent
    }

    /// Brings the tables up to date; what fails is said and tried again at the next event.
    pub(super) fn follow(&mut self) -> Result<(), String> {
        self.news.tell();
        let followed = self.converge();
        if let Err(reason) = &followed {
            error!(event = "apply", reason, "the tables stay as they are");
            self.trouble.tables = Some(reason.clone());
            self.tracking.give_up();
            self.publish_or_say();
        }
        self.follow_probes();
        followed
    }

    /// Policy, compile, reconcile. The record of a generation is published before its first change is applied,
    /// and again when what it replaced is released: it names at any moment all that the kernel may hold.
    pub(super) fn converge(&mut self) -> Result<(), String> {
        let started = Instant::now();
        let withheld = self.admit_egresses();
        let now = monotonic();
        let decision = policy::decide_after(&self.memory, &self.config, &self.observed, now);
        self.observed.next_hops.extend(withheld);
        let desired = decision.desired;
        (self.memory, self.due) = (decision.memory, decision.due);
        let compiled = compile(&desired, &mut self.ledger, &mut self.cache, now);
        let image = Arc::new(compiled.map_err(|error| error.to_string())?);
        self.published.forgotten += self.ledger.take_forgot();
        self.trouble.tables = None;
        let compiled = started.elapsed();
        self.publish()?;
        let published = started.elapsed();
        let unwanted = self.grant(&image)?;
        self.apply(&image, &unwanted);
        self.image = Some(image);
        self.tracking.follow(&self.ledger, &self.config);
        debug!(event = "converged", ?compiled, ?published, total = ?started.elapsed(), "brought up to date");
        self.publish()
    }

    /// Adds the image's access prefixes, and returns those that are to go.
    fn grant(&mut self, image: &MapImage) -> Result<Vec<AccessKey>, String> {
        let granted = reconcile::grant(image, &mut self.loaded.maps, self.doubtful);
        self.doubtful = granted.is_err();
        granted.map_err(|reason| {
            format!("access prefixes cannot be added: {reason}; raise gateway.limits.accessPrefixes if there are many")
        })
    }

    /// Takes access prefixes away that no packet goes by any more. The indices of their policies are free then.
    fn revoke(&mut self, unwanted: &[AccessKey], generation: u32) {
        match reconcile::revoke(unwanted, &mut self.loaded.maps) {
            Ok(()) => self.ledger.release_access(generation),
            Err(reason) => {
                self.doubtful = true;
                warn!(event = "access", %reason, "prefixes of a policy that is no more stay for now");
            }
        }
    }

    /// Makes the maps hold the image. Packets go by it once all that stands before the grace is stored; what
    /// follows takes away what no packet meets any more, and is not waited for by who wants to know.
    fn apply(&mut self, image: &MapImage, unwanted: &[AccessKey]) {
        let started = Instant::now();
        let ops = reconcile::plan(image, &self.loaded.maps);
        let planned = started.elapsed();
        let grace = ops.iter().position(|op| *op == Op::Grace).unwrap_or(ops.len());
        let (exchange, removal) = ops.split_at(grace);
        self.perform(exchange);
        let exchanged = started.elapsed();
        if !ops.is_empty() {
            self.tell_applied(image.generation, exchange.len());
        }
        self.perform(removal);
        self.ledger.release_tables(image.generation);
        self.revoke(unwanted, image.generation);
        self.dismiss_egresses(image);
        let total = started.elapsed();
        debug!(event = "reconciled", ?planned, ?exchanged, ?total, "the maps hold the image");
    }

    fn perform(&mut self, ops: &[Op]) {
        for op in ops {
            reconcile::perform(op, &mut self.loaded.maps);
        }
    }

    fn tell_applied(&mut self, generation: u32, changes: usize) {
        let now = SystemTime::now();
        self.published.applied = OffsetDateTime::from(now);
        self.reports.tables_changed(monotonic());
        let at = rfc3339(now);
        info!(event = "applied", generation, changes, at, "tables applied");
    }

    /// Lets packets out of every interface that leads to a backend. The next hops through one that the kernel
    /// refuses are taken out and returned: their backends must not serve.
    fn admit_egresses(&mut self) -> Vec<(IpAddr, NextHop)> {
        let egresses: BTreeSet<u32> = self.observed.next_hops.values().map(|hop| hop.interface).collect();
        let mut refused = BTreeSet::new();
        for interface in egresses {
            if let Err(reason) = self.loaded.devices.admit(interface) {
                warn!(event = "egress", %reason, "the backends behind it do not serve");
                refused.insert(interface);
            }
        }
        self.observed.next_hops.extract_if(.., |_, hop| refused.contains(&hop.interface)).collect()
    }

    /// Lets packets no longer out of interfaces that no backend names, once none is under way to them.
    fn dismiss_egresses(&mut self, image: &MapImage) {
        let used: BTreeSet<u32> = image.backends.values().map(|entry| entry.route.interface).collect();
        let unused = &self.loaded.devices.admitted() - &used;
        if unused.is_empty() {
            return;
        }
        self.loaded.maps.grace();
        for interface in unused {
            if let Err(reason) = self.loaded.devices.dismiss(interface) {
                warn!(event = "egress", interface, %reason, "stays listed");
            }
        }
    }

    /// Puts the program onto the configured interfaces and takes it off all others.
    pub(super) fn attach(&mut self) -> Result<(), RunError> {
        let wanted = &self.config.gateway.interfaces;
        let attached = interfaces::attach(&mut self.loaded, wanted, &self.pins)?;
        interfaces::detach_others(&attached, &self.pins);
        self.is_on(attached);
        self.publish().map_err(RunError::Apply)
    }

    /// Writes the record, unless it is what was written last.
    pub(super) fn publish(&mut self) -> Result<(), String> {
        self.published.last_error = self.trouble.last();
        let published = Published {
            agent: self.published.clone(),
            drained: Drained {
                backends: self.observed.drained_backends.clone(),
                clusters: self.observed.drained_clusters.clone(),
            },
            memory: self.memory.clone(),
            ejections: self.outlying.kept(),
            breakers: self.breakers.kept(),
            drills: self.drilling.kept(),
            rollouts: self.rolling.kept(),
            reports: self.reports.published(),
            loads: self.loads(),
            record: self.ledger.record().clone(),
        };
        if self.written.as_ref() == Some(&published) {
            return Ok(());
        }
        match self.write(&published) {
            // The record has room in any case, what nodes report and clients ask for perhaps not.
            Err(StateError::Full { .. }) if published.reports.is_some() || published.loads.is_some() => {
                self.write(&Published { reports: None, loads: None, ..published.clone() })
            }
            written => written,
        }
        .map_err(|error| error.to_string())?;
        self.written = Some(published);
        Ok(())
    }

    fn write(&self, published: &Published) -> Result<(), StateError> {
        // Nothing in it has keys that are no texts, or is otherwise no JSON.
        let text = serde_json::to_vec(published).map_err(|_| StateError::Damaged)?;
        state::write(self.loaded.maps.mapping(lb_common::abi::map::STATE), &text)
    }

    /// Says what the program told.
    pub(super) fn tell(&self, event: &Event) {
        if let Some(told) = Told::of(event, self.ledger.record()) {
            told.say();
        }
    }

    /// Where there is nobody left to return an error to.
    pub(super) fn publish_or_say(&mut self) {
        if let Err(reason) = self.publish() {
            error!(event = "publish", reason, "the record stays as it is");
        }
    }

    /// When time alone leads to other tables; `None`: it does not.
    pub(super) fn deadline(&self) -> Option<tokio::time::Instant> {
        self.due.map(instant)
    }

    pub(super) fn backend_index(&self, pool: &str, address: IpAddr) -> Option<u16> {
        self.ledger.record().pools.get(pool)?.backends.get(&address).map(|backend| backend.index)
    }
}

/// A time as the log writes it.
pub(super) fn rfc3339(at: SystemTime) -> String {
    OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_default()
}
