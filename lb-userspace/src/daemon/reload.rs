//! Another configuration while the agent runs: all of it, or nothing.
//!
//! 1. the file is read and validated as at the start; what a running agent cannot change is refused;
//! 2. the ways to its new endpoints are asked for, and waited for a moment;
//! 3. its interfaces are attached, its tables applied, interfaces it no longer names are detached;
//! 4. what is no longer configured is forgotten.
//!
//! If anything fails up to the tables, what was in force stays in force, and `status` says why.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use tokio::time::Instant;
use tracing::{debug, error, info};

use super::agent::Agent;
use super::file_watch::{Print, print};
use super::interfaces;
use super::machine;
use super::start::{SETTLE, Sources, targets};
use crate::compile::Sizes;
use crate::config::model::{Config, Gateway, Interface, XdpMode};
use crate::config::{self, Loaded, Place, Problems, check_local};

/// Problems of a refused file that `status` shows; the log has all.
const SHOWN: usize = 5;

/// Where the configuration comes from: a file, and what the command line says instead of it.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// Instead of `gateway.pinPath`.
    pub pin_path: Option<PathBuf>,
    /// Instead of `gateway.interfaces`; empty: as in the file.
    pub interfaces: Vec<String>,
}

impl Origin {
    /// Reads and validates it, also against this machine.
    ///
    /// # Errors
    /// Every problem of the file.
    pub(super) fn read(&self) -> Result<Loaded, Problems> {
        let mut loaded = config::load_with_places(&self.file)?;
        check_local(&loaded.config, &loaded.places, &machine::addresses())?;
        if let Some(pin_path) = &self.pin_path {
            loaded.config.gateway.pin_path.clone_from(pin_path);
        }
        if !self.interfaces.is_empty() {
            let named = |name: &String| Interface { name: name.clone(), mode: XdpMode::Auto };
            loaded.config.gateway.interfaces = self.interfaces.iter().map(named).collect();
        }
        Ok(loaded)
    }
}

/// Follows the file.
pub(super) struct Reload {
    origin: Origin,
    key_files: Vec<PathBuf>,
    /// What the files looked like when they were last read.
    seen: Vec<Option<Print>>,
    /// A good configuration whose ways are being asked for, and until when.
    pending: Option<(Config, Instant)>,
}

impl Reload {
    /// Follows the file that the configuration in force was read from; the first look reads it again.
    pub(super) fn new(origin: Origin, key_files: Vec<PathBuf>) -> Self {
        Self { origin, key_files, seen: Vec::new(), pending: None }
    }

    /// The files that the configuration comes from.
    pub(super) fn files(&self) -> Vec<&Path> {
        [&self.origin.file].into_iter().chain(&self.key_files).map(PathBuf::as_path).collect()
    }

    fn prints(&self) -> Vec<Option<Print>> {
        self.files().into_iter().map(print).collect()
    }

    /// Reads the files if they changed, or `asked` to.
    pub(super) fn look(&mut self, agent: &mut Agent, sources: &Sources, asked: bool) {
        // Before reading: what changes meanwhile is seen the next time.
        let prints = self.prints();
        if !asked && prints == self.seen {
            return;
        }
        self.seen = prints;
        match self.origin.read() {
            Ok(loaded) => {
                self.key_files = loaded.key_files;
                self.prepare(loaded.config, agent, sources);
            }
            Err(problems) => self.drop_for(&problems, agent, sources),
        }
    }

    fn prepare(&mut self, config: Config, agent: &mut Agent, sources: &Sources) {
        if self.pending.as_ref().is_some_and(|(pending, _)| *pending == config) {
            return;
        }
        if config == agent.config {
            debug!(event = "reload", digest = config.digest, "the configuration is what is in force");
            return self.stay(agent, sources);
        }
        if let Err(problems) = fixed(&self.origin.file, &agent.config.gateway, &config.gateway) {
            return self.drop_for(&problems, agent, sources);
        }
        agent.await_ways(&targets(&config));
        agent.ask_ways(&sources.resolver, Some(&config));
        self.pending = Some((config, Instant::now() + SETTLE));
    }

