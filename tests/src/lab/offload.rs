//! Checksum offload of an interface, through the `ethtool` ioctl (the tool may not be installed).

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};

use super::Namespace;

/// `ETHTOOL_STXCSUM` of linux/ethtool.h: set transmit checksumming.
const ETHTOOL_STXCSUM: u32 = 0x17;

/// `struct ethtool_value` of linux/ethtool.h.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// Lets an interface finish checksums, as [`connect`](super::connect) does not: what sees the packets that it sends sees
/// unfinished ones, and packets in pieces.
///
/// # Errors
/// When there is no such interface, or without `CAP_NET_ADMIN`.
pub fn offload_checksums(namespace: &Namespace, interface: &str) -> Result<()> {
    namespace.enter(|| set_tx_checksum(interface, true))
}

/// Turns transmit checksum offload off, so that packets leave with a real checksum: a veth would
/// hand an XDP program the unfinished one. Call it inside the interface's namespace.
///
/// # Errors
/// When there is no such interface, or without `CAP_NET_ADMIN`.
pub(super) fn disable_tx_checksum(interface: &str) -> Result<()> {
    set_tx_checksum(interface, false)
}

fn set_tx_checksum(interface: &str, on: bool) -> Result<()> {
    let mut value = EthtoolValue { command: ETHTOOL_STXCSUM, data: on.into() };
    let mut request = request_for(interface)?;
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    let socket = UdpSocket::bind("0.0.0.0:0").context("open a socket for an ioctl")?;
    // SAFETY: SIOCETHTOOL reads an ifreq whose ifr_data points at an ethtool_value; both live on
    // this stack frame until the call returns.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if result != 0 {
        let error = std::io::Error::last_os_error();
        return Err(error).with_context(|| format!("checksum offload of {interface}, on: {on}"));
    }
    Ok(())
}

fn request_for(interface: &str) -> Result<libc::ifreq> {
    // SAFETY: ifreq is plain data of the C library, valid as all zeroes.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    ensure!(interface.len() < request.ifr_name.len(), "interface name {interface} is too long");
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    Ok(request)
}
