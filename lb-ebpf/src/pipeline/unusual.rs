//! Packets that have no ports to go by, or do not fit the path: few, and longer on their way than the others. They
//! are parsed anew, for a program of the kernel hands nothing to the next.

use super::{Choice, choose, deliver, earlier};
use crate::frame::Frame;
use crate::parse::transport::{Place, locate, ports};
use crate::parse::{self, Network, Portless};
use crate::quic::ConnectionId;
use crate::select::MISSING;
use crate::tables::Tables;
use crate::track::Segment;
use crate::verdict::{Action, End};
use crate::{classify, encapsulate, fragment, icmp, redirect};
use lb_common::abi::{BackendFlags, Control, EventKind, Features, Reply, VipSlot};
use lb_common::flow::Flow;
use lb_common::net::NetworkU16;
use lb_common::reason::Reason;

/// What every packet is looked at for: its network header, the maps' heart, the VIP.
#[inline(always)]
fn arrive<'t, F: Frame, T: Tables>(
    frame: &F,
    tables: &'t T,
) -> Result<(Network, &'t Control, &'t VipSlot), End> {
    let mut network = parse::network(frame)?;
    network.offset = (tables.forgotten(network.offset as u64) & 0xff) as usize;
    let control = tables.control().ok_or(MISSING)?;
    let network = redirect::arrive(frame, network, control, tables)?;
    let vip = classify::address(&network, control.vips, tables);
    let vip = vip.map_err(|end| redirect::end(end, network.redirected))?;
    Ok((network, control, vip))
}

#[inline(always)]
fn place<F: Frame, T: Tables>(frame: &F, network: &Network, tables: &T) -> Result<Place, Reason> {
    let place = locate(frame, network).map_err(Portless::reason)?;
    Ok(Place::of_word(tables.forgotten(place.word())))
}

/// ICMP: an echo request is answered, an error goes where the flow goes that it is about.
#[inline(always)]
pub fn message<F: Frame, T: Tables>(frame: &mut F, tables: &T) -> Result<Action, End> {
    let (network, control, vip) = arrive(frame, tables)?;
    about(frame, &network, control, vip, tables).map_err(|end| redirect::end(end, network.redirected))
}

#[inline(always)]
fn about<F: Frame, T: Tables>(
    frame: &mut F,
    network: &Network,
    control: &Control,
    vip: &VipSlot,
    tables: &T,
) -> Result<Action, End> {
    let of_vip = |reason| classify::of_vip(vip, reason);
    let place = place(frame, network, tables).map_err(of_vip)?;
    let kind = icmp::kind(frame, network, &place).map_err(of_vip)?;
    if icmp::echo::is_request(network.family, kind) {
        // Where the kernel has the address too, the kernel answers.
        let end = of_vip(Reason::EchoReply);
        // The first gateway answers such requests, and redirects none.
        if network.redirected.is() {
            return Err(End::drop(Reason::BadRedirect));
        }
        return Err(if end.lost() { echo(frame, network, &place, tables) } else { end });
    }
    let flow =
        icmp::error::flow(frame, network, &place, kind, |word| tables.forgotten(word)).map_err(of_vip)?;
    let service = classify::service(&flow, control.vips, tables)?;
    let found = Found { flow, datagram: 0, segment: Segment::Related, may_tell: false };
    // What is forgotten is not that it is no datagram, so that what looks into one is left out.
    let found = Found { datagram: 0, ..found.forgotten(tables) };
    guide(frame, network, &found, service, control, tables)
}

#[inline(always)]
fn echo<F: Frame, T: Tables>(frame: &mut F, network: &Network, place: &Place, tables: &T) -> End {
    if !tables.may_reply(Reply::Echo) {
        return End::drop(Reason::EchoLimited);
    }
    match icmp::echo::reply(frame, network.family, network.offset, place.offset) {
        Some(()) => End::reply(Reason::EchoReply),
        None => End::drop(Reason::Truncated),
    }
}

/// Fragments, and what would not fit the path: the sender of that is told, if he may be.
#[inline(always)]
pub fn part<F: Frame, T: Tables>(frame: &mut F, tables: &T) -> Result<Action, End> {
    let (network, control, vip) = arrive(frame, tables)?;
    piece(frame, &network, control, vip, tables).map_err(|end| redirect::end(end, network.redirected))
}

#[inline(always)]
fn piece<F: Frame, T: Tables>(
    frame: &mut F,
    network: &Network,
    control: &Control,
    vip: &VipSlot,
    tables: &T,
) -> Result<Action, End> {
    let found = find(frame, network, control, tables).map_err(|reason| classify::of_vip(vip, reason))?;
    let found = found.forgotten(tables);
    let service = classify::service(&found.flow, control.vips, tables)?;
    guide(frame, network, &found, service, control, tables)
}

/// What is known of a packet that may have no ports.
struct Found {
    flow: Flow,
    /// Where the UDP header of a whole packet lies, in which to look for a connection id: the parts of one must all go
    /// the same way. 0: there is none.
    datagram: usize,
    segment: Segment,
    /// Whether its sender may be told that it does not fit: that is the whole packet, or the part with the ports.
    may_tell: bool,
}

