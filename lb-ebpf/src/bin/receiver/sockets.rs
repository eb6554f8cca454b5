//! Whose connection a TCP segment is, by the kernel's own sockets.

use aya_ebpf::bindings::{BPF_F_CURRENT_NETNS, bpf_sock, bpf_sock_tuple, tcphdr, xdp_md};
use aya_ebpf::helpers::generated::{bpf_sk_release, bpf_skc_lookup_tcp, bpf_tcp_check_syncookie};
use core::ffi::c_void;
use lb_common::flow::Flow;
use lb_common::net::Family;
use lb_ebpf::frame::Frame;
use lb_ebpf::wire::{HalfWord, Ipv4, Ipv6};

/// `TCP_TIME_WAIT`, `TCP_LISTEN` and `TCP_NEW_SYN_RECV` in the kernel's `enum` of states (include/net/tcp_states.h).
const OVER: u32 = 6;
const LISTEN: u32 = 10;
const HANDSHAKE: u32 = 12;
/// Only this program's own network namespace.
const NAMESPACE: u64 = BPF_F_CURRENT_NETNS as i64 as u64;

/// The connection as the helper wants it: addresses and ports as they lie in the packet.
#[repr(C)]
struct TupleV4 {
    source: u32,
    destination: u32,
    ports: u32,
}

#[repr(C)]
struct TupleV6 {
    source: [u32; 4],
    destination: [u32; 4],
    ports: u32,
}

/// A TCP header without options.
#[repr(C, packed)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Tcp {
    words: [HalfWord; 5],
}

/// Whether a socket has the connection. One that listens has it if the packet brings back a SYN cookie, as it does when
/// the queue of handshakes was full. A handshake alone proves nothing, for anybody can send a SYN in the name of a
/// connection that is another node's: its last packet comes back if nobody else has it. Nor does a connection that is
/// over: the client may have begun another from the same port, which is a new owner's. Whoever closed first is alone
/// with it for a minute (RFC 9293, section 3.6), and the other side wants nothing more of it.
#[inline(always)]
pub(crate) fn has<F: Frame>(context: *mut xdp_md, frame: &F, flow: &Flow, ip: usize, tcp: usize) -> bool {
    let socket = find(context, flow);
    if socket.is_null() {
        return false;
    }
    // SAFETY: it is not null, and held until it is released below.
    let state = unsafe { (*socket).state };
    let has = match state {
        OVER | HANDSHAKE => false,
        LISTEN => brings_cookie(socket, frame, flow.family, ip, tcp),
        _ => true,
    };
    // SAFETY: it was found by the helper that takes a reference, which is given back here on every way.
    unsafe { bpf_sk_release(socket.cast()) };
    has
}

#[inline(always)]
fn find(context: *mut xdp_md, flow: &Flow) -> *mut bpf_sock {
    let ports = u32::from(flow.source_port.wire()) | u32::from(flow.destination_port.wire()) << 16;
    match flow.family {
        Family::V4 => {
            let mut tuple =
                TupleV4 { source: flow.source.v4_word(), destination: flow.destination.v4_word(), ports };
            look_up(context, &raw mut tuple)
        }
        Family::V6 => {
            let [source, destination] =
                [flow.source, flow.destination].map(|address| halves(address.words()));
            let mut tuple = TupleV6 { source, destination, ports };
            look_up(context, &raw mut tuple)
        }
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "halves are meant")]
const fn halves([high, low]: [u64; 2]) -> [u32; 4] {
    [high as u32, (high >> 32) as u32, low as u32, (low >> 32) as u32]
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a tuple is a few words")]
fn look_up<T>(context: *mut xdp_md, tuple: *mut T) -> *mut bpf_sock {
    // SAFETY: the context is the one this program was called with, and the tuple lies on the stack, of the size that
    // says which family it is.
    unsafe {
        bpf_skc_lookup_tcp(
            context.cast(),
            tuple.cast::<bpf_sock_tuple>(),
            size_of::<T>() as u32,
            NAMESPACE,
            0,
        )
    }
}

#[inline(always)]
fn brings_cookie<F: Frame>(socket: *mut bpf_sock, frame: &F, family: Family, ip: usize, tcp: usize) -> bool {
    let Some(header) = frame.header::<Tcp>(tcp) else { return false };
    let header = (&raw const *header).cast_mut().cast::<tcphdr>();
    match family {
        Family::V4 => frame.header::<Ipv4>(ip).is_some_and(|ip| is_cookie(socket, ip, header)),
        Family::V6 => frame.header::<Ipv6>(ip).is_some_and(|ip| is_cookie(socket, ip, header)),
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "headers are tens of bytes")]
fn is_cookie<T>(socket: *mut bpf_sock, ip: &T, tcp: *mut tcphdr) -> bool {
    let ip = (&raw const *ip).cast_mut().cast::<c_void>();
    // SAFETY: the socket is held; both headers lie in the packet, of the lengths that are given, and are only read.
    unsafe {
        bpf_tcp_check_syncookie(socket.cast(), ip, size_of::<T>() as u32, tcp, size_of::<Tcp>() as u32) == 0
    }
}
