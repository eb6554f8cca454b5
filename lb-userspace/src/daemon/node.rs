//! The agent of a node: keeps the receiver on its interfaces, and its maps true to the file and to this machine's
//! addresses.
//!
//! 1. privilege, configuration, kernel: anything wrong here ends it before it has changed anything;
//! 2. the pinned maps are adopted, or made;
//! 3. the program goes onto the interfaces, then the maps are filled. A program with empty maps passes everything;
//! 4. from then on the file is followed, the machine's interfaces and addresses, and the ways to other nodes.
//!
//! At its end program and maps stay as they are: tunnel packets are taken apart on.

mod agent;
mod hops;
mod leaving;
mod reporting;
mod ways;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tracing::info;

use super::file_watch::{FileWatch, Print, print};
use super::start::{RunError, leave_nothing, shape};
use super::watch::{COALESCE, RESYNC, Signals};
use crate::config;
use crate::datapath::links::LinkWatch;
use crate::datapath::load;
use crate::datapath::lock::PinLock;
use crate::datapath::pins::{Pins, Tenant};
use crate::datapath::privilege;
use crate::datapath::receiver::Receiver;
use agent::NodeAgent;

/// How long the program may want the way to a node before it is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the agent until it is told to end by SIGINT or SIGTERM.
///
/// # Errors
/// What kept it from beginning.
pub async fn run(file: PathBuf) -> Result<(), RunError> {
    privilege::check()?;
    let signals = Signals::new().map_err(RunError::Signals)?;
    let config = config::load_node(&file)?;
    let pins = Pins::new(&config.pin_path);
    let found = pins.directory().exists();
    load::prepare(&pins, Tenant::Node)?;
    let _lock = PinLock::take(&pins)?;
    // Before the first look, so that nothing is missed in between.
    let begun = LinkWatch::open().map_err(RunError::Links).and_then(|links| {
        let receiver = Receiver::load(&pins, config.remember.flows).map_err(shape)?;
        Ok((links, NodeAgent::start(config, &pins, receiver)?))
    });
    let (links, agent) = begun.inspect_err(|_| leave_nothing(found, &pins))?;
    let [looks, resync] = [LOOK, RESYNC].map(every);
    let mut watch =
        Watch { agent, file, seen: Vec::new(), files: FileWatch::new(), links, signals, looks, resync };
    watch.files.watch(&names(&watch.file, &watch.agent));
    while watch.turn().await {}
    info!(event = "ended", "the agent ends; tunnel packets are taken apart as they are now");
    Ok(())
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// The agent, and all that it follows.
struct Watch {
    agent: NodeAgent,
    file: PathBuf,
    /// What the files looked like when they were last read; the first look reads them again.
    seen: Vec<Option<Print>>,
    files: FileWatch,
    links: LinkWatch,
    signals: Signals,
    looks: Interval,
    resync: Interval,
}

impl Watch {
    /// Takes in what happens next; false: it is time to end.
    async fn turn(&mut self) -> bool {
        tokio::select! {
            () = self.links.changed() => {
                // An interface that comes brings several changes.
                sleep(COALESCE).await;
                self.agent.follow();
            }
            event = self.agent.ways.news() => self.agent.ways.learn(&event),
            _ = self.looks.tick() => self.agent.ways.look(),
            () = self.files.changed() => self.look(false),
            _ = self.signals.hangup.recv() => {
                self.agent.follow();
                self.look(true);
            }
            _ = self.resync.tick() => {
                self.agent.follow();
                self.look(false);
            }
            _ = self.signals.interrupt.recv() => return false,
            _ = self.signals.terminate.recv() => return false,
        }
        true
    }

    /// Reads the files if one changed, or `asked` to.
    fn look(&mut self, asked: bool) {
        // Before reading: what changes meanwhile is seen the next time.
        let prints: Vec<_> = names(&self.file, &self.agent).into_iter().map(print).collect();
        if asked || prints != self.seen {
            self.seen = prints;
            let file: &Path = &self.file;
            self.agent.read(file);
        }
        self.files.watch(&names(&self.file, &self.agent));
    }
}

/// The files that the configuration comes from.
fn names<'a>(file: &'a Path, agent: &'a NodeAgent) -> Vec<&'a Path> {
    [file].into_iter().chain(agent.key_files()).collect()
}
