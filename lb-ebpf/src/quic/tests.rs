use super::*;
use crate::frame::SliceFrame;
use std::vec::Vec;

/// Where the UDP header lies in these tests.
const OFFSET: usize = 34;

fn read(data: &[u8], end: usize) -> Option<ConnectionId> {
    let mut buffer = [&[0xee; OFFSET + UDP_LENGTH], data].concat();
    ConnectionId::read(&SliceFrame::new(&mut buffer, 0, 1), OFFSET, OFFSET + UDP_LENGTH + end)
}

fn id() -> Vec<u8> {
    (1..=20).collect()
}

fn head(id: &[u8]) -> [u64; 2] {
    bytemuck::pod_read_unaligned(&id[..16])
}

fn short(first: u8) -> Vec<u8> {
    [&[first], &id()[..], b"packet"].concat()
}

/// The length byte says `length`, whatever follows.
fn long(first: u8, length: u8) -> Vec<u8> {
    [&[first, 0, 0, 0, 1, length], &id()[..], b"packet"].concat()
}

#[test]
fn the_form_says_where_the_id_lies_and_no_other_bit_does() {
    for first in 0..=255 {
        let expected = ConnectionId { head: head(&id()), length: if first < 128 { 256 } else { 9 } };
        let data = if first < 128 { short(first) } else { long(first, 9) };
        assert_eq!(read(&data, data.len()), Some(expected), "{first}");
    }
}

#[test]
fn a_datagram_is_as_short_as_the_ids_it_may_have() {
    for (data, least) in [(short(0x40), 17), (long(0xc0, 8), 22)] {
        assert!(read(&data, least).is_some() && read(&data[..least], least).is_some());
        assert_eq!(read(&data, least - 1), None, "what follows is no part of the datagram");
        assert_eq!(read(&data[..least - 1], least - 1), None);
        assert_eq!(read(&data[..least - 1], least), None, "the frame ends first");
    }
    assert_eq!(read(&[], 0), None);
}
