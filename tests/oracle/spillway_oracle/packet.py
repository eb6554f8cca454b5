"""A packet's walk: frame in, verdict and frame out.

The order is that of the functions below: link layer, destination, lengths, fragments,
transport, service, selection, encapsulation. What is not for a VIP passes, however odd.
"""

import struct
from typing import NamedTuple

from . import flowhash, headers

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
    """0 for the row's owner, 1 and 2 for the rehashes, 3 for the pool's last serving backend."""
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


PASS_OTHER = Outcome("pass", "not-ours")
PASS_DISCOVERY = Outcome("pass", "neighbour-discovery")
DROP_TRUNCATED = Outcome("drop", "truncated")
DROP_FRAGMENT = Outcome("drop", "fragment")
DROP_NO_SERVICE = Outcome("drop", "no-service")
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
    if fragment & 0x3FFF:
        return DROP_FRAGMENT
    source, destination = frame[start + 12 : start + 16], frame[start + 16 : start + 20]
    return Inner(start, length, frame[start + 1], source, destination, frame[start + 9], start + header)


def parse_ipv6(frame: bytes, start: int) -> Inner | Outcome:
    """An IPv6 header and its extensions, destination a VIP."""
    first, payload, protocol = struct.unpack_from(">IHB", frame, start)
    end = start + 40 + payload
    if end > len(frame):
        return DROP_TRUNCATED
    walked = extensions(frame, start + 40, end, protocol)
    if isinstance(walked, Outcome):
        return walked
    protocol, at = walked
    source, destination = frame[start + 8 : start + 24], frame[start + 24 : start + 40]
    return Inner(start, 40 + payload, first >> 20 & 0xFF, source, destination, protocol, at)


def extensions(frame: bytes, at: int, end: int, protocol: int) -> tuple[int, int] | Outcome:
    """(protocol, offset) after at most six extension headers; a seventh is one too many, whatever it holds."""
    for number in range(MAX_EXTENSIONS + 1):
        if protocol not in OPTIONS_LIKE and protocol not in (FRAGMENT, AUTHENTICATION):
            break
        if number == MAX_EXTENSIONS:
            return DROP_TOO_MANY
        if at + 8 > end:
            return DROP_TRUNCATED
        if protocol == FRAGMENT:
            # 13 bits of offset, 2 reserved, M. An atomic fragment (all zero) is a whole packet.
            if struct.unpack_from(">H", frame, at + 2)[0] & 0xFFF9:
                return DROP_FRAGMENT
            size = 8
        elif protocol == AUTHENTICATION:
            size = (frame[at + 1] + 2) * 4
        else:
            size = (frame[at + 1] + 1) * 8
        if at + size > end:
            return DROP_TRUNCATED
        protocol, at = frame[at], at + size
    return protocol, at


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
        inner.protocol == ICMPV6
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


def encapsulate(frame: bytes, inner: Inner, backend, value: int) -> bytes:
    """The frame as it leaves: egress Ethernet, outer IP, then the inner packet as it came."""
    label = flowhash.outer_flow_label(value)
    outer = headers.ipip(
        backend.source, backend.address, len(inner.source) == 16, inner.tos, inner.length, label
    )
    return backend.ethernet + outer + frame[inner.start :]


def forward(world, service, frame: bytes, inner: Inner, ports: tuple[int, int]) -> Outcome:
    """Hash, select and encapsulate a packet of a service."""
    prefix = service.prefix[len(inner.source)]
    value = flowhash.flow_hash(
        world.key, service.affinity, inner.source, inner.destination, *ports, inner.protocol, prefix
    )
    row = flowhash.cluster_row(value)
    pool = service.only if service.only is not None else service.cluster_rows[row] if service.cluster_rows else None
    if pool is None:
        return Outcome("drop", "no-backend", None, service.name, None, row)
    node_row, fallback, backend = select(pool, value)
    facts = service.name, pool.cluster, row, node_row, fallback
    if backend is None:
        return Outcome("drop", "no-backend", None, *facts)
    if backend.local:
        return Outcome("pass", "local", None, *facts, backend.name)
    if inner.length > backend.largest:
        return Outcome("drop", "too-big", None, *facts, backend.name)
    return Outcome("tx", None, encapsulate(frame, inner, backend, value), *facts, backend.name)


def walk(world, frame: bytes) -> Outcome:
    """What becomes of a frame in a world."""
    inner = parse(frame, world.vips)
    if isinstance(inner, Outcome):
        return inner
    if is_discovery(frame, inner):
        return PASS_DISCOVERY
    needed = TRANSPORT_BYTES.get(inner.protocol)
    if needed is None:
        return DROP_NO_SERVICE
    if inner.transport + needed > inner.start + inner.length:
        return DROP_TRUNCATED
    ports = struct.unpack_from(">HH", frame, inner.transport)
    services = world.services
    service = services.get((inner.destination, inner.protocol, ports[1]))
    if service is None:
        service = services.get((inner.destination, inner.protocol, 0))
    return DROP_NO_SERVICE if service is None else forward(world, service, frame, inner, ports)
