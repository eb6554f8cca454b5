"""The flow hash: which bytes are hashed for each affinity, and what its bits are used for."""

import struct

from .siphash13 import siphash13

AFFINITIES = ("flow", "client", "client-prefix", "three-tuple")
CLUSTER_ROWS = 4096
DEFAULT_PREFIX = {4: 24, 16: 56}
"""Prefix length in bits of `client-prefix`, by address length in bytes."""
FALLBACK_FACTOR = 0x9E3779B1
"""32-bit golden-ratio multiplier of the fallback rehash."""


def mask_address(address: bytes, prefix: int) -> bytes:
    """`address` (network order) with all but the first `prefix` bits zero."""
    bits = len(address) * 8
    if not 0 <= prefix <= bits:
        raise ValueError(f"prefix /{prefix} is outside 0..{bits}")
    value = int.from_bytes(address, "big") >> (bits - prefix) << (bits - prefix)
    return value.to_bytes(len(address), "big")


def message(affinity, source, destination, source_port, destination_port, protocol, prefix=None):
    """The hashed bytes: 16 for IPv4, 40 for IPv6.

    Addresses are bytes in network order; `prefix` matters to `client-prefix` alone.
    """
    if affinity == "client":
        return source + bytes(len(source) + 8)
    if affinity == "client-prefix":
        bits = DEFAULT_PREFIX[len(source)] if prefix is None else prefix
        return mask_address(source, bits) + bytes(len(source) + 8)
    if affinity == "three-tuple":
        source_port = destination_port = 0
    elif affinity != "flow":
        raise ValueError(f"affinity {affinity!r} is none of {', '.join(AFFINITIES)}")
    return source + destination + struct.pack(">HHB3x", source_port, destination_port, protocol)


def flow_hash(key, affinity, source, destination, source_port, destination_port, protocol, prefix=None):
    """The flow's 64-bit hash under `key` = (k0, k1)."""
    hashed = message(affinity, source, destination, source_port, destination_port, protocol, prefix)
    return siphash13(key[0], key[1], hashed)


def cluster_row(value: int) -> int:
    """The row of the cluster table: top bits of the hash's low half."""
    return ((value & 0xFFFFFFFF) * CLUSTER_ROWS) >> 32


def node_row(value: int, rows: int) -> int:
    """The row of a node table with `rows` rows: top bits of the hash's high half."""
    return ((value >> 32) * rows) >> 32


def fallback_row(value: int, rows: int, attempt: int) -> int:
    """The node row of the `attempt`-th fallback (1 or 2)."""
    rehashed = (value >> 32) * pow(FALLBACK_FACTOR, attempt, 1 << 32) & 0xFFFFFFFF
    return (rehashed * rows) >> 32


def outer_source_port(value: int) -> int:
    """The outer UDP source port (GUE, VXLAN)."""
    return 0xC000 | (value & 0x3FFF)


def outer_flow_label(value: int) -> int:
    """The outer IPv6 flow label: 16 of its 20 bits."""
    return (value >> 32) & 0xFFFF