    /// The file says what is in force, after it said something else.
    fn stay(&mut self, agent: &mut Agent, sources: &Sources) {
        self.abandon(agent, sources);
        agent.trouble.configuration = None;
    }

    fn drop_for(&mut self, problems: &Problems, agent: &mut Agent, sources: &Sources) {
        self.abandon(agent, sources);
        tell(problems);
        refuse(agent, &summary(problems));
    }

    fn abandon(&mut self, agent: &mut Agent, sources: &Sources) {
        if self.pending.take().is_some() {
            agent.ask_ways(&sources.resolver, None);
            agent.forget_ways(&targets(&agent.config));
        }
    }

    /// When to go on without knowing all ways.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pending.as_ref().map(|(_, deadline)| *deadline)
    }

    /// Puts the pending configuration in force if it need not wait any longer.
    pub(super) fn proceed(&mut self, agent: &mut Agent, sources: &mut Sources) {
        let ready = |deadline: Instant| agent.awaited.is_empty() || Instant::now() >= deadline;
        let Some((config, _)) = self.pending.take_if(|(_, deadline)| ready(*deadline)) else { return };
        agent.give_up_waiting();
        if let Err(reason) = agent.adopt(config) {
            error!(event = "reload", reason, "refused");
            refuse(agent, &reason);
        } else {
            for target in sources.checker.apply(&agent.config) {
                agent.observed.health.remove(&(target.pool, target.address));
            }
            sources.asker.apply(agent.ask_nodes());
        }
        agent.ask_ways(&sources.resolver, None);
        agent.forget_ways(&targets(&agent.config));
    }
}

/// Why a changed file is not in force, into the log.
pub(super) fn tell(problems: &Problems) {
    for problem in problems {
        let (line, column, path) = (problem.line, problem.column, &problem.path);
        let (file, reason, mend) = (&problem.file, &problem.reason, &problem.mend);
        error!(event = "reload", file, line, column, path, reason, mend, "refused");
    }
}

fn refuse(agent: &mut Agent, reason: &str) {
    agent.published.refused_configs += 1;
    agent.trouble.configuration = Some(refusal(reason));
}

/// What `status` says of a refused file.
pub(super) fn refusal(reason: &str) -> String {
    format!("the changed configuration is refused and the one before stays in force: {reason}")
}

/// Problems as one line.
pub(super) fn summary(problems: &Problems) -> String {
    let one = |problem: &config::Problem| problem.to_string().replace("\n  mend: ", "; mend: ");
    let text = problems.iter().take(SHOWN).map(one).collect::<Vec<_>>().join(" | ");
    match problems.len().saturating_sub(SHOWN) {
        0 => text,
        more => format!("{text} | and {more} more, see the log"),
    }
}

/// Refuses changes of what a running agent holds on to.
fn fixed(file: &Path, now: &Gateway, new: &Gateway) -> Result<(), Problems> {
    let unload = "or end the agent, run `spillway unload` (which ends the balancing) and start it";
    let sizes = Sizes::of(&now.limits) != Sizes::of(&new.limits);
    refuse_changes(
        file,
        &[
            (
                sizes,
                "gateway.limits",
                "the sizes of maps that are pinned cannot change",
                &format!("put them back, {unload}"),
            ),
            (
                now.pin_path != new.pin_path,
                "gateway.pinPath",
                "the pins of a running agent cannot move",
                &format!("put it back, {unload}"),
            ),
            (
                now.admin != new.admin,
                "gateway.listen.admin",
                "the socket of a running agent cannot move",
                "put it back, or restart the agent, which loses no packet",
            ),
        ],
    )
}

