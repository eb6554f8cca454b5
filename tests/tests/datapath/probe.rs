//! What encapsulates probes, as the kernel runs it: to the backend that is meant, and as the gateway's program does with a
//! client's packet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anyhow::{Result, ensure};
use aya::programs::{TestRun as _, TestRunOptions};
use aya::util::KernelVersion;
use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};
use lb_common::abi::{BackendEntry, BackendFlags, Features, ProbeEntry, ProbeMark};
use lb_ebpf::probe::HOPS;
use lb_ebpf::verdict::Action;
use lb_tests::fixture::{INTERFACE, World, hex};
use lb_tests::lab::{WorkDir, is_root};
use lb_userspace::datapath::load::Loaded;
use lb_userspace::datapath::packet_log::PacketLog;
use lb_userspace::datapath::pins::Pins;
use lb_userspace::reconcile::MemoryMaps;

use crate::program::test_run;

/// `TC_ACT_UNSPEC`, `TC_ACT_SHOT` and `TC_ACT_REDIRECT` of `linux/pkt_cls.h`.
const NEXT: i32 = -1;
const SHOT: i32 = 2;
const REDIRECT: i32 = 7;
/// The mark's place in `struct __sk_buff`, and bytes of that up to the interface.
const MARK: usize = 8;
const CONTEXT: usize = 44;
/// Instructions that Linux 6.18 may walk through, a tenth above what it does; and any other verifier.
const VERIFIED: u32 = 14_600;
const ELSEWHERE: u32 = 500_000;
const CLIENTS: u8 = 12;
/// The tunnels alone: an emulated kernel takes a minute for a gateway with all features, of which probes have no more.
const FEATURES: Features = Features::GUE.with(Features::VXLAN).with(Features::TAG);
/// Last bytes of VIPs: of two clusters, and those of GUE, VXLAN and all tunnels.
const VIPS: [(u8, u8); 4] = [(10, 0x10), (80, 0x80), (81, 0x81), (82, 0x82)];
/// What outer headers add to a frame, in bytes, and more.
const GROWTH: usize = 256;

/// The programs, over maps that hold a world in which every backend is probed.
struct Prober {
    loaded: Loaded,
    backends: BTreeMap<u16, BackendEntry>,
    // Dropped last: the pins lie in it.
    _work: WorkDir,
}

impl Prober {
    fn load() -> Result<Self> {
        let work = WorkDir::new()?;
        let pins = Pins::new(&work.bpf());
        let mut loaded = Loaded::load(&pins, &World::sizes(), PacketLog::Off, FEATURES)?;
        World::load()?.install(&mut loaded.maps, INTERFACE)?;
        let all = (0..).zip(MemoryMaps::of(&loaded.maps).backends);
        let backends: BTreeMap<u16, _> = all.filter(|(_, entry)| entry.route.interface != 0).collect();
        let mut prober = Self { loaded, backends, _work: work };
        prober.meet(|_| {})?;
        Ok(prober)
    }

    /// Fills the map, each entry changed.
    fn meet(&mut self, change: impl Fn(&mut ProbeEntry)) -> Result<()> {
        let entry = |(index, backend): (&u16, &BackendEntry)| {
            let (destination, pool) = (backend.destination, backend.pool);
            let mut probe = ProbeEntry { destination, interface: INTERFACE, backend: *index, pool };
            change(&mut probe);
            (ProbeMark::of(*index), probe)
        };
        let probes = self.backends.iter().map(entry).collect();
        Ok(self.loaded.probes.hold(&probes)?)
    }

    /// Runs the program on a frame that is sent with a mark: its verdict, and the frame afterwards.
    fn send(&mut self, frame: &[u8], mark: u32) -> Result<(i32, Vec<u8>)> {
        let (mut output, mut context) = (vec![0; frame.len() + GROWTH], [0; CONTEXT]);
        context[MARK..MARK + 4].copy_from_slice(&mark.to_ne_bytes());
        let mut options =
            TestRunOptions { data_in: Some(frame), ctx_in: Some(&context), ..TestRunOptions::default() };
        options.data_out = Some(&mut output);
        let result = self.loaded.prober()?.test_run(options)?;
        output.truncate(result.data_size_out as usize);
        Ok((result.return_value.cast_signed(), output))
    }
}

/// SYNs of a client to VIPs of the world, of which the last byte is said.
fn frames(client: u8, (v4, v6): (u8, u8), hops: u8) -> Result<[Vec<u8>; 2]> {
    let ethernet = || PacketBuilder::ethernet2([2; 6], [4; 6]);
    let to_v4 = ethernet().ipv4([203, 0, 113, client], [198, 51, 100, v4], hops);
    let mut vip = "2001:db8::".parse::<std::net::Ipv6Addr>()?.octets();
    let mut source = vip;
    (vip[15], source[5], source[15]) = (v6, 0xc, client);
    Ok([syn(to_v4, client)?, syn(ethernet().ipv6(source, vip, hops), client)?])
}

