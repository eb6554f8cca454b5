//! Features of an interface that are on, by the `ethtool` ioctl: the tool may not be installed.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

use crate::doctor::facts::Seen;

/// Commands of `linux/ethtool.h`.
const GET_SET_SIZES: u32 = 0x37;
const GET_STRINGS: u32 = 0x1b;
const GET_FEATURES: u32 = 0x3a;
/// `ETH_SS_FEATURES`: the set of strings that names features.
const FEATURE_NAMES: u32 = 4;
/// `ETH_GSTRING_LEN`: bytes of a name.
const NAME: usize = 32;
/// More features than any kernel has names for (64 to 72 today).
const MOST: usize = 512;
const BLOCKS: usize = MOST / 32;

/// `struct ethtool_sset_info` for one set.
#[repr(C)]
#[derive(Default)]
struct SetSizes {
    command: u32,
    reserved: u32,
    mask: u64,
    size: u32,
}

/// `struct ethtool_gstrings` with room for all names.
#[repr(C)]
struct Strings {
    command: u32,
    set: u32,
    length: u32,
    names: [[u8; NAME]; MOST],
}

/// `struct ethtool_gfeatures` with room for all.
#[repr(C)]
struct Features {
    command: u32,
    size: u32,
    blocks: [Block; BLOCKS],
}

/// `struct ethtool_get_features_block`: 32 features, a bit each.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Block {
    available: u32,
    requested: u32,
    active: u32,
    never_changed: u32,
}

/// Names of the features that are on.
pub(super) fn active(interface: &str) -> Seen<BTreeSet<String>> {
    read(interface).map_err(|error| format!("the driver's features cannot be read: {error}"))
}

fn read(interface: &str) -> io::Result<BTreeSet<String>> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let mut sizes = SetSizes { command: GET_SET_SIZES, mask: 1 << FEATURE_NAMES, ..SetSizes::default() };
    ask(&socket, interface, &mut sizes)?;
    let count = sizes.size as usize;
    if sizes.mask == 0 || count > MOST {
        return Err(io::Error::other(format!("it names {count} of them")));
    }
    let names = [[0; NAME]; MOST];
    let mut strings =
        Box::new(Strings { command: GET_STRINGS, set: FEATURE_NAMES, length: sizes.size, names });
    ask(&socket, interface, &mut *strings)?;
    let blocks = [Block::default(); BLOCKS];
    let size = u32::try_from(count.div_ceil(32)).map_err(io::Error::other)?;
    let mut features = Features { command: GET_FEATURES, size, blocks };
    ask(&socket, interface, &mut features)?;
    Ok(on(&strings.names[..count], &features.blocks))
}

fn on(names: &[[u8; NAME]], blocks: &[Block]) -> BTreeSet<String> {
    let bits = blocks.iter().flat_map(|block| (0..32).map(|bit| block.active >> bit & 1 == 1));
    let active = names.iter().zip(bits).filter(|(_, on)| *on);
    active.map(|(name, _)| text(name)).filter(|name| !name.is_empty()).collect()
}

fn text(name: &[u8; NAME]) -> String {
    let length = name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
    String::from_utf8_lossy(&name[..length]).into_owned()
}

/// Has the kernel fill an answer in. Its first word is the command, which says how long the rest is.
fn ask<T>(socket: &UdpSocket, interface: &str, answer: &mut T) -> io::Result<()> {
    // SAFETY: ifreq is plain data of the C library, valid as all zeroes.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(answer).cast::<c_void>().cast();
    // SAFETY: SIOCETHTOOL reads the ifreq and the structure that ifr_data points at, and writes to the latter. Both
    // outlive the call. The three structures of this file are those of the three commands, and say in `mask`,
    // `length` or `size` no more than they have room for, which bounds what the kernel writes: a set's size here is
    // at most `MOST`, and a name or block follows for each.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_names() {
        let name = |text: &str| {
            let mut name = [0; NAME];
            name[..text.len()].copy_from_slice(text.as_bytes());
            name
        };
        let mut names = vec![name(""); 40];
        (names[1], names[33], names[34]) = (name("rx-lro"), name("rx-gro-hw"), name("tx-nocache-copy"));
        let mut blocks = [Block::default(); BLOCKS];
        (blocks[0].active, blocks[1].active, blocks[1].available) = (0b11, 0b10, 0b110);
        assert_eq!(on(&names, &blocks), BTreeSet::from(["rx-gro-hw".to_owned(), "rx-lro".to_owned()]));
    }

    #[test]
    fn the_loopback_interface_has_features() {
        let features = active("lo").unwrap();
        assert!(features.contains("loopback"), "{features:?}");
    }

    #[test]
    fn an_interface_that_is_not_there_has_none() {
        assert!(active("nonesuch0").unwrap_err().contains("No such device"));
        assert!(active("a-name-that-is-too-long").is_err());
    }
}
