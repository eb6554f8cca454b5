//! A line about a packet that was not sent. None of it is left in the loaded program unless the agent wants
//! it: at an `AYA_LOG_LEVEL` of 0 the verifier finds the branch dead and removes it.

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::info;
use aya_log_ebpf::macro_support::{Level, level_enabled};
use lb_ebpf::parse::{self, Transport};
use lb_ebpf::program::XdpFrame;

/// Says that the packet ended for the reason with this number: `REASON SOURCE DESTINATION PROTOCOL
/// SOURCE-PORT DESTINATION-PORT`, all numbers and addresses, for text would be copied byte by byte. An IPv4
/// address is in its mapped form; protocol and ports are 0 where the packet has none to go by.
///
/// The packet is parsed again, for what the stages found does not outlive them. One that cannot be, since an
/// outer header was begun, is counted and not logged. A function of its own: packets that are sent have no use
/// for it, and both programs call it from more than one place.
#[inline(never)]
pub(crate) fn ended(context: *mut xdp_md, reason: u32) {
    // The macro asks too, but only once the packet is parsed.
    if !level_enabled(Level::Info) {
        return;
    }
    let frame = XdpFrame::new(XdpContext::new(context));
    let Ok(network) = parse::network(&frame) else { return };
    let (protocol, from, to) = match parse::transport(&frame, &network) {
        Ok(Transport { flow, .. }) => (flow.protocol, flow.source_port.get(), flow.destination_port.get()),
        Err(_) => (0, 0, 0),
    };
    let (source, destination) = (network.source.bytes(), network.destination.bytes());
    info!(context, "{} {:i} {:i} {} {} {}", reason, source, destination, protocol, from, to);
}
