"""Builds input frames for the fixtures. The walk in `packet.py` uses none of it."""

import ipaddress
import struct

from .headers import checksum

ROUTER = bytes.fromhex("00005e0053fe")
GATEWAY = bytes.fromhex("00005e005301")
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
SYN, ACK = 0x02, 0x10


def packed(address: str) -> bytes:
    """An address in network order."""
    return ipaddress.ip_address(address).packed


def ethernet(payload: bytes, kind: int | None = None, tags=()) -> bytes:
    """A frame to the gateway; `tags` are (TPID, TCI); the EtherType follows the IP version."""
    if kind is None:
        kind = 0x86DD if payload[0] >> 4 == 6 else 0x0800
    stack = b"".join(struct.pack(">HH", *tag) for tag in tags)
    return GATEWAY + ROUTER + stack + struct.pack(">H", kind) + payload


def transport_checksum(source: str, destination: str, protocol: int, segment: bytes) -> int:
    """The checksum over the pseudo-header and the segment (RFC 9293, RFC 768, RFC 8200)."""
    ends = packed(source) + packed(destination)
    form = ">IHBB" if len(ends) == 32 else ">HBB"
    numbers = (len(segment), 0, 0, protocol) if len(ends) == 32 else (len(segment), 0, protocol)
    return checksum(ends + struct.pack(form, *numbers) + segment) or 0xFFFF


def tcp(source, destination, source_port, destination_port, flags=SYN, data=b"") -> bytes:
    """A TCP segment without options."""
    def packed_with(check):
        return struct.pack(">HHIIBBHHH", source_port, destination_port, 0x01020304, 0, 0x50, flags, 64240, check, 0) + data

    return packed_with(transport_checksum(source, destination, TCP, packed_with(0)))


def udp(source, destination, source_port, destination_port, data=b"") -> bytes:
    """A UDP datagram."""
    def packed_with(check):
        return struct.pack(">HHHH", source_port, destination_port, 8 + len(data), check) + data

    return packed_with(transport_checksum(source, destination, UDP, packed_with(0)))


def icmp(kind: int, code: int = 0, body: bytes = bytes(4)) -> bytes:
    """An ICMP message; for ICMPv6 the checksum is left wrong (no pseudo-header)."""
    bare = struct.pack(">BBH", kind, code, 0) + body
    return bare[:2] + struct.pack(">H", checksum(bare)) + bare[4:]


def icmpv6(source, destination, kind: int, code: int, body: bytes) -> bytes:
    """An ICMPv6 message with its checksum, over the pseudo-header too (RFC 4443, 2.3)."""
    bare = struct.pack(">BBH", kind, code, 0) + body
    pseudo = packed(source) + packed(destination) + struct.pack(">IHBB", len(bare), 0, 0, ICMPV6)
    return bare[:2] + struct.pack(">H", checksum(pseudo + bare)) + bare[4:]


def ipv4(source, destination, protocol, payload, tos=0, fragment=0x4000, options=b"", length=None, words=None, check=None):
    """An IPv4 packet; `length` and `words` (IHL) tell a lie where given, `check` a wrong checksum."""
    ihl = 5 + len(options) // 4 if words is None else words
    total = 20 + len(options) + len(payload) if length is None else length

    def header(value):
        fixed = struct.pack(">BBHHHBBH", 0x40 | ihl, tos, total, 0x1234, fragment, 63, protocol, value)
        return fixed + packed(source) + packed(destination) + options

    return header(checksum(header(0)) if check is None else check) + payload


def ipv6(source, destination, next_header, payload, tos=0, label=0, length=None):
    """An IPv6 packet; `length` (of the payload) tells a lie where given."""
    size = len(payload) if length is None else length
    fixed = struct.pack(">IHBB", 6 << 28 | tos << 20 | label, size, next_header, 63)
    return fixed + packed(source) + packed(destination) + payload


def extension(next_header: int, units: int = 0) -> bytes:
    """Hop-by-hop or destination options, filled with PadN: 8 + 8 * units bytes."""
    filler = 4 + 8 * units
    return bytes([next_header, units, 1, filler]) + bytes(filler)


def chain(kinds, last: int, payload: bytes) -> tuple[int, bytes]:
    """(first next header, bytes) of extension headers before a payload of protocol `last`.

    `kinds` are numbers (a plain 8-byte header) or (number, bytes after the next-header byte).
    """
    body, following = payload, last
    for kind in reversed(kinds):
        number, rest = kind if isinstance(kind, tuple) else (kind, None)
        header = extension(following) if rest is None else bytes([following]) + rest
        body, following = header + body, number
    return following, body


def fragment_header(offset: int, more: bool) -> tuple[int, bytes]:
    """A `chain` entry: the fragment header, offset in 8-byte units."""
    return 44, struct.pack(">xHI", offset << 3 | more, 0xCAFE0001)


def authentication(units: int) -> tuple[int, bytes]:
    """A `chain` entry: an authentication header of (units + 2) * 4 bytes."""
    return 51, bytes([units]) + bytes((units + 2) * 4 - 2)
