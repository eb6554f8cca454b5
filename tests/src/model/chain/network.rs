//! Nodes with receivers, and a network that carries each frame to whom it is addressed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_common::abi::{Accepted, AcceptedFlags, AccessKey, LinkAddress, NodeHop, SegmentLimits, TunnelKind};
use lb_common::flow::Flow;
use lb_common::net::{Address, Family, NetworkU16};
use lb_common::reason::ReceiverReason;
use lb_ebpf::frame::{Frame, SliceFrame};
use lb_ebpf::receive::{Node as Receiver, Verdict, process};

use super::super::world::GUE;
use super::frames::LINK;

/// A packet comes to no more nodes than these.
const MOST: usize = 5;
/// Room in front of a frame.
const HEADROOM: usize = 16;

/// What a node has of its clients.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// TCP connections, also those in their handshake.
    sockets: Vec<Flow>,
    /// UDP flows that it took.
    owned: RefCell<Vec<Flow>>,
}

/// A frame's way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// The nodes that it came to.
    pub(super) nodes: Vec<IpAddr>,
    /// The packet that the last one took.
    pub(super) taken: Option<Vec<u8>>,
}

/// All nodes there ever were.
#[derive(Debug, Default)]
pub(super) struct Network {
    nodes: BTreeMap<IpAddr, Node>,
    /// Receivers do not ask their sockets.
    deaf: bool,
}

impl Network {
    /// Without nodes yet.
    pub(super) fn new(deaf: bool) -> Self {
        Self { deaf, ..Self::default() }
    }

    /// A node: it comes up when it is first heard of.
    pub(super) fn node(&mut self, address: IpAddr) -> &mut Node {
        self.nodes.entry(address).or_default()
    }

    /// Whether a node would take a packet of the flow if it were asked.
    pub(super) fn claims(&self, address: IpAddr, flow: &Flow) -> bool {
        self.nodes.get(&address).is_some_and(|node| node.claims(flow))
    }

    /// Whether another node than that would.
    pub(super) fn others_claim(&self, owner: IpAddr, flow: &Flow) -> bool {
        self.nodes.iter().any(|(address, node)| *address != owner && node.claims(flow))
    }

    /// It dies, and comes up again with nothing.
    pub(super) fn die(&mut self, address: IpAddr) {
        self.nodes.insert(address, Node::default());
    }

    /// Carries a frame that a gateway sent from node to node.
    pub(super) fn carry(&mut self, mut frame: Vec<u8>) -> Way {
        let mut nodes = Vec::new();
        while nodes.len() <= MOST {
            let address = destination(&frame);
            nodes.push(address);
            self.node(address);
            let at = At { node: &self.nodes[&address], address, deaf: self.deaf };
            let mut buffer = [&[0; HEADROOM], &frame[..]].concat();
            let mut bytes = SliceFrame::new(&mut buffer, HEADROOM, 1);
            let verdict = process(&mut bytes, &at);
            frame = bytes.bytes().to_vec();
            match verdict {
                Verdict::Send(_) => {}
                Verdict::Pass => return Way { nodes, taken: Some(frame) },
                Verdict::Drop => break,
            }
        }
        Way { nodes, taken: None }
    }
}

impl Node {
    pub(super) fn open(&mut self, flow: &Flow) {
        if !self.sockets.contains(flow) {
            self.sockets.push(*flow);
        }
    }

    pub(super) fn close(&mut self, flow: &Flow) {
        self.sockets.retain(|known| known != flow);
    }

    fn claims(&self, flow: &Flow) -> bool {
        self.sockets.contains(flow) || self.owned.borrow().contains(flow)
    }
}

/// To whom a frame is addressed.
fn destination(frame: &[u8]) -> IpAddr {
    let packet = &frame[LINK..];
    if packet[0] >> 4 == 6 {
        <[u8; 16]>::try_from(&packet[24..40]).expect("sixteen bytes").into()
    } else {
        <[u8; 4]>::try_from(&packet[16..20]).expect("four bytes").into()
    }
}

/// A node as its receiver sees it.
struct At<'a> {
    node: &'a Node,
    address: IpAddr,
    deaf: bool,
}

const ACCEPTED: Accepted = Accepted {
    gue: NetworkU16::new(GUE),
    vxlan: NetworkU16::new(0),
    vni: 0,
    flags: AcceptedFlags::REMEMBER_UDP,
    segments: SegmentLimits::NONE,
};

impl Receiver for At<'_> {
    fn accepted(&self) -> Option<&Accepted> {
        Some(&ACCEPTED)
    }
    fn is_own(&self, address: &Address) -> bool {
        Address::from(self.address) == *address
    }
    /// Any node may send on, and a gateway: nobody else is here.
    fn is_peer(&self, source: &AccessKey) -> bool {
        *source != AccessKey::of_source(0, Family::of(self.address), self.address.into())
    }
    fn has_socket<F: Frame>(&self, _: &F, flow: &Flow, _: usize, _: usize) -> bool {
        !self.deaf && self.node.sockets.contains(flow)
    }
    fn owns(&self, flow: &Flow, _: u32) -> bool {
        self.node.owned.borrow().contains(flow)
    }
    fn own(&self, flow: &Flow, _: u32, _: bool) {
        let mut owned = self.node.owned.borrow_mut();
        if !owned.contains(flow) {
            owned.push(*flow);
        }
    }
    fn hop(&self, _: &Address) -> Option<NodeHop> {
        let mac = |last| LinkAddress::new([2, 0, 0, 0, 1, last], 0);
        Some(NodeHop { interface: 1, reserved: 0, destination_mac: mac(2), source_mac: mac(1) })
    }
    fn count_taken(&self, _: TunnelKind, _: u64) {}
    fn count_reason(&self, _: ReceiverReason) {}
}
