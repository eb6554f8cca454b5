//! What a driver can do for XDP, by the kernel's generic netlink family `netdev` (Linux 6.3 and newer;
//! Documentation/netlink/specs/netdev.yaml).

use std::io;

use rtnetlink::packet_core::{NLM_F_REQUEST, NLMSG_ERROR, NetlinkBuffer, NlasIterator, parse_u16, parse_u64};
use rtnetlink::sys::protocols::NETLINK_GENERIC;
use rtnetlink::sys::{Socket, SocketAddr};

use crate::doctor::facts::Driver;

/// The family that knows the others: `linux/genetlink.h`.
const CONTROL: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// Commands and attributes of `linux/netdev.h`.
const GET_DEVICE: u8 = 1;
const INDEX: u16 = 1;
const XDP_FEATURES: u16 = 3;
const BASIC: u64 = 1;
const TRANSMIT: u64 = 4;
/// Bytes of `struct genlmsghdr`, which begins each answer.
const GENERIC_HEADER: usize = 4;

/// Asks about one device after another.
pub(super) struct Drivers {
    socket: Socket,
    family: u16,
}

impl Drivers {
    /// `None`: this kernel does not say.
    pub(super) fn open() -> Option<Self> {
        let mut socket = Socket::new(NETLINK_GENERIC).ok()?;
        socket.bind_auto().ok()?;
        socket.connect(&SocketAddr::new(0, 0)).ok()?;
        let answer = ask(&socket, CONTROL, GET_FAMILY, FAMILY_NAME, b"netdev\0").ok()?;
        let family = attribute(&answer, FAMILY_ID).and_then(|value| parse_u16(&value).ok())?;
        Some(Self { socket, family })
    }

    /// Of an interface; `None`: the kernel does not say.
    pub(super) fn of(&self, index: u32) -> Option<Driver> {
        let answer = ask(&self.socket, self.family, GET_DEVICE, INDEX, &index.to_ne_bytes()).ok()?;
        let features = attribute(&answer, XDP_FEATURES).and_then(|value| parse_u64(&value).ok())?;
        Some(Driver { native: features & BASIC != 0, transmits: features & TRANSMIT != 0 })
    }
}

/// One question with one attribute. The answer's attributes.
fn ask(socket: &Socket, family: u16, command: u8, kind: u16, value: &[u8]) -> io::Result<Vec<u8>> {
    socket.send(&request(family, command, kind, value), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let message = NetlinkBuffer::new_checked(&answer[..]).map_err(io::Error::other)?;
    if message.message_type() == NLMSG_ERROR {
        return Err(io::Error::other("the kernel refused the question"));
    }
    Ok(message.payload().get(GENERIC_HEADER..).unwrap_or_default().to_vec())
}

/// `struct nlmsghdr`, `struct genlmsghdr` of version 1, one attribute.
fn request(family: u16, command: u8, kind: u16, value: &[u8]) -> Vec<u8> {
    /// Bytes of the headers of the message and of the attribute.
    const HEADERS: [u16; 2] = [20, 4];
    let room = u16::try_from(value.len().next_multiple_of(4)).unwrap_or(u16::MAX);
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    let mut message = Vec::new();
    message.extend(u32::from(HEADERS[0] + HEADERS[1] + room).to_ne_bytes());
    message.extend(family.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([command, 1, 0, 0]);
    message.extend((HEADERS[1] + length).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(usize::from(HEADERS[0] + HEADERS[1] + room), 0);
    message
}

fn attribute(attributes: &[u8], kind: u16) -> Option<Vec<u8>> {
    let all = NlasIterator::new(attributes).filter_map(Result::ok);
    let mut found = all.filter(|attribute| attribute.kind() == kind);
    found.next().map(|attribute| attribute.value().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_how_long_it_is() {
        let message = request(CONTROL, GET_FAMILY, FAMILY_NAME, b"netdev\0");
        assert_eq!(message.len(), 32);
        assert_eq!(message[..4], 32u32.to_ne_bytes());
        assert_eq!(message[20..24], [11u16.to_ne_bytes(), 2u16.to_ne_bytes()].concat());
        assert_eq!(message[24..], *b"netdev\0\0");
    }

    #[test]
    fn the_loopback_interface_has_no_native_mode() {
        // Kernels before 6.3 have no such family.
        if let Some(drivers) = Drivers::open() {
            assert_eq!(drivers.of(1), Some(Driver { native: false, transmits: false }));
            assert_eq!(drivers.of(u32::MAX), None);
        }
    }
}
