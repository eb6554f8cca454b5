//! The wire, the programs at its ends, and one sample.

use anyhow::{Context, Result, bail, ensure};
use aya::Ebpf;
use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::xdp::XdpLink;
use aya::programs::{SchedClassifier, TcAttachType, TestRun, TestRunAttrs, TestRunOptions, Xdp, XdpMode};
use lb_common::bench::{Arrivals, BACK, PASSED, Plan, Progress};
use nix::net::if_::if_nametoindex;

use crate::bench::case::{Case, PASS, Program, Setting};
use crate::bench::chain::{floor_name, take};
use crate::bench::gateway::{Gateway, LOAD, objects, program};
use crate::bench::round::Subject;
use crate::bench::world::{MTU, Value};
use crate::lab::{End, Namespace, connect};

const INTERFACE: &str = "eth0";
/// Frames that the kernel makes before it sends them; a veth's ring holds 256.
const BATCH: u32 = 64;
/// Floors that this measurement attaches.
const FLOORS: [&str; 4] = ["pass", "mac_swap", "adjust_head", "constant_encap"];

/// Two namespaces and the wire between them.
pub(super) struct Pair {
    /// Where frames are made, and end.
    pub(super) near: Namespace,
    far: Namespace,
}

impl Pair {
    /// Nobody but the benchmark sends on it.
    pub(super) fn new() -> Result<Self> {
        let pair = Self { near: Namespace::new("generator")?, far: Namespace::new("gateway")? };
        for namespace in [&pair.near, &pair.far] {
            namespace.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
        }
        connect(&end(&pair.near, 9), &end(&pair.far, 1), MTU)?;
        Ok(pair)
    }
}

fn end(namespace: &Namespace, number: u8) -> End<'_> {
    End { namespace, interface: INTERFACE, mac: [2, 0, 0, 0, 0, number], addresses: Vec::new() }
}

/// The programs on a pair.
pub(in crate::bench) struct Link {
    /// Holds the generator, the floors and what counts.
    object: Ebpf,
    plan: Array<MapData, Value<Plan>>,
    progress: Array<MapData, Value<Progress>>,
    arrivals: PerCpuArray<MapData, Value<Arrivals>>,
    gateway: Gateway,
    /// What holds the program under test at the far end, when it is not being exchanged.
    attached: Option<XdpLink>,
    /// Index of the near interface.
    near: u32,
    /// Flows handed out so far, over all samples.
    position: u64,
}

impl Link {
    /// Loads all and attaches what stays.
    pub(super) fn new(pair: &Pair) -> Result<Self> {
        let directory = objects()?;
        let index = || Ok(if_nametoindex(INTERFACE)?);
        let (near, far) = (pair.near.enter(index)?, pair.far.enter(index)?);
        let mut object = Ebpf::load_file(directory.join("bench")).context(LOAD)?;
        let (plan, progress) = (take(&mut object, "plan")?, take(&mut object, "progress")?);
        let arrivals = take(&mut object, "arrivals")?;
        for name in FLOORS.iter().chain(&["generate", "came_back"]) {
            program(&mut object, name)?.load().with_context(|| format!("the kernel refuses {name}"))?;
        }
        let attached = attach(&mut object, pair)?;
        Ok(Self {
            object,
            plan: Array::try_from(plan)?,
            progress: Array::try_from(progress)?,
            arrivals: PerCpuArray::try_from(arrivals)?,
            gateway: Gateway::load(&directory, Setting::Plain, far)?,
            attached: Some(attached),
            near,
            position: 0,
        })
    }

    fn program(&mut self, which: Program) -> Result<&mut Xdp> {
        match which {
            Program::Gateway(..) => self.gateway.program(),
            Program::Floor(floor) => program(&mut self.object, floor_name(floor)),
            Program::Receiver(_) => bail!("no receiver is measured on a wire"),
        }
    }

    /// Exchanges the program at the far end.
    fn put(&mut self, which: Program) -> Result<()> {
        let link = self.attached.take().context("the far end has lost its program")?;
        let program = self.program(which)?;
        let id = program.attach_to_link(link).context("cannot exchange the program")?;
        self.attached = Some(program.take_link(id)?);
        Ok(())
    }

    /// What ended as the case says, and all that ended.
    fn arrived(&self, case: &Case) -> Result<[Arrivals; 2]> {
        let entry = |index| -> Result<Arrivals> {
            let sum = |sum: Arrivals, Value(cpu): &Value<Arrivals>| Arrivals {
                frames: sum.frames + cpu.frames,
                bytes: sum.bytes + cpu.bytes,
            };
            Ok(self.arrivals.get(&index, 0)?.iter().fold(Arrivals::default(), sum))
        };
        let (back, passed) = (entry(BACK)?, entry(PASSED)?);
        Ok(if case.verdict() == PASS { [passed, back] } else { [back, passed] })
    }

