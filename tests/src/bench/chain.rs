//! The loaded programs, and one sample.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use aya::Ebpf;
use aya::maps::{Array, MapData, ProgramArray};
use aya::programs::{ProgramFd, TestRun, TestRunOptions};
use lb_common::bench::{Plan, Progress};

use super::case::{Case, Floor, Lookup, Program, Setting};
use super::gateway::{Gateway, LOAD, objects, program};
use super::receiver::Receiver;
use super::round::Subject;
use super::world::{CONNECTIONS, Value};

/// The kernel runs tests on the loopback interface of the namespace.
const LOOPBACK: u32 = 1;
/// A bug of the benchmark's own.
const NOT_LOADED: &str = "a case whose program was not loaded";

/// The wrapper with its maps, and all that it can call.
pub(crate) struct Chain {
    /// Holds the wrapper and the floors.
    object: Ebpf,
    plan: Array<MapData, Value<Plan>>,
    progress: Array<MapData, Value<Progress>>,
    under_test: ProgramArray<MapData>,
    gateways: BTreeMap<Setting, Gateway>,
    receiver: Option<Receiver>,
    /// Flows handed out so far, over all samples: a flow that must be new never comes again.
    position: u64,
}

impl Chain {
    /// Loads what the cases need.
    pub(crate) fn load(cases: &[Case]) -> Result<Self> {
        let directory = objects()?;
        let mut object = Ebpf::load_file(directory.join("bench")).context(LOAD)?;
        let (plan, progress) = (take(&mut object, "plan")?, take(&mut object, "progress")?);
        let (plan, progress) = (Array::try_from(plan)?, Array::try_from(progress)?);
        let under_test = ProgramArray::try_from(take(&mut object, "under_test")?)?;
        for name in ["chain", "pass", "mac_swap", "adjust_head", "constant_encap", "shrink_head"] {
            program(&mut object, name)?.load().with_context(|| format!("the kernel refuses {name}"))?;
        }
        let gateways = BTreeMap::new();
        let mut chain = Self { object, plan, progress, under_test, gateways, receiver: None, position: 0 };
        if cases.iter().any(|case| matches!(case.program, Program::Receiver(_))) {
            chain.receiver = Some(Receiver::load(LOOPBACK)?);
        }
        for case in cases {
            let Program::Gateway(setting, _) = case.program else { continue };
            if chain.gateways.contains_key(&setting) {
                continue;
            }
            chain.gateways.insert(setting, Gateway::load(&directory, setting, LOOPBACK)?);
            if setting == Setting::Full {
                chain.run(case, CONNECTIONS + CONNECTIONS / 8).context("cannot fill the table up")?;
            }
        }
        Ok(chain)
    }
}

impl Subject for Chain {
    fn warm_up(&mut self, case: &Case) -> Result<()> {
        self.run(case, case.warm_up()).map(|_| ())
    }

    fn sample(&mut self, case: &Case, packets: u32) -> Result<f64> {
        let before = self.found_and_recorded(case)?;
        let nanoseconds = self.run(case, packets)?;
        let after = self.found_and_recorded(case)?;
        check_lookups(case, packets, (after.0 - before.0, after.1 - before.1))?;
        Ok(nanoseconds)
    }
}

impl Chain {
    fn run(&mut self, case: &Case, packets: u32) -> Result<f64> {
        let frame = self.frame(case)?;
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
        let length = i64::from(result.data_size_out);
        let wanted = i64::try_from(frame.len())? + i64::from(case.growth);
        ensure!(length == wanted, "{}: {length} bytes out", case.name);
        check(case, packets, &progress)?;
        #[expect(clippy::cast_precision_loss, reason = "a sample is far shorter than 2^52 ns")]
        Ok((progress.last - progress.first) as f64 / f64::from(packets - 1))
    }

    fn prepare(&mut self, case: &Case, frame: &[u8], packets: u32) -> Result<()> {
        self.plan.set(0, Value(case.plan(frame, packets)?), 0)?;
        self.progress.set(0, Value(Progress { position: self.position, ..Progress::default() }), 0)?;
        let target = self.target(case.program)?;
        self.under_test.set(0, &target, 0).context("cannot chain the program")
    }

    fn frame(&self, case: &Case) -> Result<Vec<u8>> {
        match case.program {
            Program::Receiver(arrival) => self.receiver.as_ref().context(NOT_LOADED)?.frame(arrival),
            Program::Gateway(..) | Program::Floor(_) => Ok(case.frame()),
        }
    }

    fn target(&mut self, which: Program) -> Result<ProgramFd> {
        let program = match which {
            Program::Gateway(setting, _) => self.gateway(setting)?.program()?,
            Program::Receiver(_) => self.receiver.as_mut().context(NOT_LOADED)?.program()?,
            Program::Floor(floor) => program(&mut self.object, floor_name(floor))?,
        };
        Ok(program.fd()?.try_clone()?)
    }

    fn gateway(&mut self, setting: Setting) -> Result<&mut Gateway> {
        self.gateways.get_mut(&setting).context(NOT_LOADED)
    }

    fn found_and_recorded(&mut self, case: &Case) -> Result<(u64, u64)> {
        match case.program {
            Program::Gateway(setting, _) => self.gateway(setting)?.found_and_recorded(),
            Program::Floor(_) | Program::Receiver(_) => Ok((0, 0)),
        }
    }
}

/// The floor's program in the benchmark's object.
pub(crate) const fn floor_name(floor: Floor) -> &'static str {
    match floor {
        Floor::Pass => "pass",
        Floor::MacSwap => "mac_swap",
        Floor::AdjustHead => "adjust_head",
        Floor::ConstantEncap => "constant_encap",
        Floor::ShrinkHead => "shrink_head",
    }
}

/// A map of the benchmark's object.
pub(crate) fn take(object: &mut Ebpf, name: &str) -> Result<aya::maps::Map> {
    object.take_map(name).with_context(|| format!("the object has no map {name}"))
}

/// The last run's change is seen in the output; the wrapper undid all before it.
fn check(case: &Case, packets: u32, progress: &Progress) -> Result<()> {
    let undone = if case.growth == 0 { 0 } else { packets - 1 };
    let change = i64::from(undone) * i64::from(case.growth);
    let seen = (progress.runs, progress.rewinds, progress.length_change);
    if seen != (u64::from(packets), u64::from(undone), change) {
        bail!("{}: runs, rewinds and change of length were {seen:?} after {packets} packets", case.name);
    }
    Ok(())
}

fn check_lookups(case: &Case, packets: u32, (found, recorded): (u64, u64)) -> Result<()> {
    let expected = match case.lookup {
        Lookup::None | Lookup::Miss => (0, 0),
        Lookup::Hit => (packets, 0),
        Lookup::Insert => (0, packets),
    };
    let as_said = (found, recorded) == (expected.0.into(), expected.1.into());
    ensure!(as_said, "{}: of {packets} packets {found} were found and {recorded} recorded", case.name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::case::CASES;

    #[test]
    fn a_hit_that_was_recorded_is_no_hit() {
        let check = |name, lookups| {
            let case = CASES.iter().find(|case| case.name == name).unwrap();
            check_lookups(case, 9, lookups).is_ok()
        };
        assert!(check("tcp4-full-64k", (9, 0)) && !check("tcp4-full-64k", (8, 1)));
        assert!(check("tcp4-full-new", (0, 9)) && !check("tcp4-full-new", (1, 8)));
        assert!(check("tcp4-residue", (0, 0)) && !check("tcp4-residue", (1, 0)));
    }
}
