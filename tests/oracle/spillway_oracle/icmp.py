"""ICMP for a VIP: echo replies, errors about a flow, and errors of the gateway's own.

RFC 792 and RFC 1191, RFC 4443; every checksum is summed anew.
"""

import struct
from typing import NamedTuple

from . import headers

ICMP, ICMPV6 = 1, 58
TCP, UDP = 6, 17
MESSAGE = 8
"""Bytes that every message begins with."""
ECHO = {4: (8, 0), 16: (128, 129)}
"""Type of the request and of the reply, by address length in bytes."""
ERRORS = {4: (3, 11, 12), 16: (1, 2, 3, 4)}
QUOTE = {4: 544, 16: 1232}
"""Bytes of the packet that an error of the gateway quotes."""
HOPS = 64


class Quoted(NamedTuple):
    """The flow that an error is about, as its packets arrive: from the client to the VIP."""

    client: bytes
    protocol: int
    ports: tuple


def checksum(source: bytes, destination: bytes, message: bytes) -> int:
    """The message's checksum, its own field taken as zero; for IPv6 over the pseudo-header too (RFC 8200, 8.1)."""
    bare = message[:2] + bytes(2) + message[4:]
    if len(source) == 16:
        return headers.checksum(source + destination + struct.pack(">I3xB", len(message), ICMPV6) + bare)
    return headers.checksum(bare)


def covers(source: bytes, destination: bytes, message: bytes) -> bool:
    """Whether the checksum that the message has is right."""
    pseudo = source + destination + struct.pack(">I3xB", len(message), ICMPV6) if len(source) == 16 else b""
    return headers.checksum(pseudo + message) == 0


def is_echo(family: int, message: bytes) -> bool:
    """An echo request: type and code."""
    return message[0] == ECHO[family][0] and message[1] == 0


def reply_to(frame: bytes, inner) -> bytes:
    """The frame of an echo request as its reply: MACs and addresses exchanged, TTL 64.

    A wrong checksum stays as wrong as it was: by what it is off, the reply's is off too.
    """
    family, end = len(inner.source), inner.start + inner.length
    message = frame[inner.transport : end]
    answered = bytes([ECHO[family][1]]) + message[1:]
    old, right, wanted = (
        struct.unpack_from(">H", message, 2)[0],
        checksum(inner.source, inner.destination, message),
        checksum(inner.destination, inner.source, answered),
    )
    if old != right and not covers(inner.source, inner.destination, message):
        wanted = replaced(old, message[0] << 8 | message[1], answered[0] << 8 | answered[1])
    if wanted == 0 and family == 4 and message[4:8] == bytes(4):
        # Either zero is right for a payload that sums up to none, and as wrong for another; the gateway writes this one.
        wanted = 0xFFFF
    answered = answered[:2] + struct.pack(">H", wanted) + answered[4:]
    header = bytearray(frame[inner.start : inner.transport])
    if family == 4:
        header[12:16], header[16:20] = header[16:20], header[12:16]
        header[10:12] = struct.pack(">H", replaced(header[10] << 8 | header[11], header[8] << 8 | header[9], HOPS << 8 | header[9]))
        header[8] = HOPS
    else:
        header[8:24], header[24:40] = header[24:40], header[8:24]
        header[7] = HOPS
    link = frame[6:12] + frame[:6] + frame[12 : inner.start]
    return link + bytes(header) + answered + frame[end:]


def replaced(check: int, old: int, new: int) -> int:
    """RFC 1624, equation 3: a checksum after one word became another. Keeps a wrong one wrong."""
    total = (~check & 0xFFFF) + (~old & 0xFFFF) + new
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def too_big(frame: bytes, inner, mtu: int) -> bytes:
    """The frame that tells the sender of `inner` how long a packet may be."""
    family = len(inner.source)
    quote = frame[inner.start : inner.start + QUOTE[family]]
    kind, code = (3, 4) if family == 4 else (2, 0)
    message = struct.pack(">BBHI", kind, code, 0, mtu) + quote
    check = checksum(inner.destination, inner.source, message)
    message = message[:2] + struct.pack(">H", check) + message[4:]
    if family == 4:
        header = headers.ipv4(inner.destination, inner.source, ICMP, 0, len(message))
    else:
        header = headers.ipv6(inner.destination, inner.source, ICMPV6, 0, len(message), 0)
    return frame[6:12] + frame[:6] + frame[12 : inner.start] + header + message
