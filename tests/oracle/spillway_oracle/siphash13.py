"""SipHash-1-3: one compression round a word, three finalisation rounds.

Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with c = 1 and d = 3.
"""

import struct

MASK = 0xFFFFFFFFFFFFFFFF


def key_words(key: bytes) -> tuple[int, int]:
    """Split a 16-byte key into k0 and k1, little-endian words."""
    if len(key) != 16:
        raise ValueError(f"a SipHash key has 16 bytes, not {len(key)}")
    return struct.unpack("<2Q", key)


def words_of(data: bytes) -> list[int]:
    """The message as little-endian words; the last holds the tail and the length mod 256."""
    tail = len(data) & 7
    padded = data + bytes(7 - tail) + bytes([len(data) & 0xFF])
    return list(struct.unpack(f"<{len(padded) // 8}Q", padded))


def siphash13(k0: int, k1: int, data: bytes) -> int:
    """The 64-bit SipHash-1-3 of `data` under the key (k0, k1)."""
    v0 = k0 ^ 0x736F6D6570736575
    v1 = k1 ^ 0x646F72616E646F6D
    v2 = k0 ^ 0x6C7967656E657261
    v3 = k1 ^ 0x7465646279746573
    # The round is written out once, in a loop, because a call per round doubles the time.
    words = words_of(data) + [0, 0, 0]
    last = len(words) - 3
    for index, word in enumerate(words):
        if index == last:
            v2 ^= 0xFF
        v3 ^= word
        v0 = (v0 + v1) & MASK
        v2 = (v2 + v3) & MASK
        v1 = ((v1 << 13) & MASK | v1 >> 51) ^ v0
        v3 = ((v3 << 16) & MASK | v3 >> 48) ^ v2
        v0 = (v0 << 32) & MASK | v0 >> 32
        v2 = (v2 + v1) & MASK
        v0 = (v0 + v3) & MASK
        v1 = ((v1 << 17) & MASK | v1 >> 47) ^ v2
        v3 = ((v3 << 21) & MASK | v3 >> 43) ^ v0
        v2 = (v2 << 32) & MASK | v2 >> 32
        v0 ^= word
    return v0 ^ v1 ^ v2 ^ v3
