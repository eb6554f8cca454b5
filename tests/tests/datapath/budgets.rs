//! How large the loaded program may be: a gate on what can be counted, for time cannot be told on a machine that is
//! shared.

use anyhow::{Context as _, Result, ensure};
use aya::util::KernelVersion;
use lb_common::abi::Features;
use lb_tests::fixture::World;
use lb_tests::lab::{WorkDir, is_root};
use lb_userspace::datapath::load::Loaded;
use lb_userspace::datapath::packet_log::PacketLog;
use lb_userspace::datapath::pins::Pins;

/// What the loaded program may come to with one set of features.
struct Budget {
    name: &'static str,
    features: Features,
    /// Instructions that the verifier may walk through on Linux 6.18, a tenth above what it does.
    verified: u32,
    /// Bytes of machine code on x86-64, a tenth above what there are; what mitigations add is in it.
    machine_code: u32,
}

const fn budget(name: &'static str, features: Features, verified: u32, machine_code: u32) -> Budget {
    Budget { name, features, verified, machine_code }
}

/// The figures behind them are in docs/benchmarks.md.
const BUDGETS: [Budget; 7] = [
    budget("none", Features::of_bits(0), 53_000, 19_000),
    budget("GUE", Features::GUE, 53_000, 19_000),
    budget("VXLAN", Features::VXLAN, 53_000, 19_000),
    budget("admission", Features::ADMISSION, 53_000, 19_000),
    budget("port ranges", Features::PORT_RANGES, 53_000, 19_000),
    budget("QUIC", Features::QUIC, 53_000, 19_000),
    budget("all", Features::ALL, 53_000, 19_000),
];
/// Other verifiers walk other ways: half of the million at which all of them give up.
const ELSEWHERE: u32 = 500_000;

/// Instructions verified, where the kernel counts them, and bytes of machine code.
fn size(features: Features) -> Result<(Option<u32>, u32)> {
    let work = WorkDir::new()?;
    let mut loaded = Loaded::load(&Pins::new(&work.bpf()), &World::sizes(), PacketLog::Off, features)?;
    let info = loaded.program()?.info()?;
    Ok((info.verified_instruction_count(), info.size_jitted()))
}

impl Budget {
    fn check(&self, verified: u32, machine_code: u32) -> Result<()> {
        let series = KernelVersion::new(6, 18, 0)..KernelVersion::new(6, 19, 0);
        let may = if series.contains(&KernelVersion::current()?) { self.verified } else { ELSEWHERE };
        within(self.name, "instructions verified", verified, may)?;
        if cfg!(target_arch = "x86_64") {
            within(self.name, "bytes of machine code", machine_code, self.machine_code)?;
        }
        Ok(())
    }
}

fn within(name: &str, what: &str, is: u32, may: u32) -> Result<()> {
    ensure!(
        is <= may,
        "with features {name}: {is} {what}, of which there may be {may}. Look for what every packet now pays \
         (is the feature asked for first?) and for what the verifier walks twice (CONTRIBUTING.md, \"What lives long \
         is verified often\"). If it is worth it, raise BUDGETS here and the table in docs/benchmarks.md."
    );
    Ok(())
}

#[test]
fn the_program_is_no_larger_than_its_budgets() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let mut over = Vec::new();
    for budget in &BUDGETS {
        let (verified, machine_code) = size(budget.features)?;
        let verified =
            verified.context("this kernel does not count the instructions it verifies; Linux 5.16 does")?;
        println!("| {} | {verified} | {machine_code} |", budget.name);
        over.extend(budget.check(verified, machine_code).err().map(|error| format!("{error}\n")));
    }
    assert!(over.is_empty(), "{}", over.concat());
    Ok(())
}
