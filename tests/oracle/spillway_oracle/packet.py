"""A packet's walk: frame in, verdict and frame out.

The order is that of the functions below: link layer, destination, lengths, ICMP, fragments,
transport, service, admission, selection, encapsulation. What is not for a VIP passes, however odd.
"""

import struct
from typing import NamedTuple

from . import chain, flowhash, headers, icmp, redirect, tag

TCP, UDP, ICMPV6 = 6, 17, 58
VLAN_TYPES = (b"\x81\x00", b"\x88\xa8")
"""802.1Q and 802.1ad."""
MAX_TAGS = 2
MAX_EXTENSIONS = 6
FRAGMENT, AUTHENTICATION = 44, 51
OPTIONS_LIKE = (0, 43, 60, 135)
"""Hop-by-hop, routing, destination options, mobility: length in 8-byte units after the first 8."""
NEIGHBOUR_DISCOVERY = range(133, 138)
ICMP_BYTES = 4
"""Type, code, checksum: what every message has."""
TRANSPORT_BYTES = {TCP: 20, UDP: 8}


class Outcome(NamedTuple):
    """What becomes of a frame. `backend` and what follows are None where nothing was selected."""

    verdict: str
    """pass, drop or tx."""
    reason: str | None
    """Why it passed or was dropped; None for tx."""
    frame: bytes | None = None
    service: str | None = None
    cluster: str | None = None
    cluster_row: int | None = None
    node_row: int | None = None
    """The row of the first try, also where a fallback decided."""
    fallback: int | None = None
    """0 for the row's owner, 1 and 2 for the rehashes, 3 for the pool's last serving backend; None where a connection
    id decided."""
    backend: str | None = None


class Inner(NamedTuple):
    """The IP packet in a frame that is for a VIP."""

    start: int
    """Offset of the IP header in the frame."""
    length: int
    """By its own header, in bytes; Ethernet padding is not counted."""
    tos: int
    source: bytes
    destination: bytes
    protocol: int
    transport: int
    """Offset of the transport header in the frame."""
    fragment: tuple | None = None
    """(identification, whether it is the first) of a fragment."""
    may_fragment: bool = False
    """IPv4 without DF."""

    @property
    def later(self) -> bool:
        """A fragment that is not the first."""
        return self.fragment is not None and not self.fragment[1]


PASS_OTHER = Outcome("pass", "not-ours")
PASS_DISCOVERY = Outcome("pass", "neighbour-discovery")
DROP_TRUNCATED = Outcome("drop", "truncated")
DROP_FRAGMENT = Outcome("drop", "fragment")
DROP_NO_SERVICE = Outcome("drop", "no-service")
DROP_BAD_REDIRECT = Outcome("drop", "bad-redirect")
DROP_TOO_MANY = Outcome("drop", "too-many-headers")


def link_layer(frame: bytes) -> tuple[int, int]:
    """(EtherType, offset of what follows) after at most two VLAN tags; (0, 0) if cut short."""
    kind_at = 12
    for _ in range(MAX_TAGS):
        if frame[kind_at : kind_at + 2] not in VLAN_TYPES:
            break
        kind_at += 4
    if len(frame) < kind_at + 2:
        return 0, 0
    return frame[kind_at] << 8 | frame[kind_at + 1], kind_at + 2


def parse_ipv4(frame: bytes, start: int) -> Inner | Outcome:
    """An IPv4 header whose destination is a VIP."""
    header = (frame[start] & 0x0F) * 4
    length, fragment = struct.unpack_from(">H2xH", frame, start + 2)
    if header < 20 or length < header or start + length > len(frame):
        return DROP_TRUNCATED
    piece = None
    if fragment & 0x3FFF:
        piece = frame[start + 4] << 8 | frame[start + 5], fragment & 0x1FFF == 0
    source, destination = frame[start + 12 : start + 16], frame[start + 16 : start + 20]
    may = fragment & 0x4000 == 0
    return Inner(start, length, frame[start + 1], source, destination, frame[start + 9], start + header, piece, may)