/// Whether a VLAN leads to the backend.
fn is_tagged(backend: &BackendEntry) -> bool {
    backend.destination_mac.number != 0
}

fn syn(builder: PacketBuilderStep<IpHeaders>, client: u8) -> Result<Vec<u8>> {
    let mut frame = Vec::new();
    builder.tcp(40_000 + u16::from(client), 443, 7, 64_000).syn().write(&mut frame, b"")?;
    Ok(frame)
}

#[test]
fn a_probe_is_encapsulated_as_the_gateway_does_with_a_clients_packet() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let mut prober = Prober::load()?;
    let verified = prober.loaded.prober()?.info()?.verified_instruction_count();
    println!("verified {verified:?}");
    let here = KernelVersion::current()? >= KernelVersion::new(6, 18, 0);
    assert!(verified.is_none_or(|count| count < if here { VERIFIED } else { ELSEWHERE }), "{verified:?}");
    let (mut sent, mut dropped, mut met) = (0, 0, BTreeSet::new());
    for (client, vips) in (1..=CLIENTS).flat_map(|client| VIPS.map(|vips| (client, vips))) {
        for (frame, twin) in frames(client, vips, 1)?.iter().zip(frames(client, vips, HOPS)?) {
            let (action, expected) = test_run(&mut prober.loaded, &twin)?;
            ensure!(action == Action::Transmit, "{action:?}: {}", hex(&twin));
            let mut same = 0;
            for (index, backend) in prober.backends.clone() {
                let (verdict, after) = prober.send(frame, ProbeMark::of(index).number())?;
                assert_eq!(verdict, if is_tagged(&backend) { SHOT } else { NEXT }, "{}", hex(frame));
                *(if is_tagged(&backend) { &mut dropped } else { &mut sent }) += 1;
                if after == expected {
                    same += 1;
                    met.insert((
                        IpAddr::from(backend.destination),
                        backend.route.flags.has(BackendFlags::GUE),
                        backend.route.flags.has(BackendFlags::VXLAN),
                    ));
                }
            }
            // What leaves with a tag is no probe's; a node of several pools has an entry in each.
            ensure!(same > 0 || expected[12..14] == [0x81, 0], "no backend gets {}", hex(&expected));
        }
    }
    assert!(met.len() > 5, "{met:?}");
    assert!(met.iter().any(|(_, gue, _)| *gue) && met.iter().any(|(.., vxlan)| *vxlan), "{met:?}");
    let counters = prober.loaded.maps.probe_counters();
    assert_eq!((counters.sent, counters.dropped), (sent, dropped));
    Ok(())
}

#[test]
fn what_is_no_probes_is_left_alone_and_a_probe_that_leads_nowhere_is_dropped() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let mut prober = Prober::load()?;
    let marks: Vec<_> = prober.backends.keys().map(|backend| ProbeMark::of(*backend).number()).collect();
    let unknown = ProbeMark::of(0x3fff).number();
    for frame in frames(1, VIPS[0], 1)? {
        for other in [0, 1, 0x5351_0000, 0x5350_4000] {
            assert_eq!(prober.send(&frame, other)?, (NEXT, frame.clone()), "{other:x}");
        }
        assert_eq!(prober.send(&frame, unknown)?, (SHOT, frame));
    }
    let spoils: [fn(&mut ProbeEntry); 4] = [
        |probe| probe.interface += 1,
        |probe| probe.pool += 1,
        |probe| probe.backend = 0x3fff,
        |probe| probe.destination = IpAddr::from([192, 0, 2, 99]).into(),
    ];
    for (at, spoil) in spoils.into_iter().enumerate() {
        prober.meet(spoil)?;
        for (frame, mark) in frames(1, VIPS[0], 1)?.iter().zip(&marks) {
            assert_eq!(prober.send(frame, *mark)?, (SHOT, frame.clone()), "{at}");
        }
    }
    assert_eq!(prober.loaded.maps.probe_counters().sent, 0);
    Ok(())
}

#[test]
fn a_backend_behind_another_interface_is_sent_to_by_that() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let mut prober = Prober::load()?;
    World::load()?.install(&mut prober.loaded.maps, INTERFACE + 1)?;
    let mark = prober
        .backends
        .iter()
        .find(|(_, backend)| !is_tagged(backend))
        .map(|(index, _)| ProbeMark::of(*index));
    let mark = mark.ok_or_else(|| anyhow::anyhow!("a world without backends"))?;
    for frame in frames(1, VIPS[0], 1)? {
        let (verdict, sent) = prober.send(&frame, mark.number())?;
        assert!(verdict == REDIRECT && sent.len() > frame.len(), "{verdict}");
    }
    Ok(())
}
