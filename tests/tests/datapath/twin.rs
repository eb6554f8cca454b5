//! Maps in the kernel beside maps in memory: each packet goes through the loaded program and through the
//! library, and must find the same backend.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use anyhow::Result;
use etherparse::{Icmpv4Type, PacketBuilder};
use lb_common::abi::{AccessFlags, AccessKey, Connection, Features, QuicKey, QuicServer, TrackingCounters};
use lb_common::flow::Flow;
use lb_common::net::Address;
use lb_ebpf::track::Segment;
use lb_ebpf::verdict::Action;
use lb_ebpf::wire::protocol;
use lb_tests::lab::WorkDir;
use lb_tests::model::{Plane, sizes};
use lb_userspace::datapath::connections::Connections;
use lb_userspace::datapath::load::Loaded;
use lb_userspace::datapath::packet_log::PacketLog;
use lb_userspace::datapath::pins::Pins;
use lb_userspace::reconcile::{KernelView, Maps, MemoryMaps};

use crate::program::test_run;

/// Where the outer header's destination lies in a frame that was sent.
const OUTER_DESTINATION: std::ops::Range<usize> = 30..34;

/// The two. Any difference between them is a panic.
///
/// The kernel's clock cannot be set: a connection counts as seen when the one in memory was.
pub(crate) struct Twin {
    loaded: Loaded,
    connections: Connections,
    memory: MemoryMaps,
    // Dropped last: the pins lie in it.
    _work: WorkDir,
}

impl Twin {
    /// Maps that hold nothing.
    pub(crate) fn new() -> Result<Self> {
        let work = WorkDir::new()?;
        let pins = Pins::new(&work.bpf());
        let loaded = Loaded::load(&pins, &sizes(), PacketLog::Off, Features::ALL)?;
        let (connections, memory) = (Connections::open(&pins)?, MemoryMaps::new(&sizes()));
        Ok(Self { loaded, connections, memory, _work: work })
    }

    /// What the program counted on rows that are not clean.
    pub(crate) fn tracking(&self) -> TrackingCounters {
        self.loaded.maps.tracking_counters()
    }

    /// The outer destination that the program gives a packet; `None`: it sends it nowhere.
    fn run(&mut self, flow: &Flow, segment: Segment) -> Option<Address> {
        let (action, bytes) = test_run(&mut self.loaded, &frame(flow, segment)).expect("the kernel runs it");
        match action {
            // Before there are tables, it is nobody's.
            Action::Drop | Action::Pass => None,
            Action::Transmit => {
                let destination: [u8; 4] = bytes[OUTER_DESTINATION].try_into().expect("four bytes");
                Some(IpAddr::from(destination).into())
            }
            Action::Redirect(interface) => panic!("redirected to interface {interface}"),
        }
    }
}

impl KernelView for Twin {
    fn words(&self, map: &'static str) -> usize {
        self.loaded.maps.words(map)
    }

    fn load(&self, map: &'static str, word: usize) -> u64 {
        self.loaded.maps.load(map, word)
    }

    fn read(&self, map: &'static str, first: usize, words: &mut [u64]) {
        self.loaded.maps.read(map, first, words);
    }

    fn quic_servers(&self) -> BTreeMap<QuicKey, QuicServer> {
        self.loaded.maps.quic_servers()
    }
}

impl Maps for Twin {
    fn store(&mut self, map: &'static str, word: usize, value: u64) {
        self.loaded.maps.store(map, word, value);
        self.memory.store(map, word, value);
    }

    fn set_quic_server(&mut self, key: &QuicKey, server: Option<QuicServer>) {
        self.loaded.maps.set_quic_server(key, server);
        self.memory.set_quic_server(key, server);
    }

    fn prefixes(&self) -> io::Result<Vec<(AccessKey, AccessFlags)>> {
        self.loaded.maps.prefixes()
    }

    fn put_prefix(&mut self, key: &AccessKey, flags: AccessFlags) -> io::Result<()> {
        self.loaded.maps.put_prefix(key, flags)?;
        self.memory.put_prefix(key, flags)
    }

