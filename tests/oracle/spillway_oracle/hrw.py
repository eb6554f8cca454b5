"""Cluster rows: weighted rendezvous hashing with exact shares.

Scores after Wang et al., "Weighted rendezvous hashing": -ln(v) / w, smaller is better. The
logarithm is the platform's; another correct one can differ in the last bit, which matters
only where two scores tie to within it.
"""

import math
import struct

from .siphash13 import key_words, siphash13

KEY = key_words(b"spillway.cluster")
ROWS = 4096


def draw(name: bytes, row: int) -> int:
    """The 64-bit hash of a name on a row."""
    return siphash13(*KEY, name + b"\x00" + struct.pack("<I", row))


def unit(value: int) -> float:
    """A 64-bit hash as a number in (0, 1], from its top 53 bits, in IEEE double arithmetic."""
    return ((value >> 11) + 0.5) * 2.0**-53


def score(name: bytes, weight: int, row: int) -> float:
    """A pool's score on a row; smaller is better."""
    return -math.log(unit(draw(name, row))) / weight


def caps(pools: list[tuple[bytes, int]]) -> list[int]:
    """4,096 rows apportioned by weight: floors, then largest remainders, ties by name."""
    total = sum(weight for _, weight in pools)
    held = [ROWS * weight // total for _, weight in pools]
    order = sorted(range(len(pools)), key=lambda i: (-(ROWS * pools[i][1] % total), pools[i][0]))
    for index in order[: ROWS - sum(held)]:
        held[index] += 1
    return held


def serving_order() -> list[int]:
    """The rows in the order in which they choose."""
    return sorted(range(ROWS), key=lambda row: (draw(b"order", row), row))


def cluster_rows(weights: dict[str, int]) -> list[str]:
    """The cluster of each row, from {cluster name: weight}; weight 0 takes no part."""
    pools = sorted((name.encode(), weight) for name, weight in weights.items() if weight > 0)
    if not pools:
        return []
    left = caps(pools)
    rows = [""] * ROWS
    for row in serving_order():
        ranked = sorted((score(name, weight, row), name, i) for i, (name, weight) in enumerate(pools))
        index = next(i for _, _, i in ranked if left[i] > 0)
        left[index] -= 1
        rows[row] = pools[index][0].decode()
    return rows


def moved(before: list[str], after: list[str]) -> int:
    """How many rows have another owner."""
    return sum(a != b for a, b in zip(before, after, strict=True))
