"""SipHash-1-3 against two other implementations, and the flow hash's layout by hand."""

import os
import subprocess
import sys
import unittest

from spillway_oracle import flowhash
from spillway_oracle.siphash13 import key_words, siphash13

RUST = {
    0: (0xABAC0158050FC4DC, 0xD1FBA762150C532C),
    1: (0xC9F49BF37D57CA93, 0x68A914128E01E473),
    2: (0x82CB9B024DC7D44D, 0x010BAC45C41E3669),
}
"""Length of 00 01 02 …: what Rust's standard library answers, key 00..0f and the zero key."""


def cpython_key(seed: int) -> tuple[int, int]:
    """The key that CPython derives from PYTHONHASHSEED (lcg_urandom in bootstrap_hash.c)."""
    state, key = seed, bytearray()
    for _ in range(16):
        state = (state * 214013 + 2531011) & 0xFFFFFFFF
        key.append(state >> 16 & 0xFF)
    return (0, 0) if seed == 0 else key_words(bytes(key))


def cpython_hashes(seed: int) -> list[int]:
    """What a fresh interpreter hashes 1 to 64 bytes to."""
    program = "print(*[hash(bytes(range(n))) & 2**64 - 1 for n in range(1, 65)])"
    environment = os.environ | {"PYTHONHASHSEED": str(seed)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, timeout=30)
    return [int(word) for word in done.stdout.split()]


class SipHash(unittest.TestCase):
    def test_rust_standard_library(self):
        for length, (keyed, zero) in RUST.items():
            data = bytes(range(length))
            self.assertEqual(siphash13(*key_words(bytes(range(16))), data), keyed)
            self.assertEqual(siphash13(0, 0, data), zero)

    @unittest.skipUnless(sys.hash_info.algorithm == "siphash13", "this interpreter hashes bytes otherwise")
    def test_the_interpreter_itself(self):
        for seed in (0, 1, 20240607):
            key = cpython_key(seed)
            ours = [siphash13(*key, bytes(range(n))) for n in range(1, 65)]
            self.assertEqual(ours, cpython_hashes(seed))

    def test_key_must_have_16_bytes(self):
        with self.assertRaises(ValueError):
            key_words(bytes(15))


class Messages(unittest.TestCase):
    FIELDS = bytes([192, 0, 2, 7]), bytes([198, 51, 100, 10]), 40000, 443, 6

    def test_layouts(self):
        for affinity, expected in {
            "flow": "c0000207c633640a9c4001bb06000000",
            "client": "c0000207000000000000000000000000",
            "client-prefix": "c0000200000000000000000000000000",
            "three-tuple": "c0000207c633640a0000000006000000",
        }.items():
            self.assertEqual(flowhash.message(affinity, *self.FIELDS).hex(), expected, affinity)

    def test_ipv6_has_forty_bytes(self):
        ends = bytes(range(16)), bytes(range(16, 32))
        flow = flowhash.message("flow", *ends, 1, 2, 17)
        self.assertEqual(flow, bytes(range(32)) + bytes([0, 1, 0, 2, 17, 0, 0, 0]))
        prefix = flowhash.message("client-prefix", *ends, 1, 2, 17)
        self.assertEqual(prefix, bytes(range(7)) + bytes(33))

    def test_rows_use_the_halves(self):
        value = 0x80000001_FFFFFFFF
        self.assertEqual(flowhash.cluster_row(value), 4095)
        self.assertEqual(flowhash.node_row(value, 256), 128)
        self.assertEqual(flowhash.outer_source_port(value), 0xFFFF)
        self.assertEqual(flowhash.outer_flow_label(value), 1)
        once = 0x80000001 * 0x9E3779B1 % 2**32
        twice = once * 0x9E3779B1 % 2**32
        self.assertEqual(flowhash.fallback_row(value, 65536, 1), once >> 16)
        self.assertEqual(flowhash.fallback_row(value, 65536, 2), twice >> 16)


if __name__ == "__main__":
    unittest.main()
