//! What looks at what a node sends, as the kernel runs it, beside its stages in ordinary memory.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use aya::util::KernelVersion;
use etherparse::icmpv4::DestUnreachableHeader;
use etherparse::icmpv6::DestUnreachableCode;
use etherparse::{Icmpv4Type, Icmpv6Type, PacketBuilder, TcpHeader};
use lb_common::abi::{Accepted, RefusedKey, SegmentLimits};
use lb_common::net::{Address, Family};
use lb_ebpf::clamp::Limits;
use lb_ebpf::frame::SliceFrame;
use lb_ebpf::leave::{self, Sender};
use lb_ebpf::refuse::Refusals;
use lb_tests::fixture::{Chance, Effort, hex};
use lb_tests::lab::{Objects, Receiver, is_root};

/// `TC_ACT_UNSPEC` of `linux/pkt_cls.h`: whatever comes next has its turn.
const NEXT: i32 = -1;
const SEGMENTS: SegmentLimits = SegmentLimits { v4: 1356, v6: 1336 };
const OWN: [u8; 4] = [10, 0, 0, 11];
const LINK: [u8; 12] = [2, 0, 0, 0, 0, 9, 4, 0, 0, 0, 0, 7];
const TAGS: [&[u8]; 3] = [&[], &[0x81, 0, 0, 5], &[0x88, 0xa8, 0, 5, 0x81, 0, 0x20, 6]];
/// Options as they are sent, and as nobody sends them.
const OPTIONS: [&[u8]; 8] = [
    &[2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7],
    &[2, 4, 5, 0xb4],
    &[1, 2, 4, 5, 0xb4, 0, 0, 0],
    &[
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 2, 4, 9, 9,
    ],
    &[3, 3, 7, 2, 4, 5, 0xb4, 0],
    &[2, 4, 2, 0],
    &[8, 1, 2, 4, 5, 0xb4, 0, 0],
    &[],
];
/// Instructions that any verifier may walk through: three times what Linux 6.18 does.
const VERIFIED: u32 = 90_000;
/// The same for the verifiers of other kernels, which walk other ways.
const ELSEWHERE: u32 = 500_000;
/// Frames with damage.
const DAMAGED: usize = 20_000;
/// The kernel runs no test on a frame without a whole IP header behind that of Ethernet.
const SHORTEST: usize = 14 + 40;

/// The stages in ordinary memory.
#[derive(Default)]
struct Host {
    clamped: Cell<u64>,
    refused: RefCell<BTreeMap<Refused, u64>>,
}

/// Address, port and protocol.
type Refused = (IpAddr, u16, u32);

fn refused(key: &RefusedKey) -> Refused {
    (key.address.into(), key.port.get(), key.protocol)
}

impl Sender for Host {
    fn is_own(&self, address: &Address) -> bool {
        IpAddr::from(*address) == IpAddr::from(OWN)
    }
}

impl Refusals for Host {
    fn count_refused(&self, key: &RefusedKey) {
        *self.refused.borrow_mut().entry(refused(key)).or_default() += 1;
    }
}

impl Limits for Host {
    fn limit(&self, family: Family) -> u16 {
        SEGMENTS.of(family)
    }
    fn count_clamped(&self) {
        self.clamped.set(self.clamped.get() + 1);
    }
}

impl Host {
    fn run(&self, frame: &[u8]) -> Vec<u8> {
        let mut bytes = frame.to_vec();
        leave::process(&mut SliceFrame::new(&mut bytes, 0, 1), self);
        bytes
    }
}

fn program() -> Result<Receiver> {
    let accepted = Accepted { segments: SEGMENTS, ..Receiver::usual() };
    Receiver::load_clamp(&Objects::from_env()?, accepted, &[OWN.into()])
}

/// Answers to SYNs: of a VIP's over either family and of the node's own, with each list of options and tags.
fn answers() -> Result<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    for (options, tags) in OPTIONS.iter().flat_map(|options| TAGS.map(|tags| (options, tags))) {
        for source in [IpAddr::from([198, 51, 100, 10]), [9; 16].into(), OWN.into()] {
            frames.push(answer(source, options, tags)?);
        }
    }
    Ok(frames)
}

fn answer(source: IpAddr, options: &[u8], tags: &[u8]) -> Result<Vec<u8>> {
    let (builder, kind) = match source {
        IpAddr::V4(v4) => (PacketBuilder::ipv4(v4.octets(), [203, 0, 113, 7], 64), [8, 0]),
        IpAddr::V6(v6) => (PacketBuilder::ipv6(v6.octets(), [7; 16], 64), [0x86, 0xdd]),
    };
    let mut header = TcpHeader::new(443, 40_000, 1, 1024);
    (header.syn, header.ack) = (true, true);
    header.set_options_raw(options).context("options")?;
    let mut frame = [&LINK[..], tags, &kind].concat();
    builder.tcp_header(header).write(&mut frame, b"")?;
    Ok(frame)
}

