"""Headers, the walk and the command line."""

import json
import random
import struct
import subprocess
import sys
import unittest
from pathlib import Path

from spillway_oracle import headers, icmp, packet, redirect, siphash13, tag, world
from spillway_oracle.vectors import check

HERE = Path(__file__).resolve().parent
VECTORS = HERE.parent / "fixtures" / "vectors"
CLUSTERS = json.loads((VECTORS / "world.json").read_text(encoding="utf-8"))["clusters"]
IPIP = {"kind": "ipip"}


def cases():
    """The whole frames."""
    return json.loads((VECTORS / "frames.json").read_text(encoding="utf-8"))["cases"]


class Headers(unittest.TestCase):
    def test_checksum_of_rfc_1071_section_3(self):
        self.assertEqual(headers.checksum(bytes.fromhex("0001f203f4f5f6f7")), ~0xDDF2 & 0xFFFF)

    def test_checksum_of_a_known_header(self):
        self.assertEqual(headers.checksum(bytes.fromhex("4500003c1c4640004006 0000 ac100a63ac100a0c")), 0xB1E6)

    def test_ipv6_in_ipv4_by_hand(self):
        made = headers.outer(IPIP, (bytes([192, 0, 2, 1]), bytes([203, 0, 113, 11])), True, 0xBB, 60, 0x1234, 50000)
        self.assertEqual(made[:10].hex(), "45bb0050000040004029")
        self.assertEqual(headers.checksum(made), 0)

    def test_ipv4_in_ipv6_by_hand(self):
        made = headers.outer(IPIP, (bytes(15) + b"\x01", bytes(15) + b"\x02"), False, 0xBB, 60, 0x1234, 50000)
        self.assertEqual(made[:8].hex(), "6bb01234003c0440")

    def test_ipv6_in_gue_by_hand(self):
        ends = bytes([192, 0, 2, 1]), bytes([203, 0, 113, 11])
        made = headers.outer({"kind": "gue", "port": 6080}, ends, True, 0, 60, 0, 0xC123)
        self.assertEqual(made[:10].hex(), "4500005c000040004011")
        self.assertEqual(made[20:].hex(), "c12317c0" "0048" "0000" "00290000")
        self.assertEqual(headers.checksum(made[:20]), 0)

    def test_ipv4_in_vxlan_by_hand(self):
        encap = {"kind": "vxlan", "port": 4789, "vni": 100, "mac": "02:53:50:4c:57:02"}
        made = headers.outer(encap, (bytes(15) + b"\x01", bytes(15) + b"\x02"), False, 0, 60, 0, 0xC123)
        self.assertEqual(made[:8].hex(), "60000000005a1140")
        self.assertEqual(made[40:].hex(), "c12312b5" "005a" "0000" "0800000000006400" "0253504c5702" "0253504c5701" "0800")


class Tag(unittest.TestCase):
    SYN = bytes.fromhex("450000280000400040060000c0000207c633640a")

    def test_example_6_of_the_contract(self):
        header = bytes.fromhex("450000280000400040064e8bc0000207c633640a")
        self.assertEqual(headers.checksum(header), 0)
        self.assertEqual(tag.seal(3, siphash13.key_words(bytes(range(16))), header).hex(), "0398944b91bf5c93")

    def test_of_ipv4_it_is_about_twenty_bytes(self):
        key = siphash13.key_words(bytes(range(16)))
        made = tag.seal(3, key, self.SYN + b"more of it")
        self.assertEqual(made, tag.seal(3, key, self.SYN))
        self.assertEqual((len(made), made[0]), (8, 3))
        self.assertEqual(int.from_bytes(made[1:], "big"), siphash13.siphash13(*key, self.SYN) >> 8)

    def test_of_ipv6_it_is_about_forty_bytes(self):
        key = siphash13.key_words(bytes(range(16)))
        packet = bytes([0x60]) + bytes(range(1, 60))
        self.assertEqual(tag.seal(255, key, packet), tag.seal(255, key, packet[:40]))
        self.assertNotEqual(tag.seal(255, key, packet), tag.seal(255, key, packet[:39] + b"x"))

    def test_it_lies_before_the_addresses(self):
        self.assertEqual(headers.private([b"abcd"], bytes(8)).hex(), "01010002" "0000000000000000" "61626364")
        self.assertEqual(headers.private([], bytes(range(8))).hex(), "01000002" "0001020304050607")
        self.assertEqual([headers.private_length(n, bytes(16), True) for n in (0, 1, 3)], [12, 28, 60])


