"""The node table: weighted rendezvous hashing with a cap per member.

Scores as for the cluster rows: -ln(v) / weight, smaller is better. The logarithm is the
platform's; another correct one can differ in the last bit, which matters only where two
scores tie to within it.
"""

import math
import struct

from .hrw import unit
from .maglev import Member, check_rows, identity
from .siphash13 import key_words, siphash13

KEY = key_words(b"spillway.nodehrw")
WORD = (1 << 64) - 1


def member_key(member: Member) -> int:
    """A member's 64-bit key."""
    return siphash13(*KEY, identity(member))


def row_key(row: int) -> int:
    """A row's 64-bit key."""
    return siphash13(*KEY, struct.pack("<I", row))


def mix(value: int) -> int:
    """The finaliser of splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators")."""
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & WORD
    value = (value ^ value >> 27) * 0x94D049BB133111EB & WORD
    return value ^ value >> 31


def score(member: int, row: int, weight: int) -> float:
    """The score of the member with this key on the row with this key; smaller is better."""
    return -math.log(unit(mix(member + row & WORD))) / weight


def caps(weights: list[int], rows: int) -> list[int]:
    """The most rows of each member: 17/16 of its share, rounded up."""
    total = sum(weights)
    return [-(-rows * weight * 17 // (16 * total)) for weight in weights]


def serving_order(rows: int) -> list[tuple[int, int]]:
    """(key, row) of each row, in the order in which they choose."""
    return sorted((row_key(row), row) for row in range(rows))


def table(members: list[Member], rows: int) -> list[int]:
    """The owner of each row, as an index into `members` (which must be sorted)."""
    check_rows(rows)
    if not members:
        return []
    left = caps([m.weight for m in members], rows)
    open_members = [(index, member_key(m), m.weight) for index, m in enumerate(members)]
    owners = [-1] * rows
    for key, row in serving_order(rows):
        _, index = min((score(member, key, weight), index) for index, member, weight in open_members)
        owners[row] = index
        left[index] -= 1
        if left[index] == 0:
            open_members = [entry for entry in open_members if entry[0] != index]
    return owners
