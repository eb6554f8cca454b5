//! What packets go through.

use lb_common::abi::{Connection, Redirected, VipKey};
use lb_common::flow::Flow;
use lb_ebpf::tables::Tables;
use lb_ebpf::track::Segment;
use lb_ebpf::{classify, pipeline};
use lb_userspace::compile::Held;
use lb_userspace::reconcile::{Maps, MemoryMaps};

/// Maps, and packets by them.
pub trait Plane: Maps + Held {
    /// It is so many milliseconds after the beginning.
    fn clock(&mut self, now: u64);

    /// Index of the backend that a packet is sent to; `None`: to nobody.
    fn send(&mut self, flow: &Flow, segment: Segment) -> Option<u32>;

    /// The recorded connections.
    fn connections(&self) -> Vec<(u64, Connection)>;

    /// Removes recorded connections.
    fn forget(&mut self, over: &[(u64, Connection)]);
}

impl Plane for MemoryMaps {
    fn clock(&mut self, now: u64) {
        self.clock.set(now * 1_000_000);
    }

    fn send(&mut self, flow: &Flow, segment: Segment) -> Option<u32> {
        let (word, bit) = VipKey::filter_bit(flow.family, &flow.destination);
        let control = self.control().filter(|_| self.filter(word).unwrap_or(0) & bit != 0)?;
        let service = classify::service(flow, control.vips, self).ok()?;
        Some(
            pipeline::choose(flow, || None, service, control, self, (Redirected::NO, || segment))
                .ok()?
                .owner
                .index,
        )
    }

    fn connections(&self) -> Vec<(u64, Connection)> {
        self.connections.borrow().iter().map(|(key, connection)| (*key, *connection)).collect()
    }

    fn forget(&mut self, over: &[(u64, Connection)]) {
        let mut connections = self.connections.borrow_mut();
        over.iter().for_each(|(key, _)| _ = connections.remove(key));
    }
}
