//! The loaded programs, and one sample.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use aya::maps::{Array, MapData, ProgramArray};
use aya::programs::{ProgramFd, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use lb_common::abi::map;
use lb_common::bench::{Plan, Progress, Template};

use super::case::{Case, Floor, Program};
use super::world::{self, Value};

/// The wrapper with its maps, and all that it can call.
pub(crate) struct Chain {
    /// Holds the wrapper and the floors.
    object: Ebpf,
    plan: Array<MapData, Value<Plan>>,
    progress: Array<MapData, Value<Progress>>,
    under_test: ProgramArray<MapData>,
    /// Holds the gateway's program and its maps.
    gateway: Ebpf,
    /// Flows handed out so far, over all samples: a flow that must be new never comes again.
    position: u64,
}

impl Chain {
    /// Loads both objects and fills the gateway's maps.
    pub(crate) fn load() -> Result<Self> {
        let directory = objects()?;
        let mut object = Ebpf::load_file(directory.join("bench")).context(LOAD)?;
        let (plan, progress) = (take(&mut object, "plan")?, take(&mut object, "progress")?);
        let (plan, progress) = (Array::try_from(plan)?, Array::try_from(progress)?);
        let under_test = ProgramArray::try_from(take(&mut object, "under_test")?)?;
        for name in ["chain", "pass", "mac_swap", "adjust_head", "constant_encap"] {
            program(&mut object, name)?.load().with_context(|| format!("the kernel refuses {name}"))?;
        }
        let gateway = load_gateway(&directory.join("gateway"))?;
        Ok(Self { object, plan, progress, under_test, gateway, position: 0 })
    }

    /// Nanoseconds per packet over `packets` runs, each of which did what the case says.
    pub(crate) fn sample(&mut self, case: &Case, packets: u32) -> Result<f64> {
        let frame = case.frame();
        self.prepare(case, &frame, packets)?;
        let mut output = vec![0; frame.len() + 256];
        let options = TestRunOptions {
            data_in: Some(&frame),
            data_out: Some(&mut output),
            repeat: packets,
            ..TestRunOptions::default()
        };
        let result = program(&mut self.object, "chain")?.test_run(options).context("BPF_PROG_TEST_RUN")?;
        let progress = self.progress.get(&0, 0)?.0;
        self.position = progress.position;
        ensure!(result.return_value == case.verdict(), "{}: verdict {}", case.name, result.return_value);
        let length = u64::from(result.data_size_out);
        ensure!(length == frame.len() as u64 + u64::from(case.growth), "{}: {length} bytes out", case.name);
        check(case, packets, &progress)?;
        #[expect(clippy::cast_precision_loss, reason = "a sample is far shorter than 2^52 ns")]
        Ok((progress.last - progress.first) as f64 / f64::from(packets - 1))
    }

    fn prepare(&mut self, case: &Case, frame: &[u8], packets: u32) -> Result<()> {
        let plan = Plan {
            template: Template::of_frame(frame).context("the frame is shorter than the template")?,
            length: u32::try_from(frame.len())?,
            family: if case.destination.is_ipv4() { 4 } else { 6 },
            flow_mask: case.flow_mask(),
            last_run: packets - 1,
            ..Plan::default()
        };
        self.plan.set(0, Value(plan), 0)?;
        self.progress.set(0, Value(Progress { position: self.position, ..Progress::default() }), 0)?;
        let target = self.target(case.program)?;
        self.under_test.set(0, &target, 0).context("cannot chain the program")
    }

    fn target(&mut self, which: Program) -> Result<ProgramFd> {
        let (object, name) = match which {
            Program::Gateway(_) => (&mut self.gateway, "gateway"),
            Program::Floor(Floor::Pass) => (&mut self.object, "pass"),
            Program::Floor(Floor::MacSwap) => (&mut self.object, "mac_swap"),
            Program::Floor(Floor::AdjustHead) => (&mut self.object, "adjust_head"),
            Program::Floor(Floor::ConstantEncap) => (&mut self.object, "constant_encap"),
        };
        Ok(program(object, name)?.fd()?.try_clone()?)
    }
}

const LOAD: &str = "cannot load the benchmark's programs; this needs root";

fn objects() -> Result<PathBuf> {
    let directory = env::var_os("SPILLWAY_BPF_DIR").map(PathBuf::from);
    directory.context("SPILLWAY_BPF_DIR names no eBPF objects; start this with `cargo xtask bench`")
}

fn load_gateway(path: &Path) -> Result<Ebpf> {
    let mut loader = EbpfLoader::new();
    // As the agent loads it: no line of the log is in it.
    loader.override_global("AYA_LOG_LEVEL", &0_u8, true);
    loader.map_max_entries(map::CONNECTIONS, world::CONNECTIONS);
    let mut gateway = loader.load_file(path).context(LOAD)?;
    program(&mut gateway, "gateway")?.load().context("the kernel refuses the gateway's program")?;
    world::fill(&mut gateway)?;
    Ok(gateway)
}

fn program<'a>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = object.program_mut(name).with_context(|| format!("the object has no program {name}"))?;
    Ok(program.try_into()?)
}

fn take(object: &mut Ebpf, name: &str) -> Result<aya::maps::Map> {
    object.take_map(name).with_context(|| format!("the object has no map {name}"))
}

/// The last run's change is seen in the output; the wrapper undid all before it.
fn check(case: &Case, packets: u32, progress: &Progress) -> Result<()> {
    let undone = if case.growth == 0 { 0 } else { u64::from(packets - 1) };
    let change = i64::try_from(undone * u64::from(case.growth))?;
    let seen = (progress.runs, progress.rewinds, progress.length_change);
    if seen != (u64::from(packets), undone, change) {
        bail!("{}: runs, rewinds and change of length were {seen:?} after {packets} packets", case.name);
    }
    Ok(())
}
