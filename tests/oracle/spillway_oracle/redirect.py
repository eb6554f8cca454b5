"""Packets that another cluster's gateway sent here: docs/contract.md, "Between clusters"."""

import struct
from dataclasses import replace

from . import flowhash, headers

TO_GATEWAY = bytes((1, 0, 0, 4))
"""Version 1, no addresses, one redirect left."""
VERSIONS = {4: headers.PROTOCOL_IPV4, 6: headers.PROTOCOL_IPV6}
CONGESTION, ECT_1, ECT_0 = 3, 1, 2


def find(redirects, frame: bytes, kind: int, start: int):
    """(outer source, outer ECN, outer end, offset of the packet in it, its version), or None of what is no such packet."""
    if kind == headers.ETHERTYPE_IPV4 and len(frame) >= start + 20 and frame[start] >> 4 == 4:
        size, length = (frame[start] & 15) * 4, struct.unpack_from(">H", frame, start + 2)[0]
        fragment, protocol = struct.unpack_from(">H", frame, start + 6)[0] & 0x3FFF, frame[start + 9]
        ends, tos = (frame[start + 12 : start + 16], frame[start + 16 : start + 20]), frame[start + 1]
    elif kind == headers.ETHERTYPE_IPV6 and len(frame) >= start + 40 and frame[start] >> 4 == 6:
        first, payload, protocol = struct.unpack_from(">IHB", frame, start)
        size, length, fragment, tos = 40, payload + 40, 0, first >> 20 & 0xFF
        ends = frame[start + 8 : start + 24], frame[start + 24 : start + 40]
    else:
        return None
    if protocol != headers.PROTOCOL_UDP or fragment or size < 20 or ends[1] not in redirects.addresses:
        return None
    udp = start + size
    behind = frame[udp + 8 : udp + 16]
    version = next((v for v, number in VERSIONS.items() if behind[:4] == bytes((1, number, 0, 0))), None)
    if frame[udp + 2 : udp + 4] != struct.pack(">H", redirects.port) or version is None or behind[4:] != TO_GATEWAY:
        return None
    return ends[0], tos & 3, start + length, udp + 16, version


def bare(frame: bytes, kind_at: int, at: int, version: int, outer_end: int):
    """The frame without outer headers; None if what is in them is not whole."""
    size = 20 if version == 4 else 40
    if len(frame) < at + size or frame[at] >> 4 != version:
        return None
    length = struct.unpack_from(">H", frame, at + 2)[0] if version == 4 else 40 + struct.unpack_from(">H", frame, at + 4)[0]
    if at + length > outer_end:
        return None
    kind = headers.ETHERTYPE_IPV4 if version == 4 else headers.ETHERTYPE_IPV6
    return frame[:kind_at] + struct.pack(">H", kind) + frame[at:]


def ecn(outer: int, inner: int) -> int:
    """What a mark on the outer header makes of the packet's (RFC 6040, section 4.2), where it is not dropped."""
    if outer == CONGESTION or (outer, inner) == (ECT_1, ECT_0):
        return outer
    return inner


def with_ecn(packet: bytes, mark: int) -> bytes:
    """The packet with these ECN bits; an IPv4 checksum is updated, not made right (RFC 1624, equation 3)."""
    if packet[0] >> 4 == 6:
        first = struct.unpack_from(">I", packet)[0] & ~(3 << 20) | mark << 20
        return struct.pack(">I", first) + packet[4:]
    old, new = packet[1], packet[1] & 0xFC | mark
    if old == new:
        return packet
    total = (~struct.unpack_from(">H", packet, 10)[0] & 0xFFFF) + (~old & 0xFFFF) + new
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return packet[:1] + bytes((new,)) + packet[2:10] + struct.pack(">H", ~total & 0xFFFF) + packet[12:]


def local(service):
    """The service as it is to such packets: its pool in this cluster, and no connection ids."""
    nobody = [[]] * flowhash.CLUSTER_ROWS
    return replace(service, cluster_rows=[], only=service.local, quic=None, earlier=nobody)
