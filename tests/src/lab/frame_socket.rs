//! Whole Ethernet frames in and out of an interface (packet(7)), for senders and observers that
//! are not the kernel's TCP/IP.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket};
use nix::sys::time::{TimeVal, TimeValLike};

use super::Namespace;

/// Room for a frame of any MTU the lab uses, in bytes.
const FRAME_ROOM: usize = 9216;

/// A raw socket on one interface, all protocols.
#[derive(Debug)]
pub struct FrameSocket {
    socket: File,
}

impl FrameSocket {
    /// Opens it on `interface` of `namespace`.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, or when there is no such interface.
    pub fn open(namespace: &Namespace, interface: &str) -> Result<Self> {
        namespace.enter(|| {
            // No protocol yet: before it is bound, a socket with one would hear every interface.
            let descriptor = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
                .context("open a packet socket")?;
            let index = nix::net::if_::if_nametoindex(interface)
                .with_context(|| format!("no interface {interface} in {}", namespace.name()))?;
            bind(&descriptor, index).with_context(|| format!("bind to {interface}"))?;
            Ok(Self { socket: File::from(descriptor) })
        })
    }

    /// Sends a frame, Ethernet header first.
    ///
    /// # Errors
    /// When the interface is down or the frame longer than its MTU.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        (&self.socket).write_all(frame).context("send a frame")
    }

    /// The next frame for which `wanted` holds, or nothing within `patience`. Frames sent by this
    /// machine on the interface are seen too.
    ///
    /// # Errors
    /// When the socket fails, as it does when the interface goes down.
    pub fn receive(&self, patience: Duration, wanted: impl Fn(&[u8]) -> bool) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + patience;
        let mut room = vec![0; FRAME_ROOM];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left < Duration::from_millis(1) {
                return Ok(None);
            }
            setsockopt(&self.socket, ReceiveTimeout, &time_val(left))?;
            match (&self.socket).read(&mut room) {
                Ok(length) if wanted(&room[..length]) => return Ok(Some(room[..length].to_vec())),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("receive a frame"),
            }
        }
    }
}

/// Binds a packet socket to an interface, for all protocols.
fn bind(socket: &OwnedFd, interface_index: u32) -> Result<()> {
    // SAFETY: sockaddr_ll is plain data of the C library, valid as all zeroes.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET)?;
    address.sll_protocol = u16::try_from(libc::ETH_P_ALL)?.to_be();
    address.sll_ifindex = i32::try_from(interface_index)?;
    let length = libc::socklen_t::try_from(size_of_val(&address))?;
    // SAFETY: the pointer and the length describe `address`, which outlives the call.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if result != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(())
}

fn time_val(duration: Duration) -> TimeVal {
    TimeVal::microseconds(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}
