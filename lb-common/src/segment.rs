//! How long a client's segments may be, so that they fit the path in the longest tunnel that a node accepts.

use crate::abi::{ASKED, Accepted, AcceptedFlags, SegmentLimits};

/// Headers of an inner or outer packet, in bytes, without options.
const IPV4: u32 = 20;
const IPV6: u32 = 40;
const TCP: u32 = 20;
const UDP: u32 = 8;
/// VXLAN, and the Ethernet header of the frame in it (RFC 7348, section 5).
const VXLAN: u32 = 8 + 14;
/// GUE without options (draft-ietf-intarea-gue, section 3.2).
const GUE: u32 = 4;
/// What precedes private data of GUE.
const GUE_PRIVATE: u32 = 4;
/// Other nodes that may be asked, each an address of either family; the first is the outer destination.
#[expect(clippy::cast_possible_truncation, reason = "a number of nodes")]
const OTHERS: u32 = ASKED as u32 * 16;
/// A keyed tag by which a node knows its gateways.
const TAG: u32 = 8;

/// Bytes that the longest tunnel of those accepted adds to a packet, each over IPv6 and with all that it may carry; 0 if
/// none is accepted.
pub const fn longest_overhead(accepted: &Accepted) -> u32 {
    let ipip = if accepted.flags.has(AcceptedFlags::IPIP) { IPV6 } else { 0 };
    let vxlan = if accepted.vxlan.wire() == 0 { 0 } else { IPV6 + UDP + VXLAN };
    let gue = if accepted.gue.wire() == 0 { 0 } else { IPV6 + UDP + GUE + GUE_PRIVATE + OTHERS + TAG };
    longer(ipip, longer(vxlan, gue))
}

const fn longer(a: u32, b: u32) -> u32 {
    if a > b { a } else { b }
}

/// The longest segments that fit a path of `mtu` bytes in every tunnel that is accepted. Zero, which is no limit, where
/// no tunnel is, and where the path has no room for a segment at all.
pub const fn limits(accepted: &Accepted, mtu: u32) -> SegmentLimits {
    match longest_overhead(accepted) {
        0 => SegmentLimits::NONE,
        overhead => {
            SegmentLimits { v4: left(mtu, overhead + IPV4 + TCP), v6: left(mtu, overhead + IPV6 + TCP) }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "what is larger was answered before")]
const fn left(mtu: u32, headers: u32) -> u16 {
    let left = mtu.saturating_sub(headers);
    if left > u16::MAX as u32 { u16::MAX } else { left as u16 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::NetworkU16;

    fn accepted(ipip: bool, gue: u16, vxlan: u16) -> Accepted {
        let flags = if ipip { AcceptedFlags::IPIP } else { AcceptedFlags::default() };
        Accepted { gue: NetworkU16::new(gue), vxlan: NetworkU16::new(vxlan), flags, ..Accepted::default() }
    }

    #[test]
    fn the_longest_tunnel_counts() {
        for (ipip, gue, vxlan, overhead) in [
            (false, 0, 0, 0),
            (true, 0, 0, 40),
            (true, 0, 4789, 70),
            (false, 6080, 0, 112),
            (true, 6080, 4789, 112),
        ] {
            assert_eq!(longest_overhead(&accepted(ipip, gue, vxlan)), overhead, "{ipip} {gue} {vxlan}");
        }
    }

    #[test]
    fn a_segment_and_all_headers_are_as_long_as_the_path_takes() {
        let limits = |accepted, mtu| limits(&accepted, mtu);
        let ipip = accepted(true, 0, 0);
        assert_eq!(limits(ipip, 1500), SegmentLimits { v4: 1420, v6: 1400 });
        assert_eq!(limits(accepted(true, 6080, 4789), 1500), SegmentLimits { v4: 1348, v6: 1328 });
        assert_eq!(limits(accepted(false, 0, 0), 1500), SegmentLimits::NONE);
        assert_eq!(limits(ipip, 81), SegmentLimits { v4: 1, v6: 0 }, "no room is no limit");
        assert_eq!(limits(ipip, u32::MAX), SegmentLimits { v4: u16::MAX, v6: u16::MAX });
    }
}
