"""The outer headers: IP in the four combinations of families, what a tunnel puts behind it, Ethernet before it.

RFC 791 and RFC 2003 (IPv4), RFC 8200 and RFC 2473 (IPv6), RFC 1071 (checksum), RFC 768 (UDP), RFC 6935 (no
checksum), draft-ietf-intarea-gue (GUE), RFC 7348 (VXLAN).
"""

import struct

from . import tag

PROTOCOL_IPV4 = 4
PROTOCOL_IPV6 = 41
PROTOCOL_UDP = 17
ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_IPV6 = 0x86DD
ETHERTYPE_VLAN = 0x8100
DONT_FRAGMENT = 0x4000
HOPS = 64
OVERHEAD = {4: 20, 16: 40}
"""Length of the outer IP header by length of the outer address, in bytes."""
BETWEEN = {"ipip": 0, "gue": 8 + 4, "vxlan": 8 + 8 + 14}
"""Length of what stands between the outer IP header and the packet, by encapsulation."""
INNER_SOURCE = bytes.fromhex("0253504c5701")
"""Source MAC of every inner frame: locally administered, "SPLW", 1."""
VXLAN_HAS_VNI = 0x08
TAGGED = 0x02
"""The flag of private data: a tag follows."""


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


def udp(source_port: int, destination_port: int, carried: bytes, inner_length: int) -> bytes:
    """A UDP header before `carried` and `inner_length` bytes, then `carried`. Without a checksum."""
    return struct.pack(">HHHH", source_port, destination_port, 8 + len(carried) + inner_length, 0) + carried


def private_length(addresses: int, like: bytes, tagged: bool) -> int:
    """Bytes of what travels with a packet of which so many others may be asked, with a tag or without."""
    return 4 + tag.LENGTH * tagged + addresses * len(like) if addresses or tagged else 0


def private(addresses: list, seal: bytes) -> bytes:
    """What travels with a packet: version 1, how many may be asked, none was, whether there is a tag; the tag; their
    addresses."""
    if not addresses and not seal:
        return b""
    return struct.pack(">BBBB", 1, len(addresses), 0, TAGGED if seal else 0) + seal + b"".join(addresses)


def hop_count(encap: dict) -> bytes:
    """What travels to another cluster's gateway: version 1, no addresses, flag 4: one redirect left."""
    return bytes((1, 0, 0, 4)) if encap.get("via") == "gateway" else b""


def gue(inner_is_ipv6: bool, addresses: list, seal: bytes, encap: dict) -> bytes:
    """The GUE header: variant 0, no control message, length of the private data, the packet's protocol, no flags."""
    behind = private(addresses, seal) or hop_count(encap)
    return struct.pack(">BBH", len(behind) // 4, PROTOCOL_IPV6 if inner_is_ipv6 else PROTOCOL_IPV4, 0) + behind


def vxlan(vni: int, mac: bytes, inner_is_ipv6: bool) -> bytes:
    """The VXLAN header and the inner Ethernet header."""
    kind = ETHERTYPE_IPV6 if inner_is_ipv6 else ETHERTYPE_IPV4
    return struct.pack(">B3xI", VXLAN_HAS_VNI, vni << 8) + mac + INNER_SOURCE + struct.pack(">H", kind)


def between(encap: dict, inner_is_ipv6: bool, inner_length: int, source_port: int, addresses: list, seal: bytes) -> bytes:
    """What stands between the outer IP header and the packet."""
    if encap["kind"] == "gue":
        return udp(source_port, encap["port"], gue(inner_is_ipv6, addresses, seal, encap), inner_length)
    if encap["kind"] == "vxlan":
        mac = bytes.fromhex(encap["mac"].replace(":", ""))
        return udp(source_port, encap["port"], vxlan(encap["vni"], mac, inner_is_ipv6), inner_length)
    return b""


def outer(encap: dict, ends: tuple, inner_is_ipv6: bool, tos: int, inner_length: int, label: int, source_port: int, addresses=(), seal=b"") -> bytes:
    """All outer headers, from IP on, of a packet between `ends` (source, destination) of one family, of which those at
    `addresses` may be asked, with the tag `seal`, if that is not empty."""
    source, destination = ends
    behind = between(encap, inner_is_ipv6, inner_length, source_port, list(addresses), seal)
    if encap["kind"] != "ipip":
        protocol = PROTOCOL_UDP
    else:
        protocol = PROTOCOL_IPV6 if inner_is_ipv6 else PROTOCOL_IPV4
    length = len(behind) + inner_length
    if len(destination) == 4:
        return ipv4(source, destination, protocol, tos, length) + behind
    return ipv6(source, destination, protocol, tos, length, label) + behind


def ethernet(destination: bytes, source: bytes, vlan: int | None, outer_is_ipv6: bool) -> bytes:
    """The Ethernet header; `vlan` is the egress's VLAN id (priority 0) or None for untagged."""
    vlan_tag = b"" if vlan is None else struct.pack(">HH", ETHERTYPE_VLAN, vlan)
    return destination + source + vlan_tag + struct.pack(">H", ETHERTYPE_IPV6 if outer_is_ipv6 else ETHERTYPE_IPV4)
