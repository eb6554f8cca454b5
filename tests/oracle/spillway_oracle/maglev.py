"""The node table: weighted Maglev over a power of two of rows.

After Eisenbud et al., "Maglev: a fast and reliable software network load balancer"
(NSDI 2016), section 3.4, with weights as credits and odd skips over a power of two.
"""

import ipaddress
import struct
from typing import NamedTuple

from .siphash13 import key_words, siphash13

KEY = key_words(b"spillway.maglev1")


class Member(NamedTuple):
    """An endpoint of a pool as the table sees it."""

    address: str
    port: int = 0
    """Tunnel port; 0 for IPIP."""
    weight: int = 1
    state: str = "up"
    """up, unknown, draining or down."""


def address16(address: str) -> bytes:
    """An address as 16 bytes, IPv4 as ::ffff:a.b.c.d."""
    parsed = ipaddress.ip_address(address)
    return parsed.packed if parsed.version == 6 else bytes(10) + b"\xff\xff" + parsed.packed


def identity(member: Member) -> bytes:
    """What a member is sorted by and hashed with: address16, then port in network order."""
    return address16(member.address) + struct.pack(">H", member.port)


def members_of(endpoints) -> list[Member]:
    """Who takes part, sorted: up or unknown; if none, draining; if none, all. Weight 0 never."""
    weighted = sorted((e for e in endpoints if e.weight > 0), key=identity)
    up = [e for e in weighted if e.state in ("up", "unknown")]
    draining = [e for e in weighted if e.state == "draining"]
    return up or draining or weighted


def preference(member: Member, rows: int) -> tuple[int, int]:
    """A member's (offset, skip): its j-th preferred row is (offset + j * skip) mod rows."""
    name = identity(member)
    offset = siphash13(*KEY, name + b"\x01") % rows
    skip = siphash13(*KEY, name + b"\x02") % rows | 1
    return offset, skip


def check_rows(rows: int) -> None:
    """Refuse a number of rows that no table has."""
    if rows < 256 or rows > 1 << 20 or rows & (rows - 1):
        raise ValueError(f"{rows} rows: must be a power of two from 256 to 1048576")


def table(members: list[Member], rows: int) -> list[int]:
    """The owner of each row, as an index into `members` (which must be sorted)."""
    check_rows(rows)
    if not members:
        return []
    largest = max(m.weight for m in members)
    cursors, skips = map(list, zip(*(preference(m, rows) for m in members)))
    weights = [m.weight for m in members]
    credits = [0] * len(members)
    owners = [-1] * rows
    mask = rows - 1
    left = rows
    while True:
        for index, weight in enumerate(weights):
            credits[index] += weight
            if credits[index] < largest:
                continue
            credits[index] -= largest
            row, skip = cursors[index], skips[index]
            # A taken row never becomes free again, so the search goes on where it stopped.
            while owners[row] >= 0:
                row = (row + skip) & mask
            owners[row] = index
            cursors[index] = row
            left -= 1
            if left == 0:
                return owners


def counts(owners: list[int], members: int) -> list[int]:
    """How many rows each of `members` members owns."""
    held = [0] * members
    for owner in owners:
        held[owner] += 1
    return held
