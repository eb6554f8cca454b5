use anyhow::{Result, ensure};
use aya::programs::{ProgramInfo, TestRun as _, TestRunOptions};
use lb_common::abi::Features;
use lb_common::reason::Reason;
use lb_ebpf::verdict::Action;
use lb_tests::fixture::{Count, Names, World};
use lb_tests::lab::WorkDir;
use lb_userspace::datapath::attach::Carrier as _;
use lb_userspace::datapath::load::Loaded;
use lb_userspace::datapath::packet_log::PacketLog;
use lb_userspace::datapath::pins::Pins;

const XDP_ABORTED: u32 = 0;
pub(crate) const XDP_DROP: u32 = 1;
pub(crate) const XDP_PASS: u32 = 2;
pub(crate) const XDP_TX: u32 = 3;
/// What an outer header and a tag can add to a frame, in bytes, and more.
const GROWTH: usize = 256;

/// The program, loaded over maps that hold a world.
pub(crate) struct Program {
    loaded: Loaded,
    names: Names,
    /// What was counted until now.
    counters: Counters,
    // Dropped last: the pins lie in it.
    _work: WorkDir,
}

impl Program {
    /// The kernel runs no test on a frame shorter than an Ethernet header.
    pub(crate) const SHORTEST: usize = 14;

    /// With every feature.
    pub(crate) fn load(world: &World, interface: u32, log: PacketLog) -> Result<Self> {
        Self::load_with(world, interface, log, Features::ALL)
    }

    pub(crate) fn load_with(
        world: &World,
        interface: u32,
        log: PacketLog,
        features: Features,
    ) -> Result<Self> {
        let work = WorkDir::new()?;
        let mut loaded = Loaded::load(&Pins::new(&work.bpf()), &World::sizes(), log, features)?;
        let names = world.install(&mut loaded.maps, interface)?;
        let counters = Counters::read(&loaded, &names);
        Ok(Self { loaded, names, counters, _work: work })
    }

    /// What the kernel made of it.
    pub(crate) fn info(&mut self) -> Result<ProgramInfo> {
        Ok(self.loaded.program()?.info()?)
    }

    /// Runs it on a frame: what it asks for, the frame afterwards, and by how much which counters went up.
    pub(crate) fn run(&mut self, frame: &[u8]) -> Result<(Action, Vec<u8>, Counters)> {
        let (action, output) = test_run(&mut self.loaded, frame)?;
        let before = std::mem::replace(&mut self.counters, Counters::read(&self.loaded, &self.names));
        Ok((action, output, self.counters.since(&before)))
    }
}

/// Runs a program on a frame that came in by loopback: what it asks for, and the frame afterwards.
pub(crate) fn test_run(loaded: &mut Loaded, frame: &[u8]) -> Result<(Action, Vec<u8>)> {
    let mut output = vec![0; frame.len() + GROWTH];
    let mut options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
    options.data_out = Some(&mut output);
    let result = loaded.program()?.test_run(options)?;
    output.truncate(result.data_size_out as usize);
    Ok((action(result.return_value)?, output))
}

fn action(verdict: u32) -> Result<Action> {
    ensure!(verdict != XDP_ABORTED, "aborted");
    Ok(match verdict {
        XDP_DROP => Action::Drop,
        XDP_PASS => Action::Pass,
        XDP_TX => Action::Transmit,
        other => anyhow::bail!("verdict {other}"),
    })
}

/// What is not zero of the program's counters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Counters(std::collections::BTreeMap<(&'static str, u32), u64>);

impl Counters {
    fn read(loaded: &Loaded, names: &Names) -> Self {
        let mut counters = Self::default();
        for index in names.services() {
            let service = loaded.maps.service_counters(index);
            counters.add("service packets", index, service.packets);
            counters.add("service bytes", index, service.bytes);
            counters.add("service dropped", index, service.dropped);
        }
        for index in names.backends() {
            let backend = loaded.maps.backend_counters(index);
            counters.add("backend packets", index, backend.packets);
            counters.add("backend bytes", index, backend.bytes);
        }
        for reason in Reason::ALL {
            counters.add("reason", *reason as u32, loaded.maps.reason_count(*reason));
        }
        counters
    }

    /// What the library says should be counted.
    pub(crate) fn of(counts: &[Count]) -> Self {
        let mut counters = Self::default();
        for count in counts {
            match *count {
                Count::Sent { service, backend, bytes } => {
                    counters.add("service packets", service, 1);
                    counters.add("service bytes", service, bytes);
                    counters.add("backend packets", backend, 1);
                    counters.add("backend bytes", backend, bytes);
                }
                Count::Dropped { service } => counters.add("service dropped", service, 1),
                Count::Reason(reason) => counters.add("reason", reason, 1),
            }
        }
        counters
    }

    fn add(&mut self, what: &'static str, index: u32, by: u64) {
        if by > 0 {
            *self.0.entry((what, index)).or_insert(0) += by;
        }
    }

    fn since(&self, before: &Self) -> Self {
        let mut difference = Self::default();
        for (&(what, index), now) in &self.0 {
            difference.add(what, index, now - before.0.get(&(what, index)).copied().unwrap_or(0));
        }
        difference
    }
}
