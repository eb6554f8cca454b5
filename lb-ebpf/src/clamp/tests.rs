use super::*;
use crate::frame::SliceFrame;
use crate::parse;
use etherparse::PacketBuilder;
use lb_common::net::Address;
use proptest::prelude::*;
use std::cell::Cell;
use std::vec;
use std::vec::Vec;

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
const TAGS: [&[u8]; 3] = [&[], &[0x81, 0, 0, 5], &[0x88, 0xa8, 0, 5, 0x81, 0, 0x20, 6]];
const VIP: [[u8; 4]; 2] = [[198, 51, 100, 10], [10, 0, 0, 11]];
const LIMIT: u16 = 1356;
/// What Linux sends: largest segment 1460, selective acknowledgements, timestamps, nothing, window scale.
const USUAL: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7];
const SYN_ACK: u8 = 0x12;

struct World {
    limit: u16,
    own: Option<Address>,
    clamped: Cell<usize>,
}

impl World {
    fn new(limit: u16) -> Self {
        Self { limit, own: None, clamped: Cell::new(0) }
    }
}

impl Sender for World {
    fn is_own(&self, address: &Address) -> bool {
        self.own == Some(*address)
    }
}

impl Limits for World {
    fn limit(&self, _family: Family) -> u16 {
        self.limit
    }
    fn count_clamped(&self) {
        self.clamped.set(self.clamped.get() + 1);
    }
}

/// An answer of a VIP's without a link header: options of the IPv4 header and of TCP, and data.
fn packet(family: Family, header: &[u8], options: &[u8], data: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = match family {
        Family::V4 => PacketBuilder::ipv4(VIP[0], [203, 0, 113, 7], 64),
        Family::V6 => PacketBuilder::ipv6([9; 16], [7; 16], 64),
    };
    let builder = builder.tcp(443, 40_000, 1, 1024).syn().ack(7).options_raw(options).unwrap();
    builder.write(&mut packet, data).unwrap();
    if family == Family::V4 {
        packet[0] += u8::try_from(header.len() / 4).unwrap();
        let length = u16::try_from(packet.len() + header.len()).unwrap();
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet.splice(20..20, header.iter().copied());
    }
    packet
}

fn framed(tags: &[u8], packet: &[u8]) -> Vec<u8> {
    let kind = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    [&[2, 0, 0, 0, 0, 9, 4, 0, 0, 0, 0, 7], tags, &kind, packet].concat()
}

/// Of an untagged frame, where TCP begins.
fn segment(frame: &[u8]) -> usize {
    if frame[12] == 8 { 14 + usize::from(frame[14] & 15) * 4 } else { 54 }
}

/// Whether the checksum of an untagged frame's segment is right: summed anew, with the pseudo header.
fn is_summed(frame: &[u8]) -> bool {
    let start = segment(frame);
    let (addresses, end) = if frame[12] == 8 {
        (&frame[26..34], 14 + usize::from(u16::from_be_bytes([frame[16], frame[17]])))
    } else {
        (&frame[22..54], 54 + usize::from(u16::from_be_bytes([frame[18], frame[19]])))
    };
    let segment = &frame[start..end];
    let length = u32::try_from(segment.len()).unwrap().to_be_bytes();
    let all = [addresses, &length, &[0, 6], segment, &[0][..segment.len() & 1]].concat();
    let mut sum: u32 = all.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}

fn run(world: &World, frame: &[u8]) -> Vec<u8> {
    let mut buffer = frame.to_vec();
    let mut frame = SliceFrame::new(&mut buffer, 0, 1);
    if let Ok(network) = parse::network(&frame) {
        process(&mut frame, &network, world);
    }
    buffer
}

/// What becomes of a frame under the limit, if anything.
fn end(frame: &[u8]) -> Option<Vec<u8>> {
    let world = World::new(LIMIT);
    let after = run(&world, frame);
    assert_eq!(world.clamped.get(), usize::from(after != frame), "it counts what changes");
    (after != frame).then_some(after)
}

#[test]
fn a_vips_answer_asks_for_segments_that_fit() {
    for (family, tags) in FAMILIES.into_iter().flat_map(|family| TAGS.map(|tags| (family, tags))) {
        let [asked, fitting] = [1460_u16, LIMIT].map(|size| {
            let options = [&[2, 4], &size.to_be_bytes()[..], &USUAL[4..]].concat();
            framed(tags, &packet(family, &[], &options, b""))
        });
        assert_eq!(end(&asked), Some(fitting), "{family:?} {tags:?}");
    }
}

#[test]
fn the_option_is_found_wherever_it_is() {
    let size = [2, 4, 5, 0xb4];
    for (about, options) in [
        ("alone", size.to_vec()),
        ("behind one byte of nothing", [&[1], &size[..], &[0, 0, 0]].concat()),
        ("behind two", [&[1, 1], &size[..], &[1, 1]].concat()),
        ("behind three", [&[1, 1, 1], &size[..], &[1]].concat()),
        ("behind others", [&USUAL[4..16], &size[..]].concat()),
        ("behind one of odd length", [&[3, 3, 7], &size[..], &[0]].concat()),
        ("last of as many as there can be", [&[1; 36], &size[..]].concat()),
        ("behind one that is unknown", [&[254, 6, 2, 4, 0xff, 0xff], &size[..], &[0, 0]].concat()),
    ] {
        for (family, data) in FAMILIES.into_iter().flat_map(|family| [(family, &b""[..]), (family, b"odd")]) {
            let frame = framed(&[], &packet(family, &[], &options, data));
            assert!(is_summed(&frame), "{about}");
            let after = end(&frame).unwrap_or_else(|| panic!("{about}: not found"));
            let value = segment(&frame) + 22 + options.windows(4).rposition(|four| four == size).unwrap();
            assert_eq!(after[value..value + 2], LIMIT.to_be_bytes(), "{about}");
            assert!(is_summed(&after), "{about}, {family:?}, {data:?}");
        }
    }
}