    fn remove_prefix(&mut self, key: &AccessKey) -> io::Result<()> {
        self.loaded.maps.remove_prefix(key)?;
        self.memory.remove_prefix(key)
    }

    /// Between two test runs no packet is under way.
    fn grace(&mut self) {}
}

impl Plane for Twin {
    fn clock(&mut self, now: u64) {
        self.memory.clock(now);
    }

    fn send(&mut self, flow: &Flow, segment: Segment) -> Option<u32> {
        let expected = self.memory.send(flow, segment);
        let packets = |twin: &Self| expected.map(|index| twin.loaded.maps.backend_counters(index).packets);
        let before = packets(self);
        let destination = self.run(flow, segment);
        let backend = expected.map(|index| self.memory.backends[index as usize].destination);
        assert_eq!(destination, backend, "{segment:?} of {flow:?}: the program, and the library");
        // Two entries may have one address: which it was, the counters tell.
        assert_eq!(packets(self), before.map(|packets| packets + 1), "{segment:?} of {flow:?}: {expected:?}");
        expected
    }

    fn connections(&self) -> Vec<(u64, Connection)> {
        let mut found = self.connections.all().expect("they can be read");
        found.sort_unstable_by_key(|(key, _)| *key);
        let expected = self.memory.connections();
        let seen = |key| expected.iter().find(|(other, _)| *other == key).map_or(0, |(_, held)| held.seen);
        found.iter_mut().for_each(|(key, connection)| connection.seen = seen(*key));
        assert_eq!(found, expected, "the program's connections, and the library's");
        found
    }

    fn forget(&mut self, over: &[(u64, Connection)]) {
        self.memory.forget(over);
        let held = |&(key, _): &(u64, Connection)| Some((key, self.connections.get(key)?));
        let over: Vec<_> = over.iter().filter_map(held).collect();
        self.connections.remove(&over).expect("they can be removed");
    }
}

/// A frame of the flow, which is IPv4, or one about it.
fn frame(flow: &Flow, segment: Segment) -> Vec<u8> {
    if segment == Segment::Related {
        return error(flow);
    }
    let [source, destination] = [flow.source, flow.destination].map(v4);
    let packet = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source, destination, 64);
    let (from, to, mut frame) = (flow.source_port.get(), flow.destination_port.get(), Vec::new());
    let written = if flow.protocol == protocol::UDP {
        packet.udp(from, to).write(&mut frame, &[])
    } else {
        let packet = packet.tcp(from, to, 1, 1024);
        let packet = match segment {
            Segment::Opening => packet.syn(),
            Segment::Middle | Segment::Related => packet.ack(1),
            Segment::Closing if from % 2 == 0 => packet.rst(),
            Segment::Closing => packet.ack(1).fin(),
        };
        packet.write(&mut frame, &[])
    };
    written.expect("a vector takes it");
    frame
}

fn v4(address: Address) -> [u8; 4] {
    let [.., a, b, c, d] = address.bytes();
    [a, b, c, d]
}

/// A router's "fragmentation needed" about what a backend sent to the client: header and ports of it.
fn error(flow: &Flow) -> Vec<u8> {
    let (vip, client) = (v4(flow.destination), v4(flow.source));
    let ip = [&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 63, flow.protocol, 0, 0], &vip[..], &client].concat();
    let (ours, theirs) = (flow.destination_port.get(), flow.source_port.get());
    let about = [&ip[..], &ours.to_be_bytes(), &theirs.to_be_bytes(), &[0; 4]].concat();
    let needed = Icmpv4Type::Unknown { type_u8: 3, code_u8: 4, bytes5to8: [0, 0, 5, 0x78] };
    let packet = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([192, 0, 2, 254], vip, 64).icmpv4(needed);
    let mut frame = Vec::new();
    packet.write(&mut frame, &about).expect("a vector takes it");
    frame
}
