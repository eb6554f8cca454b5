//! The lab's decapsulator: XDP on a node's interface, for kernels without an `ipip` device or without `fou`.
//!
//! `receiver` strips the outer headers of 4in4, 6in6, 4in6 and 6in4 (RFC 2003, RFC 2473, RFC 4213), bare or with
//! GUE (draft-ietf-intarea-gue) on its usual port, and gives the inner packet to the stack, which answers the client directly. `pass` does nothing:
//! a veth delivers what `XDP_TX` sends out of its peer only while a program is attached.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::xdp_action::XDP_PASS, helpers::bpf_xdp_adjust_head, macros::xdp, programs::XdpContext,
};

const ETH_LEN: usize = 14;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
/// EtherTypes and MAC parts as they lie in memory: network order read as a native integer.
const ETHERTYPE_IPV4: u16 = 0x0800_u16.to_be();
const ETHERTYPE_IPV6: u16 = 0x86dd_u16.to_be();
/// Version 4, no options: the balancer writes none, and only such a header has a fixed length.
const IPV4_NO_OPTIONS: u8 = 0x45;
/// All of the flags and fragment offset field but "don't fragment": a fragment has no whole inner packet.
const FRAGMENT_BITS: u16 = 0x3fff_u16.to_be();
const PROTOCOL_IPV4: u8 = 4;
const PROTOCOL_IPV6: u8 = 41;
const PROTOCOL_UDP: u8 = 17;
const GUE_PORT: u16 = 6080_u16.to_be();
/// UDP and GUE without options.
const GUE_LEN: usize = 8 + 4;
/// The first half of a GUE header that does not name anything but a packet of this kind.
const GUE_IPV4: u16 = (PROTOCOL_IPV4 as u16).to_be();
const GUE_IPV6: u16 = (PROTOCOL_IPV6 as u16).to_be();

/// The receiver: strips what was put in front, passes the packet in any case.
#[xdp]
fn receiver(ctx: XdpContext) -> u32 {
    if let Some((outer_len, ethertype)) = tunnelled(&ctx) {
        // A failure leaves an encapsulated packet, which the stack refuses: lost, as it should be.
        let _ = strip(&ctx, outer_len, ethertype);
    }
    XDP_PASS
}

/// Passes everything: the peer of an interface that answers with `XDP_TX`.
#[xdp]
fn pass(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

/// The outer headers' length and the inner packet's EtherType, if this is IP in IP or in GUE.
#[inline(always)]
fn tunnelled(ctx: &XdpContext) -> Option<(usize, u16)> {
    let (outer_len, protocol) = match load::<u16>(ctx, 12)? {
        ETHERTYPE_IPV4 => (IPV4_LEN, ipv4_protocol(ctx)?),
        ETHERTYPE_IPV6 => (IPV6_LEN, load::<u8>(ctx, ETH_LEN + 6)?),
        _ => return None,
    };
    match protocol {
        PROTOCOL_IPV4 => Some((outer_len, ETHERTYPE_IPV4)),
        PROTOCOL_IPV6 => Some((outer_len, ETHERTYPE_IPV6)),
        PROTOCOL_UDP => Some((outer_len + GUE_LEN, gue(ctx, ETH_LEN + outer_len)?)),
        _ => None,
    }
}

/// The inner packet's EtherType, if the UDP header at `offset` leads to GUE without options.
#[inline(always)]
fn gue(ctx: &XdpContext, offset: usize) -> Option<u16> {
    if load::<u16>(ctx, offset + 2)? != GUE_PORT {
        return None;
    }
    match load::<u16>(ctx, offset + 8)? {
        GUE_IPV4 => Some(ETHERTYPE_IPV4),
        GUE_IPV6 => Some(ETHERTYPE_IPV6),
        _ => None,
    }
}

/// The protocol of an IPv4 header without options that is no fragment.
#[inline(always)]
fn ipv4_protocol(ctx: &XdpContext) -> Option<u8> {
    let whole = load::<u16>(ctx, ETH_LEN + 6)? & FRAGMENT_BITS == 0;
    if whole && load::<u8>(ctx, ETH_LEN)? == IPV4_NO_OPTIONS { load(ctx, ETH_LEN + 9) } else { None }
}

/// Moves the frame's start over the outer headers and writes the Ethernet header anew.
#[inline(always)]
fn strip(ctx: &XdpContext, outer_len: usize, ethertype: u16) -> Option<()> {
    let macs: [u32; 3] = [load(ctx, 0)?, load(ctx, 4)?, load(ctx, 8)?];
    // SAFETY: `ctx.ctx` is the context the kernel called us with; every packet access afterwards
    // goes through `at`, which reads the bounds anew.
    if unsafe { bpf_xdp_adjust_head(ctx.ctx, outer_len as i32) } != 0 {
        return None;
    }
    store(ctx, 0, macs[0])?;
    store(ctx, 4, macs[1])?;
    store(ctx, 8, macs[2])?;
    store(ctx, 12, ethertype)
}

/// A pointer to a `T` at `offset` bytes into the frame, if it lies inside.
#[inline(always)]
fn at<T>(ctx: &XdpContext, offset: usize) -> Option<*mut T> {
    let start = ctx.data() + offset;
    if start + size_of::<T>() > ctx.data_end() { None } else { Some(start as *mut T) }
}

#[inline(always)]
fn load<T: Copy>(ctx: &XdpContext, offset: usize) -> Option<T> {
    // SAFETY: `at` checked the bounds, `T` is an integer (any bytes are valid), the read is unaligned.
    at(ctx, offset).map(|p| unsafe { core::ptr::read_unaligned(p) })
}

#[inline(always)]
fn store<T: Copy>(ctx: &XdpContext, offset: usize, value: T) -> Option<()> {
    // SAFETY: as in `load`; XDP gives the program the frame's bytes for writing.
    at(ctx, offset).map(|p| unsafe { core::ptr::write_unaligned(p, value) })
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
