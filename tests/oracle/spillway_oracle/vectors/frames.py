"""Vectors of bytes: outer headers, and whole frames over the named test world."""

import ipaddress

from .. import headers, packet, world
from . import admitted, chained, encapsulated, passed_and_dropped, quic, ranged, redirected, tagged, unusual

ENDS = {"4": ("192.0.2.1", "203.0.113.11"), "6": ("2001:db8::1", "2001:db8:e::11")}
SHAPES = ((0x00, 40, 0), (0x2E, 1480, 0x1), (0xB9, 60, 0xFFFF), (0xFF, 1, 0xBEEF))
"""(DSCP and ECN, inner length in bytes, flow label)."""


ENCAPS = (
    {"kind": "ipip"},
    {"kind": "gue", "port": 6080},
    {"kind": "vxlan", "port": 4789, "vni": 0xABCDEF, "mac": "02:53:50:4c:57:02"},
)
SOURCE_PORT = 61490


def header_case(encap: dict, inner: str, outer: str, tos: int, length: int, label: int) -> dict:
    """The outer headers of one packet."""
    source, destination = ENDS[outer]
    ends = ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed
    header = headers.outer(encap, ends, inner == "6", tos, length, label, SOURCE_PORT)
    return {
        "kind": f"{inner}in{outer}",
        "encap": encap,
        "source": source,
        "destination": destination,
        "tos": tos,
        "innerLength": length,
        "flowLabel": label if outer == "6" else None,
        "sourcePort": None if encap["kind"] == "ipip" else SOURCE_PORT,
        "header": header.hex(),
    }


def headers_file() -> dict:
    """The four combinations of families, by each encapsulation."""
    cases = [header_case(e, i, o, *shape) for e in ENCAPS for i in "46" for o in "46" for shape in SHAPES]
    return {
        "about": "Outer headers from IP on, XinY being family X carried in family Y: `tos` is the inner DSCP and ECN byte (traffic class), innerLength the inner packet by its own header.",
        "cases": cases,
    }


def frame_case(built, about: str, frame: bytes, expected: str) -> dict:
    """One case. `expected` is stated beside it: "verdict", "verdict reason" or "tx backend"."""
    got = packet.walk(built, frame)
    said = f"{got.verdict} {got.reason or got.backend}"
    if expected not in (got.verdict, said):
        raise ValueError(f"{about} expected {expected!r}, walked to {said!r}")
    return {
        "about": about,
        "input": frame.hex(),
        "verdict": got.verdict,
        "reason": got.reason,
        "service": got.service,
        "cluster": got.cluster,
        "clusterRow": got.cluster_row,
        "nodeRow": got.node_row,
        "fallback": got.fallback,
        "backend": got.backend,
        "output": None if got.frame is None else got.frame.hex(),
    }


def frames_file(path) -> dict:
    """Every case of the lists. They are walked in order: a world remembers fragments."""
    built = world.load(path)
    lists = encapsulated, quic, passed_and_dropped, unusual, admitted, ranged, chained, tagged, redirected
    cases = [case for each in lists for case in each.cases(built)]
    return {
        "about": "Whole frames through the gateway of world.json: input, verdict (pass, drop, tx), reason, what was selected (null where nothing was), output (null unless tx).",
        "cases": [frame_case(built, *case) for case in cases],
    }