/// Refuses those of the changes that are: whether it is one, the key's path, reason and mend of each.
pub(super) fn refuse_changes(file: &Path, changes: &[(bool, &str, &str, &str)]) -> Result<(), Problems> {
    let mut problems = Problems::new(&file.display().to_string());
    for (_, path, reason, mend) in changes.iter().filter(|(is_one, ..)| *is_one) {
        problems.add(&Place { path: (*path).to_owned(), ..Place::default() }, *reason, *mend);
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

impl Agent {
    /// Asks to be told of the ways to those of the addresses that are not known.
    fn await_ways(&mut self, targets: &BTreeSet<std::net::IpAddr>) {
        let known = |address| {
            self.observed.next_hops.contains_key(address) || self.observed.own_addresses.contains(address)
        };
        self.awaited = targets.iter().filter(|address| !known(address)).copied().collect();
    }

    /// Takes in what the configuration asks for of what is known; nothing is forgotten.
    pub(super) fn follow_configuration(&mut self) {
        self.follow_outliers();
        self.follow_breakers();
        self.follow_demand();
        self.weigh_rollouts();
    }

    /// Puts a configuration in force, or returns why it is not and the one before is.
    fn adopt(&mut self, config: Config) -> Result<(), String> {
        let (held, needed) = (self.loaded.features(), config::features(&config));
        self.provide(held.with(needed))?;
        self.published.features = held.with(needed).bits();
        let wanted = &config.gateway.interfaces;
        let attached = match interfaces::attach(&mut self.loaded, wanted, &self.pins) {
            Ok(attached) => attached,
            Err(error) => return Err(self.reattach(error.to_string())),
        };
        let before = (std::mem::replace(&mut self.config, config), self.memory.clone());
        self.follow_configuration();
        if let Err(reason) = self.converge() {
            (self.config, self.memory) = before;
            self.follow_configuration();
            interfaces::withdraw(&attached, &self.pins);
            return Err(self.reattach(format!("the tables could not be applied: {reason}")));
        }
        interfaces::detach_others(&attached, &self.pins);
        self.is_on(attached);
        self.prune();
        self.published.configured = OffsetDateTime::now_utc();
        self.trouble.configuration = None;
        self.forget_drains();
        self.forget_outliers();
        self.forget_breakers();
        self.follow_drills();
        self.keep_out();
        self.follow_rollouts();
        info!(event = "reload", digest = self.config.digest, "the changed configuration is in force");
        Ok(())
    }

    /// A mode that could not be changed may have cost the link in the old one.
    fn reattach(&mut self, reason: String) -> String {
        match interfaces::attach(&mut self.loaded, &self.config.gateway.interfaces, &self.pins) {
            Ok(attached) => {
                self.is_on(attached);
                reason
            }
            Err(again) => format!("{reason}; and what was balanced before is not: {again}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Limits, Replies};

    fn gateway() -> Gateway {
        Gateway {
            interfaces: Vec::new(),
            pin_path: "/pins".into(),
            source_v4: None,
            source_v6: None,
            limits: Limits::default(),
            admin: "/run/a.sock".into(),
            replies: Replies::default(),
            evidence: None,
            redirects: crate::config::model::Redirects::default(),
        }
    }

    #[test]
    fn what_a_running_agent_holds_on_to_is_refused_all_at_once() {
        let now = gateway();
        assert_eq!(
            fixed(Path::new("x"), &now, &Gateway { source_v4: Some([192, 0, 2, 1].into()), ..gateway() }),
            Ok(())
        );
        let new = Gateway {
            pin_path: "/elsewhere".into(),
            admin: "/run/b.sock".into(),
            limits: Limits { rows: 4096, ..Limits::default() },
            ..gateway()
        };
        let problems = fixed(Path::new("x"), &now, &new).unwrap_err();
        let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["gateway.limits", "gateway.pinPath", "gateway.listen.admin"]);
    }

    #[test]
    fn a_summary_is_one_line_and_not_endless() {
        let mut problems = Problems::new("x.yaml");
        for line in 1..=7 {
            problems.add(&Place { line, column: 1, path: "a".into() }, "is bad", "mend it");
        }
        let text = summary(&problems);
        assert!(text.starts_with("x.yaml:1:1: a: is bad; mend: mend it | x.yaml:2:1:"), "{text}");
        assert!(text.ends_with("| and 2 more, see the log") && !text.contains('\n'), "{text}");
    }
}