def parse_ipv6(frame: bytes, start: int) -> Inner | Outcome:
    """An IPv6 header and its extensions, destination a VIP."""
    first, payload, protocol = struct.unpack_from(">IHB", frame, start)
    end = start + 40 + payload
    if end > len(frame):
        return DROP_TRUNCATED
    walked = extensions(frame, start + 40, end, protocol)
    if isinstance(walked, Outcome):
        return walked
    protocol, at, piece = walked
    source, destination = frame[start + 8 : start + 24], frame[start + 24 : start + 40]
    return Inner(start, 40 + payload, first >> 20 & 0xFF, source, destination, protocol, at, piece)


def extensions(frame: bytes, at: int, end: int, protocol: int) -> tuple | Outcome:
    """(protocol, offset, fragment) after at most six extension headers; a seventh is one too many, whatever it holds.

    Behind the header of a later fragment there is nothing to read.
    """
    piece = None
    for number in range(MAX_EXTENSIONS + 1):
        if protocol not in OPTIONS_LIKE and protocol not in (FRAGMENT, AUTHENTICATION):
            break
        if number == MAX_EXTENSIONS:
            return DROP_TOO_MANY
        if at + 8 > end:
            return DROP_TRUNCATED
        if protocol == FRAGMENT:
            # 13 bits of offset, 2 reserved, M. An atomic fragment (all zero) is a whole packet.
            place, identification = struct.unpack_from(">HI", frame, at + 2)
            if place & 0xFFF9:
                piece = identification, place & 0xFFF8 == 0
            size = 8
        elif protocol == AUTHENTICATION:
            size = (frame[at + 1] + 2) * 4
        else:
            size = (frame[at + 1] + 1) * 8
        if at + size > end:
            return DROP_TRUNCATED
        protocol, at = frame[at], at + size
        if piece is not None and not piece[1]:
            break
    return protocol, at, piece


def parse(frame: bytes, vips) -> Inner | Outcome:
    """The packet for a VIP, or what becomes of a frame that goes no further."""
    kind, start = link_layer(frame)
    if kind == headers.ETHERTYPE_IPV4:
        if len(frame) < start + 20 or frame[start] >> 4 != 4 or frame[start + 16 : start + 20] not in vips:
            return PASS_OTHER
        return parse_ipv4(frame, start)
    if kind == headers.ETHERTYPE_IPV6:
        if len(frame) < start + 40 or frame[start] >> 4 != 6 or frame[start + 24 : start + 40] not in vips:
            return PASS_OTHER
        return parse_ipv6(frame, start)
    return PASS_OTHER


def is_discovery(frame: bytes, inner: Inner) -> bool:
    """ICMPv6 of neighbour discovery (RFC 4861), in an IPv6 packet."""
    return (
        inner.fragment is None
        and inner.protocol == ICMPV6
        and len(inner.source) == 16
        and inner.transport + ICMP_BYTES <= inner.start + inner.length
        and frame[inner.transport] in NEIGHBOUR_DISCOVERY
    )


def select(pool, value: int):
    """(node row, fallback, backend): the owner, two rehashes, the last that serves; or None."""
    if not pool.table:
        return None, None, None
    row = flowhash.node_row(value, pool.rows)
    if pool.table[row].serving:
        return row, 0, pool.table[row]
    for attempt in (1, 2):
        backend = pool.table[flowhash.fallback_row(value, pool.rows, attempt)]
        if backend.serving:
            return row, attempt, backend
    if pool.last_serving is not None and pool.last_serving.serving:
        return row, 3, pool.last_serving
    return row, None, None


def encapsulate(frame: bytes, inner: Inner, backend, value: int, asked: list) -> bytes:
    """The frame as it leaves: egress Ethernet, outer IP, then the inner packet as it came."""
    label, port = flowhash.outer_flow_label(value), flowhash.outer_source_port(value)
    ends = backend.source, backend.address
    addresses = [other.address for other in asked]
    seal = b"" if backend.seal is None else tag.seal(*backend.seal, frame[inner.start :])
    outer = headers.outer(backend.encap, ends, len(inner.source) == 16, inner.tos, inner.length, label, port, addresses, seal)
    return backend.ethernet + outer + frame[inner.start :]


