//! Echo requests to a VIP are answered by the gateway: they ask whether the VIP is there, and that it is.

use super::{kind_code, return_link, return_network};
use crate::frame::Frame;
use crate::wire::IcmpMessage;
use lb_common::checksum;
use lb_common::net::Family;

/// Type and code of the request and of the reply.
#[inline(always)]
const fn kinds(family: Family) -> (u16, u16) {
    match family {
        Family::V4 => (kind_code(8, 0), kind_code(0, 0)),
        Family::V6 => (kind_code(128, 0), kind_code(129, 0)),
    }
}

/// Whether a message of this type and code is an echo request.
#[inline(always)]
pub const fn is_request(family: Family, kind_code: u16) -> bool {
    let (request, _) = kinds(family);
    kind_code == request
}

/// Makes the reply of a request, whose IP header begins at `network` and whose message at `offset`. `None`: the
/// frame is not what it was found to be. A function of its own in the kernel program, for the sake of its stack.
#[inline(never)]
pub fn reply<F: Frame>(frame: &mut F, family: Family, network: usize, offset: usize) -> Option<()> {
    let (request, reply) = kinds(family);
    let message = frame.header_mut::<IcmpMessage>(offset)?;
    let sum = checksum::replace(message.checksum, request, reply);
    // A message of nothing but zeros has the checksum 0xffff: the other zero of its sum, 0, would not do. One with
    // a payload that sums up to zero has either.
    let zeros = sum == 0 && message.rest == 0 && family == Family::V4;
    message.checksum = if zeros { 0xffff } else { sum };
    message.kind_code = reply;
    return_network(frame, family, network)?;
    return_link(frame)
}
