//! Out of which interface a wrapped packet leaves.

use crate::frame::Frame;
use crate::verdict::Action;
use lb_common::abi::BackendEntry;

/// Back out of the interface it came in on, which costs half as much as a redirect, or on to another.
#[inline(always)]
pub fn send<F: Frame>(frame: &F, backend: &BackendEntry) -> Action {
    if backend.route.interface == frame.ingress() {
        Action::Transmit
    } else {
        Action::Redirect(backend.route.interface)
    }
}
