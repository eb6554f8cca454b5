//! How large the loaded programs may be: a gate on what can be counted, for time cannot be told on a machine that is
//! shared.

use anyhow::{Context as _, Result, ensure};
use aya::util::KernelVersion;
use lb_common::abi::{Features, Program};
use lb_tests::fixture::World;
use lb_tests::lab::{WorkDir, is_root};
use lb_userspace::datapath::attach::Carrier as _;
use lb_userspace::datapath::load::Loaded;
use lb_userspace::datapath::packet_log::PacketLog;
use lb_userspace::datapath::pins::Pins;

/// What a loaded program may come to with one set of features.
struct Budget {
    features: Features,
    name: &'static str,
    /// None: the one that is on the interface.
    called: Option<Program>,
    /// Instructions that the verifier may walk through on Linux 6.18, a tenth above what it does.
    verified: u32,
    /// Bytes of machine code on x86-64, a tenth above what there are; what mitigations add is in it.
    machine_code: u32,
}

const fn gateway(name: &'static str, features: Features, verified: u32, machine_code: u32) -> Budget {
    Budget { features, name, called: None, verified, machine_code }
}

const fn called(program: Program, verified: u32, machine_code: u32) -> Budget {
    Budget { features: Features::ALL, name: "all", called: Some(program), verified, machine_code }
}

/// The figures behind them are in docs/benchmarks.md.
const BUDGETS: [Budget; 14] = [
    gateway("none", Features::of_bits(0), 99_600, 19_100),
    gateway("GUE", Features::GUE, 102_800, 19_700),
    gateway("VXLAN", Features::VXLAN, 100_700, 19_500),
    gateway("QUIC", Features::QUIC, 142_400, 22_000),
    gateway("admission", Features::ADMISSION, 100_400, 19_900),
    gateway("port ranges", Features::PORT_RANGES, 109_700, 20_100),
    gateway("GUE and tag", Features::GUE.with(Features::TAG), 117_700, 23_100),
    gateway("GUE and chain", Features::GUE.with(Features::CHAIN), 148_300, 24_200),
    gateway("GUE and redirect", Features::GUE.with(Features::REDIRECT), 106_300, 20_800),
    gateway("evidence", Features::EVIDENCE, 121_900, 20_800),
    gateway("all", Features::ALL, 363_400, 35_100),
    called(Program::Message, 389_900, 43_800),
    called(Program::Part, 423_800, 46_900),
    called(Program::Redirected, 172_600, 32_100),
];
/// Other verifiers walk other ways: half of the million at which all of them give up.
const ELSEWHERE: u32 = 500_000;

impl Budget {
    fn program(&self) -> &'static str {
        self.called.map_or("gateway", Program::name)
    }

    /// Instructions verified, where the kernel counts them, and bytes of machine code.
    fn size(&self) -> Result<(Option<u32>, u32)> {
        let work = WorkDir::new()?;
        let pins = Pins::new(&work.bpf());
        let mut loaded = Loaded::load(&pins, &World::sizes(), PacketLog::Off, self.features)?;
        let info = match self.called {
            Some(called) => loaded.called(called)?.info()?,
            None => loaded.program()?.info()?,
        };
        Ok((info.verified_instruction_count(), info.size_jitted()))
    }

    fn check(&self, verified: u32, machine_code: u32) -> Result<()> {
        let who = format!("{} with features {}", self.program(), self.name);
        let series = KernelVersion::new(6, 18, 0)..KernelVersion::new(6, 19, 0);
        let may = if series.contains(&KernelVersion::current()?) { self.verified } else { ELSEWHERE };
        within(&who, "instructions verified", verified, may)?;
        if cfg!(target_arch = "x86_64") {
            within(&who, "bytes of machine code", machine_code, self.machine_code)?;
        }
        Ok(())
    }
}

fn within(who: &str, what: &str, is: u32, may: u32) -> Result<()> {
    ensure!(
        is <= may,
        "{who}: {is} {what}, of which there may be {may}. Look for what every packet now pays \
         (is the feature asked for first?) and for what the verifier walks twice (CONTRIBUTING.md, \"What lives long \
         is verified often\"). If it is worth it, raise BUDGETS here and the table in docs/benchmarks.md."
    );
    Ok(())
}

#[test]
fn no_program_is_larger_than_its_budget() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let mut over = Vec::new();
    for budget in &BUDGETS {
        let (verified, machine_code) = budget.size()?;
        let verified =
            verified.context("this kernel does not count the instructions it verifies; Linux 5.16 does")?;
        println!("| {} | {} | {verified} | {machine_code} |", budget.program(), budget.name);
        over.extend(budget.check(verified, machine_code).err().map(|error| format!("{error}\n")));
    }
    assert!(over.is_empty(), "{}", over.concat());
    Ok(())
}
