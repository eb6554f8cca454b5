"""The outer headers of the four IPIP combinations, and the Ethernet header before them.

RFC 791 and RFC 2003 (IPv4), RFC 8200 and RFC 2473 (IPv6), RFC 1071 (checksum).
"""

import struct

PROTOCOL_IPV4 = 4
PROTOCOL_IPV6 = 41
ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_IPV6 = 0x86DD
ETHERTYPE_VLAN = 0x8100
DONT_FRAGMENT = 0x4000
HOPS = 64
OVERHEAD = {4: 20, 16: 40}
"""Length of the outer header by length of the outer address, in bytes."""


def checksum(data: bytes) -> int:
    """The Internet checksum of RFC 1071."""
    if len(data) & 1:
        data += b"\x00"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source: bytes, destination: bytes, protocol: int, tos: int, inner_length: int) -> bytes:
    """An outer IPv4 header before `inner_length` bytes; `tos` holds DSCP and ECN."""
    def packed(check):
        return struct.pack(
            ">BBHHHBBH4s4s", 0x45, tos, 20 + inner_length, 0, DONT_FRAGMENT, HOPS, protocol, check, source, destination
        )

    return packed(checksum(packed(0)))


def ipv6(source: bytes, destination: bytes, protocol: int, tos: int, inner_length: int, label: int) -> bytes:
    """An outer IPv6 header before `inner_length` bytes; `tos` is the traffic class."""
    first = 6 << 28 | tos << 20 | label
    return struct.pack(">IHBB16s16s", first, inner_length, protocol, HOPS, source, destination)


def ipip(source: bytes, destination: bytes, inner_is_ipv6: bool, tos: int, inner_length: int, label: int) -> bytes:
    """The outer header toward `destination`, whose length says which family it is."""
    protocol = PROTOCOL_IPV6 if inner_is_ipv6 else PROTOCOL_IPV4
    if len(destination) == 4:
        return ipv4(source, destination, protocol, tos, inner_length)
    return ipv6(source, destination, protocol, tos, inner_length, label)


def ethernet(destination: bytes, source: bytes, vlan: int | None, outer_is_ipv6: bool) -> bytes:
    """The Ethernet header; `vlan` is the egress's VLAN id (priority 0) or None for untagged."""
    tag = b"" if vlan is None else struct.pack(">HH", ETHERTYPE_VLAN, vlan)
    return destination + source + tag + struct.pack(">H", ETHERTYPE_IPV6 if outer_is_ipv6 else ETHERTYPE_IPV4)