class Walk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = world.load(VECTORS / "world.json")

    def test_what_leaves_carries_what_came(self):
        sent = [case for case in cases() if case["verdict"] == "tx" and case["reason"] is None]
        self.assertGreaterEqual(len(sent), 40)
        seen = set()
        for case in sent:
            came, left = bytes.fromhex(case["input"]), bytes.fromhex(case["output"])
            kind, start = packet.link_layer(came)
            redirected = redirect.find(self.world.redirects, came, kind, start)
            start = start if redirected is None else redirected[3]
            kind, outer = packet.link_layer(left)
            size = 40 if kind == headers.ETHERTYPE_IPV6 else 20
            encap = next(c for c in CLUSTERS if c["name"] == case["cluster"]).get("encap", IPIP)["kind"]
            carried = 4 * left[outer + size + 8] if encap == "gue" else 0
            self.assertEqual(left[outer + size + headers.BETWEEN[encap] + carried :], came[start:], case["about"])
            seen.add(encap)
            if size == 20:
                self.assertEqual(headers.checksum(left[outer : outer + 20]), 0, case["about"])
        self.assertEqual(seen, {"ipip", "gue", "vxlan"})

    def test_answers_go_back_and_sum_up(self):
        answers = [case for case in cases() if case["verdict"] == "tx" and case["reason"] is not None]
        self.assertGreaterEqual(len(answers), 15)
        for case in answers:
            came, left = bytes.fromhex(case["input"]), bytes.fromhex(case["output"])
            self.assertEqual(left[:12], came[6:12] + came[:6], case["about"])
            kind, start = packet.link_layer(left)
            read = packet.parse_ipv4 if kind == headers.ETHERTYPE_IPV4 else packet.parse_ipv6
            inner = read(left, start)
            message = left[inner.transport : inner.start + inner.length]
            right = icmp.covers(inner.source, inner.destination, message)
            self.assertEqual(right, "stays wrong" not in case["about"], case["about"])

    def test_outer_length_is_the_inner_packets_own(self):
        padded = next(c for c in cases() if c["about"].startswith("Ethernet padding"))
        left = bytes.fromhex(padded["output"])
        self.assertEqual(struct.unpack_from(">H", left, 16)[0], 60)
        self.assertEqual(len(left), 14 + 20 + 40 + 6)

    def test_pairs_share_their_rows(self):
        kept = cases()
        for first, second in zip(kept, kept[1:]):
            if second["about"].endswith("(second)."):
                for key in ("clusterRow", "nodeRow", "backend"):
                    self.assertEqual(first[key], second[key], second["about"])

    def test_fallbacks_are_all_seen(self):
        self.assertEqual({c["fallback"] for c in cases()}, {None, 0, 1, 2, 3})

    def test_no_frame_breaks_the_walk(self):
        chance, frames = random.Random(13), [bytes.fromhex(c["input"]) for c in cases()]
        for _ in range(20000):
            frame = bytearray(chance.choice(frames)[: chance.randrange(1, 160)])
            for _ in range(chance.randrange(4)):
                if frame:
                    frame[chance.randrange(min(len(frame), 90))] = chance.randrange(256)
            outcome = packet.walk(self.world, bytes(frame))
            self.assertIn(outcome.verdict, ("pass", "drop", "tx"))
            # What was redirected to this machine passes without its outer headers.
            if outcome.frame is None or outcome.verdict != "pass":
                self.assertEqual(outcome.verdict == "tx", outcome.frame is not None)
            else:
                self.assertEqual(outcome.reason, "local")


class CommandLine(unittest.TestCase):
    def test_vectors_are_what_would_be_written(self):
        self.assertEqual(check(VECTORS), [])

    def run_frames(self, text):
        command = [sys.executable, HERE, "frame", "--world", VECTORS / "world.json"]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)

    def test_frames_by_line(self):
        kept = cases()
        done = self.run_frames("".join(json.dumps({"frame": c["input"]}) + "\n" for c in kept))
        self.assertEqual(done.returncode, 0, done.stderr)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([(a["verdict"], a["frame"]) for a in answers], [(c["verdict"], c["output"]) for c in kept])

    def test_a_bad_line_is_named(self):
        done = self.run_frames('{"frame": "00"}\n{"frame": "xyz"}\n')
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (1, 1))
        self.assertIn("line 2", done.stderr)


if __name__ == "__main__":
    unittest.main()
