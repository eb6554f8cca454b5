"""Vectors of the two tiers' tables."""

import hashlib
import struct

from .. import hrw, maglev, nodehrw
from ..maglev import Member

DISRUPTION = [
    ("90/10 to 80/20", "9.99", {"a": 90, "b": 10}, {"a": 80, "b": 20}),
    ("34/33/33 to 30/30/40", "7.45", {"a": 34, "b": 33, "c": 33}, {"a": 30, "b": 30, "c": 40}),
    ("35/35/30 to 70/30/0", "42.1", {"a": 35, "b": 35, "c": 30}, {"a": 70, "b": 30, "c": 0}),
]
"""What a change moves: name, percent as documented, weights before and after."""


def mixed(count: int, weight=lambda index: 1) -> list[Member]:
    """IPv4 and IPv6 endpoints by turns, in no sorted order."""
    return [
        Member(f"2001:db8:{i:x}::{i + 1:x}" if i % 2 else f"203.0.113.{250 - i}", 0, weight(i)) for i in range(count)
    ]


def spread(count: int, weight) -> list[Member]:
    """Many IPv4 endpoints under 10.0.0.0/8."""
    return [Member(f"10.{i // 250}.{i % 250}.1", 0, weight(i)) for i in range(count)]


def small_cases() -> list[tuple[str, int, list[Member]]]:
    """Tables small enough to be written out: sentence, rows, endpoints as configured."""
    trio = [Member("203.0.113.9"), Member("203.0.113.10"), Member("192.0.2.200")]
    states = ("up", "unknown", "draining", "down", "up")
    return [
        ("One member owns everything.", 256, trio[:1]),
        ("Three equal members, configured out of order.", 256, trio),
        ("Five equal members of both families.", 256, mixed(5)),
        ("Five members of weights 1 to 5.", 256, mixed(5, lambda i: i + 1)),
        ("Five members, the second and the last of weight 0.", 256, mixed(5, lambda i: (3, 0, 2, 1, 0)[i])),
        ("Weights far apart.", 512, [m._replace(weight=w) for m, w in zip(trio, (65535, 300, 1))]),
        ("One address, three tunnel ports.", 512, [Member("203.0.113.9", p) for p in (6081, 6080, 443)]),
        ("Seventeen equal members of both families.", 512, mixed(17)),
        ("Seventeen members of weights 1 to 7.", 512, mixed(17, lambda i: 1 + i % 7)),
        ("Up and unknown members only.", 256, [m._replace(state=s) for m, s in zip(mixed(5), states)]),
        ("Nobody is up: the draining member.", 256, [m._replace(state=s) for m, s in zip(trio, ("down", "draining", "down"))]),
        ("All are down: all of them.", 256, [m._replace(state="down") for m in trio]),
        ("The only member that is up has weight 0: the draining one.", 256,
         [trio[0]._replace(weight=0), trio[1]._replace(state="draining"), trio[2]._replace(state="down")]),
    ]  # fmt: skip


def described(member: Member) -> dict:
    """An endpoint as JSON."""
    return {"address": member.address, "port": member.port, "weight": member.weight, "state": member.state}


def maglev_file() -> dict:
    """Small node tables in full."""
    cases = []
    for about, rows, endpoints in small_cases():
        members = maglev.members_of(endpoints)
        owners = maglev.table(members, rows)
        cases.append({
            "about": about,
            "rows": rows,
            "endpoints": [described(e) for e in endpoints],
            "members": [[m.address, m.port] for m in members],
            "offsetSkip": [list(maglev.preference(m, rows)) for m in members],
            "counts": maglev.counts(owners, len(members)),
            "owners": owners,
        })  # fmt: skip
    return {
        "about": "Small node tables in full: `owners` holds, for each row, an index into `members` (sorted); `endpoints` are as configured.",
        "cases": cases,
    }


def maglev_large_file() -> dict:
    """Large node tables by digest."""
    cases = []
    for about, rows, members in (
        ("100 equal members.", 65536, maglev.members_of(spread(100, lambda i: 1))),
        ("1,000 members of weights 1 to 10.", 65536, maglev.members_of(spread(1000, lambda i: 1 + i * 7 % 10))),
        ("16 members of weights 1 to 4 over the most rows.", 1 << 20, maglev.members_of(spread(16, lambda i: 1 + i % 4))),
    ):  # fmt: skip
        owners = maglev.table(members, rows)
        cases.append({
            "about": about,
            "rows": rows,
            "members": [[m.address, m.weight] for m in members],
            "sha256": hashlib.sha256(struct.pack(f"<{rows}H", *owners)).hexdigest(),
            "counts": maglev.counts(owners, len(members)),
        })  # fmt: skip
    return {
        "about": "Large node tables: SHA-256 of the owners (indices into `members`, u16 little-endian, row 0 first), rows per member; `members` are [address, weight], port 0, all up, sorted.",
        "cases": cases,
    }