    /// Sends `packets` frames and says how long one took.
    fn send(&mut self, case: &Case, frame: &[u8], packets: u32) -> Result<f64> {
        let progress = Progress { position: self.position, ..Progress::default() };
        self.plan.set(0, Value(case.plan(frame, packets)?), 0)?;
        self.progress.set(0, Value(progress), 0)?;
        // `struct xdp_md` of linux/bpf.h: data, data_end, data_meta, ingress_ifindex, and two that stay zero.
        let context: [u32; 6] = [0, u32::try_from(frame.len())?, 0, self.near, 0, 0];
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(bytemuck::bytes_of(&context)),
            repeat: packets,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::default()
        };
        program(&mut self.object, "generate")?
            .test_run(options)
            .context("BPF_PROG_TEST_RUN with live frames; Linux 5.18 has it")?;
        let progress = self.progress.get(&0, 0)?.0;
        self.position = progress.position;
        ensure!(
            progress.runs == u64::from(packets),
            "{}: {} of {packets} frames made",
            case.name,
            progress.runs
        );
        #[expect(clippy::cast_precision_loss, reason = "a sample is far shorter than 2^52 ns")]
        Ok((progress.last - progress.first) as f64 / f64::from(packets - 1))
    }
}

impl Subject for Link {
    fn warm_up(&mut self, case: &Case) -> Result<()> {
        self.sample(case, case.warm_up()).map(|_| ())
    }

    /// The first frame of the first batch and that of the last are stamped: whole batches lie between.
    fn sample(&mut self, case: &Case, packets: u32) -> Result<f64> {
        let packets = packets / BATCH * BATCH + 1;
        let frame = case.frame();
        self.put(case.program)?;
        let before = self.arrived(case)?;
        let nanoseconds = self.send(case, &frame, packets)?;
        let after = self.arrived(case)?;
        let length = u64::try_from(i64::try_from(frame.len())? + i64::from(case.growth))?;
        check(case, before, after, packets.into(), length)?;
        Ok(nanoseconds)
    }
}

/// The counters at both ends, and the first program at the far one.
fn attach(object: &mut Ebpf, pair: &Pair) -> Result<XdpLink> {
    let came_back = program(object, "came_back")?;
    pair.near.enter(|| Ok(came_back.attach(INTERFACE, XdpMode::Driver)?))?;
    let passed = object.program_mut("passed").context("the object has no program passed")?;
    let passed: &mut SchedClassifier = passed.try_into()?;
    passed.load().context("the kernel refuses passed")?;
    pair.far.enter(|| Ok(passed.attach(INTERFACE, TcAttachType::Ingress)?)).context("attach to tc")?;
    let first = program(object, "pass")?;
    let id = pair.far.enter(|| Ok(first.attach(INTERFACE, XdpMode::Driver)?))?;
    Ok(first.take_link(id)?)
}

fn check(case: &Case, before: [Arrivals; 2], after: [Arrivals; 2], frames: u64, length: u64) -> Result<()> {
    let [as_said, otherwise] = [0, 1].map(|which| after[which].frames - before[which].frames);
    let name = case.name;
    ensure!(otherwise == 0, "{name}: {otherwise} of {frames} frames took the other way");
    ensure!(as_said == frames, "{name}: {as_said} of {frames} frames arrived");
    let bytes = after[0].bytes - before[0].bytes;
    ensure!(
        bytes == frames * length,
        "{name}: {bytes} bytes in {frames} frames, which is not {length} in each"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::case::CASES;

    #[test]
    fn lost_diverted_and_unchanged_frames_are_errors() {
        let said = |as_said: (u64, u64), otherwise: u64| {
            let end = |frames, bytes| Arrivals { frames, bytes };
            let after = [end(as_said.0 + 5, as_said.1 + 5), end(otherwise, otherwise)];
            check(&CASES[0], [end(5, 5), end(0, 0)], after, 10, 84).map_err(|error| error.to_string())
        };
        assert_eq!(said((10, 840), 0), Ok(()));
        assert_eq!(said((9, 756), 0).unwrap_err(), "pass: 9 of 10 frames arrived");
        assert_eq!(said((9, 756), 1).unwrap_err(), "pass: 1 of 10 frames took the other way");
        assert_eq!(said((10, 640), 0).unwrap_err(), "pass: 640 bytes in 10 frames, which is not 84 in each");
    }
}