#[test]
fn answers_are_clamped_by_the_program_as_by_the_library() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let (mut program, host, mut changed) = (program()?, Host::default(), 0);
    let info = program.clamp_info()?;
    let verified = info.verified_instruction_count();
    println!("{:?} bytes, verified {verified:?}", info.size_translated());
    let here = KernelVersion::current()? >= KernelVersion::new(6, 18, 0);
    let may = if here { VERIFIED } else { ELSEWHERE };
    assert!(verified.is_none_or(|count| count < may), "{verified:?}");
    for frame in answers()? {
        let expected = host.run(&frame);
        changed += u32::from(expected != frame);
        assert_eq!(program.run_clamp(&frame)?, (NEXT, expected), "{}", hex(&frame));
    }
    assert_eq!(changed, 5 * 3 * 2, "five lists say what is too much, behind all tags, in both families");
    assert_eq!(program.clamped()?, host.clamped.get());
    Ok(())
}

/// Refusals of both kinds: by a VIP over either family and by the node itself, with each list of tags.
fn refusals() -> Result<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    for (source, tags) in [IpAddr::from([198, 51, 100, 10]), [9; 16].into(), OWN.into()]
        .into_iter()
        .flat_map(|source| TAGS.map(|tags| (source, tags)))
    {
        frames.push(reset(source, tags)?);
        frames.push(unreachable(source, tags)?);
    }
    Ok(frames)
}

fn reset(source: IpAddr, tags: &[u8]) -> Result<Vec<u8>> {
    let (builder, kind) = match source {
        IpAddr::V4(v4) => (PacketBuilder::ipv4(v4.octets(), [203, 0, 113, 7], 64), [8, 0]),
        IpAddr::V6(v6) => (PacketBuilder::ipv6(v6.octets(), [7; 16], 64), [0x86, 0xdd]),
    };
    let mut frame = [&LINK[..], tags, &kind].concat();
    builder.tcp(443, 40_000, 0, 0).rst().ack(8).write(&mut frame, b"")?;
    Ok(frame)
}

/// About a client's packet to port 53.
fn unreachable(source: IpAddr, tags: &[u8]) -> Result<Vec<u8>> {
    let mut quoted = Vec::new();
    let mut frame = [&LINK[..], tags].concat();
    match source {
        IpAddr::V4(v4) => {
            PacketBuilder::ipv4([203, 0, 113, 7], v4.octets(), 64)
                .udp(40_000, 53)
                .write(&mut quoted, b"q")?;
            let message = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);
            frame.extend([8, 0]);
            let answer = PacketBuilder::ipv4(v4.octets(), [203, 0, 113, 7], 64).icmpv4(message);
            answer.write(&mut frame, &quoted)?;
        }
        IpAddr::V6(v6) => {
            PacketBuilder::ipv6([7; 16], v6.octets(), 64).udp(40_000, 53).write(&mut quoted, b"q")?;
            let message = Icmpv6Type::DestinationUnreachable(DestUnreachableCode::Port);
            frame.extend([0x86, 0xdd]);
            let answer = PacketBuilder::ipv6(v6.octets(), [7; 16], 64).icmpv6(message);
            answer.write(&mut frame, &quoted)?;
        }
    }
    Ok(frame)
}

#[test]
fn refusals_are_counted_by_the_program_as_by_the_library() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let (mut program, host) = (program()?, Host::default());
    for frame in (0..3).map(|_| refusals()).collect::<Result<Vec<_>>>()?.concat() {
        let expected = host.run(&frame);
        assert_eq!(expected, frame, "{}", hex(&frame));
        assert_eq!(program.run_clamp(&frame)?, (NEXT, expected), "{}", hex(&frame));
    }
    let counted = program.refused()?;
    let all: BTreeMap<_, _> = counted.iter().map(|(key, count)| (refused(key), *count)).collect();
    assert_eq!(all, *host.refused.borrow());
    assert_eq!(
        all.into_values().collect::<Vec<_>>(),
        [9; 4],
        "of two VIPs, two protocols, three times behind three tags"
    );
    Ok(())
}

#[test]
fn damaged_answers_are_what_the_library_makes_of_them() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let (mut program, host, effort) = (program()?, Host::default(), Effort::from_env(DAMAGED)?);
    let (mut chance, frames) = (Chance::new(effort.seed), [answers()?, refusals()?].concat());
    for number in 0..effort.frames {
        let mut frame = frames[number % frames.len()].clone();
        for _ in 0..=chance.below(3) {
            let at = chance.below(frame.len());
            frame[at] = chance.byte();
        }
        if chance.one_in(4) {
            frame.truncate(SHORTEST + chance.below(frame.len() - SHORTEST));
        }
        let after = program.run_clamp(&frame).with_context(|| hex(&frame))?;
        assert_eq!(after, (NEXT, host.run(&frame)), "{}", hex(&frame));
    }
    assert_eq!(program.clamped()?, host.clamped.get());
    Ok(())
}