def forward(world, service, frame: bytes, inner: Inner, flow, may_tell: bool) -> Outcome:
    """Hash, select (by connection id or by the tables) and send a packet of a service. `flow`: (client, protocol, ports)."""
    client, protocol, ports = flow
    prefix = service.prefix[len(client)]
    value = flowhash.flow_hash(world.key, service.affinity, client, inner.destination, *ports, protocol, prefix)
    named = None
    if service.quic is not None and inner.protocol == UDP and inner.fragment is None:
        named = service.quic.named(frame[inner.transport + TRANSPORT_BYTES[UDP] : inner.start + inner.length])
    if named is not None:
        return send(frame, inner, named, value, (service.name, named.cluster, None, None, None), may_tell)
    row = flowhash.cluster_row(value)
    pool = service.only if service.only is not None else service.cluster_rows[row] if service.cluster_rows else None
    if pool is None:
        return Outcome("drop", "no-backend", None, service.name, None, row)
    node_row, fallback, backend = select(pool, value)
    facts = service.name, pool.cluster, row, node_row, fallback
    if backend is None:
        return Outcome("drop", "no-backend", None, *facts)
    asked = []
    if service.chain and not begins(frame, inner):
        asked = chain.asked(service, pool, value, row, backend)
    return send(frame, inner, backend, value, facts, may_tell, asked)


def begins(frame: bytes, inner: Inner) -> bool:
    """A TCP segment with SYN, and without ACK, FIN and RST."""
    whole_or_first = inner.protocol == TCP and not inner.later
    return whole_or_first and frame[inner.transport + 13] & 0x17 == 0x02


def send(frame: bytes, inner: Inner, backend, value: int, facts: tuple, may_tell: bool, asked=()) -> Outcome:
    """A packet to the backend that was selected; `facts` say how."""
    if backend.local:
        return Outcome("pass", "local", None, *facts, backend.name)
    if inner.length > backend.largest:
        if may_tell and not inner.may_fragment and inner.length > icmp.QUOTE[len(inner.source)]:
            return Outcome("tx", "too-big-reported", icmp.too_big(frame, inner, backend.largest), *facts, None)
        return Outcome("drop", "too-big", None, *facts, backend.name)
    return Outcome("tx", None, encapsulate(frame, inner, backend, value, asked), *facts, backend.name)


def quoted_flow(frame: bytes, inner: Inner):
    """(client, protocol, ports) of the flow that an ICMP error quotes, or what becomes of the message."""
    family, end, at = len(inner.source), inner.start + inner.length, inner.transport
    if frame[at] not in icmp.ERRORS[family]:
        return DROP_NO_SERVICE
    at += icmp.MESSAGE
    if at + (20 if family == 4 else 40) > end:
        return DROP_TRUNCATED
    if family == 4:
        size = (frame[at] & 15) * 4
        if frame[at] >> 4 != 4 or size < 20:
            return DROP_NO_SERVICE
        if struct.unpack_from(">H", frame, at + 6)[0] & 0x1FFF:
            return DROP_FRAGMENT
        source, client = frame[at + 12 : at + 16], frame[at + 16 : at + 20]
        protocol, ports_at, piece = frame[at + 9], at + size, None
    else:
        if frame[at] >> 4 != 6:
            return DROP_NO_SERVICE
        source, client = frame[at + 8 : at + 24], frame[at + 24 : at + 40]
        walked = extensions(frame, at + 40, end, frame[at + 6])
        if isinstance(walked, Outcome):
            return walked
        protocol, ports_at, piece = walked
    if source != inner.destination or protocol not in (TCP, UDP):
        return DROP_NO_SERVICE
    if piece is not None and not piece[1]:
        return DROP_FRAGMENT
    if ports_at + 4 > end:
        return DROP_TRUNCATED
    theirs, ours = struct.unpack_from(">HH", frame, ports_at)
    return client, protocol, (ours, theirs)


