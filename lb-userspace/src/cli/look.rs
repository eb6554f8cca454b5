//! Opens the pins to look at them. No agent is asked.

use std::fs;
use std::io;

use anyhow::anyhow;
use clap::Args;
use lb_common::abi::{
    AccessKey, BackendCounters, Evidence, ProbeCounters, ServiceCounters, TrackingCounters, map,
};
use lb_common::flow::Flow;
use lb_common::reason::Reason;
use time::OffsetDateTime;

use super::output::Output;
use super::{Failure, Pinned};
use crate::datapath::clock::monotonic;
use crate::datapath::connections::Connections;
use crate::datapath::inventory::interface_name;
use crate::datapath::maps::KernelMaps;
use crate::datapath::pins::{Pins, Tenant};
use crate::datapath::state;
use crate::evidence::Moment;
use crate::explain::{Known, access_policy};
use crate::observe::published::Published;
use crate::observe::view::{Counts, Seen};
use crate::reconcile::MemoryMaps;

/// How often the maps are copied anew because the agent changed their names meanwhile.
const TRIES: usize = 5;

/// Where to look, and how to tell.
#[derive(Debug, Args)]
pub(super) struct Source {
    #[command(flatten)]
    pub(super) pinned: Pinned,
    #[command(flatten)]
    pub(super) output: Output,
}

/// The maps and the names of what they hold.
pub(super) struct Look {
    maps: KernelMaps,
    pub(super) published: Published,
    pub(super) snapshot: MemoryMaps,
    now: OffsetDateTime,
    pub(super) pins: Pins,
}

impl Look {
    /// Copies what is pinned, with a record that is of the same moment.
    pub(super) fn at(pinned: &Pinned) -> Result<Self, Failure> {
        let pins = gateway(pinned)?;
        let maps = open(&pins)?;
        let mut text = required(&maps, &pins)?;
        let mut snapshot = MemoryMaps::of(&maps);
        for _ in 1..TRIES {
            let after = required(&maps, &pins)?;
            if after == text {
                break;
            }
            (text, snapshot) = (after, MemoryMaps::of(&maps));
        }
        Ok(Self { published: parse(&text, &pins)?, maps, snapshot, now: OffsetDateTime::now_utc(), pins })
    }

    /// The recorded connections, as they are now.
    pub(super) fn connections(&self) -> Result<Connections, Failure> {
        Connections::open(&self.pins).map_err(|error| Failure::of_kernel(error.into()))
    }

    /// Puts into the snapshot what the kernel's prefixes say of a flow's source, under the source's own key.
    pub(super) fn ask_access(&mut self, flow: &Flow) {
        let Some(policy) = access_policy(flow, &self.snapshot) else { return };
        let source = AccessKey::of_source(policy, flow.family, flow.source);
        self.snapshot.prefixes.extend(self.maps.access(&source).map(|flags| (source, flags)));
    }

    /// What the record says of the snapshot at present.
    pub(super) fn known(&self) -> Known<'_> {
        Known::published(&self.published, monotonic())
    }

    /// What was counted up to now; the record is as it was.
    pub(super) fn moment(&self) -> Moment {
        Moment::of(&self.published.record, |index| self.maps.reading(index))
    }

    /// What the views are made from.
    pub(super) fn seen(&self) -> Seen<'_, MemoryMaps> {
        Seen {
            published: &self.published,
            tables: &self.snapshot,
            counts: &self.maps,
            connections: (0, 0),
            interface_name: &interface_name,
            now: self.now,
            monotonic: monotonic(),
        }
    }
}

impl Counts for KernelMaps {
    fn service(&self, index: u32) -> ServiceCounters {
        self.service_counters(index)
    }

    fn backend(&self, index: u32) -> BackendCounters {
        self.backend_counters(index)
    }

    fn evidence(&self, index: u32) -> Evidence {
        self.evidence(index)
    }

    fn tracking(&self) -> TrackingCounters {
        self.tracking_counters()
    }

    fn probes(&self) -> ProbeCounters {
        self.probe_counters()
    }

    fn reason(&self, reason: Reason) -> u64 {
        self.reason_count(reason)
    }
}

/// A gateway's pins.
fn gateway(pinned: &Pinned) -> Result<Pins, Failure> {
    let pins = pins(pinned)?;
    if pins.tenant() == Some(Tenant::Node) {
        let have = "use `spillway status` and `spillway maps`, or the --pin-path of a gateway";
        return Err(anyhow!("the maps at {} are a node's; {have}", pins.directory().display()).into());
    }
    Ok(pins)
}

/// The pins, if there are any that may be looked at.
pub(super) fn pins(pinned: &Pinned) -> Result<Pins, Failure> {
    let pins = Pins::new(&pinned.pin_path);
    let directory = pins.directory().display();
    match fs::metadata(pins.directory()) {
        Ok(_) => Ok(pins),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mend =
                "is the agent running with another --pin-path? (a node's is /sys/fs/bpf/spillway-node)";
            Err(anyhow!("nothing is pinned at {directory}; {mend}").into())
        }
        Err(error) => Err(Failure::of_kernel(anyhow!(error).context(directory.to_string()))),
    }
}

/// All maps, to be read.
pub(super) fn open(pins: &Pins) -> Result<KernelMaps, Failure> {
    KernelMaps::look(pins).map_err(|error| Failure::of_kernel(error.into()))
}

/// The agent's record, if one was ever written.
pub(super) fn record(maps: &KernelMaps, pins: &Pins) -> Result<Option<Published>, Failure> {
    written(maps, pins)?.map(|text| parse(&text, pins)).transpose()
}

fn written(maps: &KernelMaps, pins: &Pins) -> Result<Option<Vec<u8>>, Failure> {
    let place = || pins.map(map::STATE).display().to_string();
    Ok(state::read(maps.mapping(map::STATE)).map_err(|error| anyhow!(error).context(place()))?)
}

fn required(maps: &KernelMaps, pins: &Pins) -> Result<Vec<u8>, Failure> {
    let mend = "wait until the agent has applied its first tables, or see its log";
    let absent = || anyhow!("the maps at {} have no record yet; {mend}", pins.directory().display());
    Ok(written(maps, pins)?.ok_or_else(absent)?)
}

fn parse(text: &[u8], pins: &Pins) -> Result<Published, Failure> {
    let mend = "use the `spillway` of the same version as the agent's";
    let foreign =
        |error| anyhow!("the record at {} cannot be read: {error}; {mend}", pins.map(map::STATE).display());
    Ok(serde_json::from_slice(text).map_err(foreign)?)
}
