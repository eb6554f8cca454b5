//! What a probe sends is what the data path makes of a client's packet with the same addresses and ports.

use super::world::{self, BACKEND_V4, BACKEND_V6, VIP_V4, VIP_V6, World};
use super::{framed, packet, run};
use crate::frame::SliceFrame;
use crate::probe::{Fate, HOPS, Way, process};
use lb_common::abi::{BackendFlags, LinkAddress, ProbeEntry, ProbeMark};
use std::net::IpAddr;
use std::vec::Vec;

const WAY: Way = Way { interface: world::INTERFACE, segmented: false };
const SENT: Fate = Fate::Sent(world::INTERFACE);
const MARK: ProbeMark = ProbeMark::of(0);

/// A world in which both backends are probed.
fn probed(flag: Option<BackendFlags>) -> World {
    let mut world = flag.map_or_else(World::new, World::with_tunnels);
    let addresses = [IpAddr::from(BACKEND_V4), BACKEND_V6.into()];
    for (backend, address) in (0..).zip(addresses) {
        let entry = ProbeEntry { destination: address.into(), interface: WAY.interface, backend, pool: 0 };
        world.probes.insert(ProbeMark::of(backend).number(), entry);
    }
    world
}

/// The same with another hop limit.
fn with_hops(frame: &[u8], hops: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if frame[14] >> 4 == 6 {
        frame[14 + 7] = hops;
        return frame;
    }
    let (mut header, _) = etherparse::Ipv4Header::from_slice(&frame[14..]).unwrap();
    header.time_to_live = hops;
    header.header_checksum = header.calc_header_checksum();
    frame[14..34].copy_from_slice(&header.to_bytes());
    frame
}

fn sent(world: &World, frame: &[u8], mark: ProbeMark, way: Way) -> (Fate, Vec<u8>) {
    let mut buffer = [std::vec![0xee; super::HEADROOM], frame.to_vec()].concat();
    let mut frame = SliceFrame::new(&mut buffer, super::HEADROOM, 0);
    let fate = process(&mut frame, mark, way, world);
    assert_eq!(world.fates.take(), [fate], "each is counted once");
    (fate, frame.bytes().to_vec())
}

#[test]
fn a_probe_takes_the_data_paths_way() {
    let tunnels = [None, Some(BackendFlags::GUE), Some(BackendFlags::VXLAN)];
    for (flag, vip) in tunnels.iter().flat_map(|flag| [VIP_V4.into(), VIP_V6.into()].map(|vip| (flag, vip))) {
        let world = probed(*flag);
        // Port 443 leads to the first backend, 80 to the other.
        for (backend, port) in [(0, 443), (1, 80)] {
            let frame = framed(0, &packet(vip, port, 0, b"GET / HTTP/1.1\r\n"));
            let (_, expected, _) = run(&world, &with_hops(&frame, HOPS), super::HEADROOM);
            assert_ne!(expected, frame);
            let frame = with_hops(&frame, 1);
            assert_eq!(sent(&world, &frame, ProbeMark::of(backend), WAY), (SENT, expected));
        }
    }
}

#[test]
fn a_backend_that_does_not_serve_is_probed() {
    let mut world = probed(None);
    let flags = &mut world.backends[0].route.flags;
    *flags = flags.without(BackendFlags::SERVES);
    let frame = framed(0, &packet(VIP_V4.into(), 443, 0, b""));
    assert_eq!(sent(&world, &frame, MARK, WAY).0, SENT);
}

#[test]
fn it_leaves_by_the_backends_interface() {
    let mut world = probed(None);
    world.backends[0].route.interface = 9;
    let frame = framed(0, &packet(VIP_V4.into(), 443, 0, b""));
    assert_eq!(sent(&world, &frame, MARK, WAY).0, Fate::Sent(9));
}

/// Changes a world so that the probe's mark leads nowhere.
type Spoil = fn(&mut World);

#[test]
fn what_cannot_go_its_way_does_not_leave_at_all() {
    let spoils: [Spoil; 8] = [
        |world| world.probes.clear(),
        |world| world.probes.values_mut().for_each(|probe| probe.backend = 9),
        |world| world.probes.values_mut().for_each(|probe| probe.interface = 9),
        |world| world.probes.values_mut().for_each(|probe| probe.pool = 1),
        |world| world.backends.swap(0, 1),
        |world| world.backends[0].route.interface = 0,
        |world| world.backends[0].route.flags = BackendFlags::LOCAL,
        |world| world.backends[0].destination_mac = LinkAddress::new(world::HOP, 7),
    ];
    let frame = framed(0, &packet(VIP_V4.into(), 443, 0, b""));
    for (at, spoil) in spoils.iter().enumerate() {
        let mut world = probed(None);
        spoil(&mut world);
        assert_eq!(sent(&world, &frame, MARK, WAY), (Fate::Dropped, frame.clone()), "{at}");
    }
    let world = probed(None);
    let elsewhere = Way { interface: 9, ..WAY };
    assert_eq!(sent(&world, &frame, MARK, elsewhere).0, Fate::Dropped);
    let arp = [&[2; 12][..], &[8, 6], &[0; 28]].concat();
    for odd in [framed(1, &packet(VIP_V4.into(), 443, 0, b"")), arp] {
        assert_eq!(sent(&world, &odd, MARK, WAY), (Fate::Dropped, odd.clone()), "tagged, or no IP");
    }
}

#[test]
fn only_what_is_cut_later_may_be_longer_than_the_path() {
    let world = probed(None);
    let frame = framed(0, &packet(VIP_V4.into(), 443, 0, &[0; 1500]));
    assert_eq!(sent(&world, &frame, MARK, WAY).0, Fate::Dropped);
    assert_eq!(sent(&world, &frame, MARK, Way { segmented: true, ..WAY }).0, SENT);
}