#[test]
fn ipv4_may_have_options_of_its_own() {
    for words in 1..=10 {
        let frame = framed(&[], &packet(Family::V4, &vec![1; words * 4], &USUAL, b""));
        assert!(is_summed(&frame) && end(&frame).is_some_and(|after| is_summed(&after)), "{words}");
    }
}

/// A frame with one byte of its segment changed.
fn with(frame: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let start = segment(&frame);
    frame[start + at] = byte;
    frame
}

#[test]
fn all_else_stays_as_it_is() {
    let usual = framed(&[], &packet(Family::V4, &[], &USUAL, b""));
    let v6 = framed(&[], &packet(Family::V6, &[], &USUAL, b""));
    let options = |options: &[u8]| framed(&[], &packet(Family::V4, &[], options, b""));
    let at = |frame: &[u8], at: usize, byte: u8| {
        let mut frame = frame.to_vec();
        frame[at] = byte;
        frame
    };
    assert!(end(&usual).is_some() && end(&v6).is_some());
    for (about, frame) in [
        ("it fits", options(&[2, 4, 5, 0x4c])),
        ("a SYN", with(&usual, 13, 2)),
        ("an acknowledgement", with(&usual, 13, 0x10)),
        ("a reset", with(&usual, 13, SYN_ACK | 4)),
        ("an end", with(&usual, 13, SYN_ACK | 1)),
        ("UDP", at(&usual, 23, 17)),
        ("a hop-by-hop header", at(&v6, 20, 0)),
        ("a first fragment", at(&usual, 20, 0x20)),
        ("another fragment", at(&usual, 21, 1)),
        ("ARP", at(&usual, 13, 6)),
        ("an IP header too short", at(&usual, 14, 0x44)),
        ("no options", options(&[])),
        ("no size among them", options(&USUAL[4..16])),
        ("an end before it", options(&[0, 0, 0, 0, 2, 4, 5, 0xb4])),
        ("an option without a length", options(&[8, 0, 0, 0, 2, 4, 5, 0xb4])),
        ("an option of one byte", options(&[8, 1, 1, 1, 2, 4, 5, 0xb4])),
        ("an option beyond the header", options(&[8, 9, 1, 1, 2, 4, 5, 0xb4])),
        ("a size of three bytes", options(&[2, 3, 5, 1])),
        ("a size cut short", options(&[1, 2, 4, 5])),
        ("a header of less than itself", with(&usual, 12, 0x40)),
        ("a header without the option", with(&usual, 12, 0x50)),
        ("a header beyond the packet", with(&usual, 12, 0xf0)),
        ("a packet beyond the frame", usual[..usual.len() - 1].to_vec()),
        ("a packet before its end", at(&usual, 17, 40)),
    ] {
        assert_eq!(end(&frame), None, "{about}");
    }
}

#[test]
fn without_a_limit_and_from_the_nodes_own_address_it_is_as_it_was() {
    let frame = framed(&[], &packet(Family::V4, &[], &USUAL, b""));
    assert_eq!(run(&World::new(0), &frame), frame);
    let own = |address: [u8; 4]| Some(Address::from(std::net::IpAddr::from(address)));
    let worlds = VIP.map(|address| World { own: own(address), ..World::new(LIMIT) });
    assert_eq!(worlds.map(|world| run(&world, &frame) == frame), [true, false]);
}

proptest! {
    #[test]
    fn of_any_frame_only_the_size_and_the_checksum_change(
        family in prop::sample::select(FAMILIES.to_vec()),
        options in prop::collection::vec(prop::sample::select(vec![0, 1, 2, 3, 4, 5, 8, 0xb4]), 0..=40),
        data in prop::collection::vec(any::<u8>(), 0..4),
        limit in any::<u16>(),
    ) {
        let (world, frame) = (World::new(limit), framed(&[], &packet(family, &[], &options, &data)));
        let after = run(&world, &frame);
        prop_assert!(is_summed(&after));
        prop_assert_eq!(world.clamped.get(), usize::from(after != frame));
        let changed: Vec<_> = (0..frame.len()).filter(|at| frame[*at] != after[*at]).collect();
        let checksum = segment(&frame) + CHECKSUM;
        let mut size = changed.iter().filter(|at| !(checksum..checksum + 2).contains(*at));
        if let Some(&first) = size.next() {
            // The other of its two bytes may be what it was.
            prop_assert!(first >= checksum + 4 && size.all(|at| *at == first + 1));
            let value = if after[first..first + 2] == limit.to_be_bytes() { first } else { first - 1 };
            prop_assert_eq!(&after[value..value + 2], &limit.to_be_bytes());
            prop_assert_eq!(&frame[value - 2..value], &[2, 4]);
            prop_assert!(limit < u16::from_be_bytes([frame[value], frame[value + 1]]));
        }
    }

    #[test]
    fn no_frame_breaks_the_way(
        family in prop::sample::select(FAMILIES.to_vec()),
        tags in prop::sample::select(TAGS.to_vec()),
        damage in prop::collection::vec((0_usize..100, any::<u8>()), 0..6),
        length in 0_usize..100,
    ) {
        let mut frame = framed(tags, &packet(family, &[], &USUAL, b""));
        for (at, byte) in damage {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        frame.truncate(length);
        let world = World::new(LIMIT);
        let after = run(&world, &frame);
        let changed = (0..frame.len()).filter(|at| frame[*at] != after[*at]).count();
        prop_assert!(changed <= 4 && world.clamped.get() == usize::from(changed > 0));
    }
}
