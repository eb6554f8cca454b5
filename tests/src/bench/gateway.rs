//! The gateway's program as the benchmark loads it: over maps of its own, that nobody else fills.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aya::maps::{MapData, PerCpuArray, ProgramArray};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use lb_common::abi::{Features, Program as Called, TrackingCounters, map};

use super::case::Setting;
use super::world::{self, Value};

/// What to say when a program or a map is not there.
pub(crate) const LOAD: &str = "cannot load the benchmark's programs; this needs root";

/// The program and its maps.
pub(crate) struct Gateway {
    object: Ebpf,
}

impl Gateway {
    /// Loads it as the setting says; packets leave by the interface with this index.
    pub(crate) fn load(directory: &Path, setting: Setting, interface: u32) -> Result<Self> {
        let mut loader = EbpfLoader::new();
        // As the agent loads it: no line of the log is in it.
        loader.override_global("AYA_LOG_LEVEL", &0_u8, true);
        let features = setting.features().bits();
        loader.override_global(Features::GLOBAL, &features, true);
        loader.map_max_entries(map::CONNECTIONS, world::CONNECTIONS);
        let mut object = loader.load_file(directory.join("gateway")).context(LOAD)?;
        program(&mut object, "gateway")?.load().context("the kernel refuses the gateway's program")?;
        put_called(&mut object)?;
        world::fill(&mut object, interface)?;
        Ok(Self { object })
    }

    /// The program.
    pub(crate) fn program(&mut self) -> Result<&mut Xdp> {
        program(&mut self.object, "gateway")
    }

    /// Connections found and recorded so far, on all processors.
    pub(crate) fn found_and_recorded(&self) -> Result<(u64, u64)> {
        let map = self.object.map(map::TRACKING_STATS).context("the gateway has no map tracking_stats")?;
        let stats: PerCpuArray<&MapData, Value<TrackingCounters>> = PerCpuArray::try_from(map)?;
        let sum = |(hits, inserted), Value(cpu): &Value<TrackingCounters>| {
            (hits + cpu.hits, inserted + cpu.inserted)
        };
        Ok(stats.get(&0, 0)?.iter().fold((0, 0), sum))
    }
}

/// Puts the programs that the gateway's calls where it looks for them. The map stays the object's: the kernel
/// empties it when nobody holds it any more.
fn put_called(object: &mut Ebpf) -> Result<()> {
    for called in Called::ALL {
        let program = program(object, called.name())?;
        program.load().with_context(|| format!("the kernel refuses {}", called.name()))?;
        let program = program.fd()?.try_clone()?;
        let map = object.map_mut(map::PROGRAMS).context("the gateway has no map programs")?;
        ProgramArray::try_from(map)?.set(called as u32, &program, 0)?;
    }
    Ok(())
}

/// Where the compiled programs are.
pub(crate) fn objects() -> Result<PathBuf> {
    let directory = env::var_os("SPILLWAY_BPF_DIR").map(PathBuf::from);
    directory.context("SPILLWAY_BPF_DIR names no eBPF objects; start this with `cargo xtask bench`")
}

/// A program of an object.
pub(crate) fn program<'a>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = object.program_mut(name).with_context(|| format!("the object has no program {name}"))?;
    Ok(program.try_into()?)
}