#[expect(clippy::cast_possible_truncation, reason = "the bits of one of its parts are meant")]
impl Found {
    const MAY_TELL: u64 = 1 << 42;
    const DATAGRAM: u32 = 48;

    /// The same, of which the verifier does not know how it was found.
    #[inline(always)]
    fn forgotten<T: Tables>(self, tables: &T) -> Self {
        let Flow { source_port, destination_port, protocol, .. } = self.flow;
        let ports = u64::from(source_port.wire()) | u64::from(destination_port.wire()) << 16;
        let told = if self.may_tell { Self::MAY_TELL } else { 0 };
        let datagram = (self.datagram as u64) << Self::DATAGRAM;
        let word = ports | u64::from(protocol) << 32 | (self.segment as u64) << 40 | told | datagram;
        let word = tables.forgotten(word);
        let flow = Flow {
            source_port: NetworkU16::from_wire(word as u16),
            destination_port: NetworkU16::from_wire((word >> 16) as u16),
            protocol: (word >> 32) as u8,
            ..self.flow
        };
        let (segment, datagram) = (Segment::of(word >> 40), (word >> Self::DATAGRAM) as usize);
        Self { flow, datagram, segment, may_tell: word & Self::MAY_TELL != 0 }
    }
}

#[inline(always)]
fn find<F: Frame, T: Tables>(
    frame: &F,
    network: &Network,
    control: &Control,
    tables: &T,
) -> Result<Found, Reason> {
    let place = place(frame, network, tables)?;
    if let Some(piece) = place.piece.filter(|piece| !piece.first) {
        let flow = fragment::later(network, place.protocol, piece, control, tables)?;
        return Ok(Found { flow, datagram: 0, segment: Segment::Middle, may_tell: false });
    }
    let transport = ports(frame, network, &place).map_err(Portless::reason)?;
    let mut datagram = 0;
    if let Some(piece) = place.piece {
        fragment::remember(network, place.protocol, &transport.flow, piece, control.key(), tables);
    } else if tables.features().has(Features::QUIC) {
        datagram = place.offset;
    }
    Ok(Found { flow: transport.flow, datagram, segment: transport.segment(), may_tell: true })
}

/// To the backend, if it fits; what is lost is counted for the service.
#[inline(always)]
fn guide<F: Frame, T: Tables>(
    frame: &mut F,
    network: &Network,
    found: &Found,
    service: u32,
    control: &Control,
    tables: &T,
) -> Result<Action, End> {
    let went = attempt(frame, network, found, service, control, tables);
    if went.is_err_and(End::lost) {
        tables.count_dropped(service);
    }
    if let Err(end) = went
        && let Some(kind) = EventKind::of_reason(end.reason())
    {
        tables.tell(kind, service, &found.flow);
    }
    went
}

#[inline(always)]
fn attempt<F: Frame, T: Tables>(
    frame: &mut F,
    network: &Network,
    found: &Found,
    service: u32,
    control: &Control,
    tables: &T,
) -> Result<Action, End> {
    let connection_id = || match found.datagram {
        0 => None,
        offset => ConnectionId::read(frame, offset, network.end()),
    };
    let told = (network.redirected, || found.segment);
    let choice = choose(&found.flow, connection_id, service, control, tables, told)?;
    let earlier = earlier(&choice, found.flow.protocol, service, tables, told);
    let flags = choice.owner.backend.route.flags;
    if network.redirected.bits(flags.of(BackendFlags::LOCAL)) != 0 {
        return Err(keep(frame, network, &choice, service, tables));
    }
    if encapsulate::fits(network, choice.owner.backend, tables.features()) {
        deliver(frame, network, &choice, earlier, service, tables)
    } else {
        Err(tell(frame, network, found, &choice, tables))
    }
}

/// A redirected packet to this machine.
#[inline(always)]
fn keep<F: Frame, T: Tables>(
    frame: &mut F,
    network: &Network,
    choice: &Choice,
    service: u32,
    tables: &T,
) -> End {
    match redirect::uncover(frame, tables) {
        redirect::UNCOVERED => {
            tables.count_sent(service, choice.owner.index, network.length as u64);
            End::pass(Reason::LocalBackend)
        }
        end => End::of_word(end),
    }
}

#[inline(always)]
fn tell<F: Frame, T: Tables>(
    frame: &mut F,
    network: &Network,
    found: &Found,
    choice: &Choice,
    tables: &T,
) -> End {
    let told = found.may_tell
        && icmp::too_big::is_told(frame, network)
        && tables.may_reply(Reply::TooBig)
        && (!tables.features().has(Features::REDIRECT)
            || redirect::lay_bare(frame, network.offset, network.family))
        && icmp::too_big::answer(frame, encapsulate::largest(choice.owner.backend, tables.features()))
            .is_some();
    if told { End::reply(Reason::TooBigReported) } else { End::drop(Reason::TooBig) }
}