def changes() -> list[tuple[str, list[Member], list[Member]]]:
    """Changes of a pool in tables of 4,096 rows: name, endpoints before and after."""
    hundred = spread(100, lambda i: 1)
    graded = spread(10, lambda i: i + 1)
    halved = [m._replace(weight=1 if i == 40 else 2) for i, m in enumerate(hundred)]
    return [
        ("1 of 100 leaves", hundred, hundred[:40] + hundred[41:]),
        ("1 of 100 to half its weight", [m._replace(weight=2) for m in hundred], halved),
        ("1 of 10 of weights 1 to 10 leaves", graded, graded[:4] + graded[5:]),
    ]


def change_case(name: str, before: list[Member], after: list[Member]) -> dict:
    """Whose rows a change moves, in a table of 4,096 rows."""
    pools = [maglev.members_of(endpoints) for endpoints in (before, after)]
    owners = [[members[owner].address for owner in nodehrw.table(members, 4096)] for members in pools]
    described_pools = [[[m.address, m.weight] for m in members] for members in pools]
    return {"change": name, "before": described_pools[0], "after": described_pools[1], "moved": hrw.moved(*owners)}


def node_hrw_file() -> dict:
    """Small node tables of bounded HRW in full, larger ones by digest, and the disruption figures."""
    cases = []
    for about, rows, endpoints in small_cases():
        members = maglev.members_of(endpoints)
        owners = nodehrw.table(members, rows)
        cases.append({
            "about": about,
            "rows": rows,
            "endpoints": [described(e) for e in endpoints],
            "members": [[m.address, m.port] for m in members],
            "keys": [f"{nodehrw.member_key(m):016x}" for m in members],
            "caps": nodehrw.caps([m.weight for m in members], rows),
            "counts": maglev.counts(owners, len(members)),
            "owners": owners,
        })  # fmt: skip
    large = []
    for about, rows, members in (
        ("100 equal members.", 8192, maglev.members_of(spread(100, lambda i: 1))),
        ("300 members of weights 1 to 10.", 4096, maglev.members_of(spread(300, lambda i: 1 + i * 7 % 10))),
        ("8 members of weights 1 to 4.", 65536, maglev.members_of(spread(8, lambda i: 1 + i % 4))),
    ):  # fmt: skip
        owners = nodehrw.table(members, rows)
        large.append({
            "about": about,
            "rows": rows,
            "members": [[m.address, m.weight] for m in members],
            "sha256": hashlib.sha256(struct.pack(f"<{rows}H", *owners)).hexdigest(),
            "counts": maglev.counts(owners, len(members)),
        })  # fmt: skip
    return {
        "about": "Node tables of bounded HRW: `cases` as in maglev.json with the members' keys and caps, `large` as in maglev_large.json; `disruption` counts the rows of 4,096 that a change moves.",
        "disruption": [change_case(*change) for change in changes()],
        "cases": cases,
        "large": large,
    }


def cluster_case(weights: dict[str, int]) -> dict:
    """The cluster rows of one set of weights."""
    names = sorted(weights)
    rows = hrw.cluster_rows(weights)
    return {
        "clusters": [[name, weights[name]] for name in names],
        "counts": [rows.count(name) for name in names],
        "owners": "".join(str(names.index(owner)) for owner in rows),
    }


def disruption_case(name: str, documented: str, before: dict, after: dict) -> dict:
    """What a change of weights moves."""
    moved = hrw.moved(hrw.cluster_rows(before), hrw.cluster_rows(after))
    percent = f"{100 * moved / hrw.ROWS:.2f}"
    return {"change": name, "before": before, "after": after, "moved": moved, "percent": percent, "documented": documented}


def cluster_rows_file() -> dict:
    """Cluster rows in full, and the disruption figures."""
    sets = [weights for _, _, before, after in DISRUPTION for weights in (before, after)]
    sets += [{"a": 100}, {"eu-1": 90, "us-1": 10}, {"eu-1": 1, "us-1": 65535}]
    return {
        "about": "4,096 cluster rows: one digit a row, an index into `clusters` ([name, weight], sorted by name); `disruption` counts the rows that a change of weights moves.",
        "disruption": [disruption_case(*change) for change in DISRUPTION],
        "cases": [cluster_case(weights) for weights in sets],
    }