def message(frame: bytes, inner: Inner):
    """An ICMP message to a VIP: a flow, or what becomes of it."""
    end = inner.start + inner.length
    if inner.transport + icmp.MESSAGE > end:
        return DROP_TRUNCATED
    if icmp.is_echo(len(inner.source), frame[inner.transport : end]):
        return Outcome("tx", "echo-reply", icmp.reply_to(frame, inner))
    return quoted_flow(frame, inner)


def portless(world, inner: Inner):
    """What is known of any fragment to a service that needs no ports; else None."""
    service = world.services.get((inner.destination, inner.protocol, 0))
    by_addresses = service is not None and service.affinity == "three-tuple"
    return (inner.protocol, (0, 0)) if by_addresses else None


def flow_of(world, frame: bytes, inner: Inner):
    """(client, protocol, ports) by the packet's own ports, or those of its first fragment."""
    by_protocol = inner.protocol if len(inner.source) == 4 else 0
    packet = inner.source, inner.destination, by_protocol, inner.fragment and inner.fragment[0]
    if inner.later:
        known = world.fragments.get(packet) or portless(world, inner)
        return DROP_FRAGMENT if known is None else (inner.source, *known)
    needed = TRANSPORT_BYTES.get(inner.protocol)
    if needed is None:
        return DROP_NO_SERVICE
    if inner.transport + needed > inner.start + inner.length:
        return DROP_TRUNCATED
    ports = struct.unpack_from(">HH", frame, inner.transport)
    if inner.fragment is not None:
        world.fragments[packet] = inner.protocol, ports
    return inner.source, inner.protocol, ports


def walk(world, frame: bytes) -> Outcome:
    """What becomes of a frame in a world, which remembers fragments."""
    kind, start = link_layer(frame)
    found = redirect.find(world.redirects, frame, kind, start)
    if found is None:
        return balance(world, frame)
    source, ecn, end, at, version = found
    if not world.redirects.knows(source):
        return Outcome("drop", "unknown-gateway")
    bare = redirect.bare(frame, start - 2, at, version, end)
    if bare is None:
        return DROP_BAD_REDIRECT
    outcome = balance(world, bare, ecn)
    if outcome.verdict == "pass" and outcome.reason == "local":
        return kept(outcome, bare, start, ecn)
    return DROP_BAD_REDIRECT if outcome.verdict == "pass" else outcome


def kept(outcome: Outcome, bare: bytes, start: int, ecn: int) -> Outcome:
    """A redirected packet to this machine, without its outer headers."""
    packet = bare[start:]
    inner = (packet[1] if packet[0] >> 4 == 4 else packet[1] >> 4) & 3
    if (ecn, inner) == (redirect.CONGESTION, 0):
        return Outcome("drop", "bad-redirect", None, outcome.service)
    return outcome._replace(frame=bare[:start] + redirect.with_ecn(packet, redirect.ecn(ecn, inner)))


def balance(world, frame: bytes, redirected: int | None = None) -> Outcome:
    """What becomes of a packet. `redirected`: the ECN bits of the outer header that it came in."""
    inner = parse(frame, world.vips)
    if isinstance(inner, Outcome):
        return inner
    if is_discovery(frame, inner):
        return PASS_DISCOVERY
    if redirected is not None:
        inner = inner._replace(tos=inner.tos & 0xFC | redirect.ecn(redirected, inner.tos & 3))
    about = inner.fragment is None and inner.protocol == (icmp.ICMP if len(inner.source) == 4 else icmp.ICMPV6)
    flow = message(frame, inner) if about else flow_of(world, frame, inner)
    if isinstance(flow, Outcome):
        return DROP_BAD_REDIRECT if redirected is not None and flow.reason == "echo-reply" else flow
    client, protocol, ports = flow
    service = world.service(inner.destination, protocol, ports[1])
    if service is None:
        return DROP_NO_SERVICE
    if redirected is not None:
        service = redirect.local(service)
    if service.access is not None and not service.access.admits(client):
        return Outcome("drop", "denied", None, service.name)
    return forward(world, service, frame, inner, flow, may_tell=not about and not inner.later)
