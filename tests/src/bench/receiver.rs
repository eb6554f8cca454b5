//! A node's receiver as the benchmark loads it, and what arrives there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result, bail};
use aya::programs::Xdp;
use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};
use lb_common::abi::{Accepted, AcceptedFlags, NodeHop};
use lb_common::net::NetworkU16;

use super::case::Arrival;
use crate::lab::{self, Objects};

/// The node, a gateway, and two other nodes.
const NODE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 21);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OTHERS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 1, 0, 22), Ipv4Addr::new(10, 2, 0, 21)];
/// A connection that no socket has, and a flow of UDP.
const STRANGERS: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 40_000),
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 10)), 443),
];
/// Of the outer header; any will do.
const SOURCE_PORT: u16 = 50_000;
/// Bytes of what is behind the inner headers.
const PAYLOAD: [u8; 26] = [0; 26];

/// The program, with a connection that a socket of this machine has.
pub(crate) struct Receiver {
    loaded: lab::Receiver,
    /// Both ends, over the loopback interface.
    connection: (TcpStream, TcpStream),
}

impl Receiver {
    /// Loads it as a usual file has it; what is sent on leaves by the interface with this index.
    pub(crate) fn load(interface: u32) -> Result<Self> {
        let usual = lab::Receiver::usual();
        let accepted = Accepted { flags: usual.flags.with(AcceptedFlags::REMEMBER_UDP), ..usual };
        let mut loaded =
            lab::Receiver::load(&Objects::from_env()?, accepted, &[NODE.into()], &[GATEWAY.into()])?;
        loaded.add_hop(NodeHop::ANY_V4, NodeHop { interface, ..NodeHop::default() })?;
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen on the loopback interface")?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let mut receiver = Self { loaded, connection: (client, listener.accept()?.0) };
        // What nobody else travels with is taken, and remembered.
        let flow = gue(&[], &udp(STRANGERS)?)?;
        receiver.loaded.run(&flow)?;
        Ok(receiver)
    }

    /// The program.
    pub(crate) fn program(&mut self) -> Result<&mut Xdp> {
        self.loaded.program()
    }

    /// What arrives.
    pub(crate) fn frame(&self, arrival: Arrival) -> Result<Vec<u8>> {
        let (client, node) = &self.connection;
        match arrival {
            Arrival::Ipip => ipip(&tcp(STRANGERS)?),
            Arrival::Gue => gue(&[], &tcp(STRANGERS)?),
            Arrival::Vxlan => vxlan(&tcp(STRANGERS)?),
            Arrival::Socket => gue(&OTHERS, &tcp([client.local_addr()?, node.local_addr()?])?),
            Arrival::Flow => gue(&OTHERS, &udp(STRANGERS)?),
            Arrival::Others => gue(&OTHERS, &tcp(STRANGERS)?),
        }
    }
}

fn link() -> PacketBuilderStep<etherparse::Ethernet2Header> {
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1])
}

fn tcp(ends: [SocketAddr; 2]) -> Result<Vec<u8>> {
    let mut packet = Vec::new();
    let [from, to] = ends.map(|end| end.port());
    network(ends)?.tcp(from, to, 1, 1024).ack(1).write(&mut packet, &PAYLOAD)?;
    Ok(packet)
}

fn udp(ends: [SocketAddr; 2]) -> Result<Vec<u8>> {
    let mut packet = Vec::new();
    let [from, to] = ends.map(|end| end.port());
    network(ends)?.udp(from, to).write(&mut packet, &PAYLOAD)?;
    Ok(packet)
}

fn network(ends: [SocketAddr; 2]) -> Result<PacketBuilderStep<IpHeaders>> {
    let [IpAddr::V4(from), IpAddr::V4(to)] = ends.map(|end| end.ip()) else { bail!("no IPv4") };
    Ok(PacketBuilder::ipv4(from.octets(), to.octets(), 64))
}

fn ipip(inner: &[u8]) -> Result<Vec<u8>> {
    let mut frame = Vec::new();
    let network = link().ipv4(GATEWAY.octets(), NODE.octets(), 64);
    network.write(&mut frame, etherparse::IpNumber::IPV4, inner)?;
    Ok(frame)
}

/// With so many others who may be asked (docs/contract.md, section 10).
fn gue(others: &[Ipv4Addr], inner: &[u8]) -> Result<Vec<u8>> {
    let count = u8::try_from(others.len())?;
    let words = if count == 0 { 0 } else { 1 + count };
    let mut payload = vec![words, 4, 0, 0];
    if count > 0 {
        payload.extend([1, count, 0, 0]);
        payload.extend(others.iter().flat_map(Ipv4Addr::octets));
    }
    over_udp(lab::Receiver::usual().gue, &[&payload, inner].concat())
}

fn vxlan(inner: &[u8]) -> Result<Vec<u8>> {
    let Accepted { vxlan, vni, .. } = lab::Receiver::usual();
    let head = [[8, 0, 0, 0], vni.to_ne_bytes()].concat();
    let ethernet = [2, 0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 9, 8, 0];
    over_udp(vxlan, &[&head[..], &ethernet, inner].concat())
}

fn over_udp(port: NetworkU16, payload: &[u8]) -> Result<Vec<u8>> {
    let mut frame = Vec::new();
    let network = link().ipv4(GATEWAY.octets(), NODE.octets(), 64);
    network.udp(SOURCE_PORT, port.get()).write(&mut frame, payload)?;
    Ok(frame)
}
