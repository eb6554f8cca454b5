"""Vectors of the two hashes: SipHash-1-3 itself, and the flow hash with what hangs on it."""

import ipaddress

from .. import flowhash
from ..siphash13 import key_words, siphash13

SECRET = bytes.fromhex("00112233445566778899aabbccddeeff")
ROWS = (256, 512, 65536, 1048576)
FLOWS = {
    "v4": [
        ("192.0.2.7", "198.51.100.10", 40000, 443, 6),
        ("192.0.2.7", "198.51.100.10", 40001, 443, 6),
        ("192.0.2.7", "198.51.100.10", 40000, 443, 17),
        ("203.0.113.255", "198.51.100.53", 65535, 53, 17),
        ("0.0.0.0", "255.255.255.255", 0, 0, 17),
    ],
    "v6": [
        ("2001:db8:c::7", "2001:db8::10", 40000, 443, 6),
        ("2001:db8:c::7", "2001:db8::10", 40001, 443, 6),
        ("2001:db8:c::7", "2001:db8::10", 40000, 443, 17),
        ("2001:db8:c:ffff:ffff:ffff:ffff:ffff", "2001:db8::53", 65535, 53, 17),
        ("::", "::", 0, 0, 17),
    ],
}
PREFIXES = {"v4": (24, 0, 1, 23, 32), "v6": (56, 0, 3, 64, 128)}


def siphash_file() -> dict:
    """SipHash-1-3 of 0 to 64 bytes."""
    key = bytes(range(16))
    data = bytes(range(64))
    words = key_words(key)
    return {
        "about": "SipHash-1-3 of the bytes 00 01 02 ... of each length 0 to 64, under `key` and under the all-zero key.",
        "key": key.hex(),
        "cases": [
            {
                "length": n,
                "hash": f"0x{siphash13(*words, data[:n]):016x}",
                "zeroKeyHash": f"0x{siphash13(0, 0, data[:n]):016x}",
            }
            for n in range(65)
        ],
    }


def flow_case(affinity, prefix, source, destination, source_port, destination_port, protocol) -> dict:
    """One flow under one affinity, with its rows and outer fields."""
    packed = ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed
    fields = *packed, source_port, destination_port, protocol, prefix
    value = flowhash.flow_hash(key_words(SECRET), affinity, *fields)
    case = {"affinity": affinity}
    if prefix is not None:
        case["prefix"] = prefix
    return case | {
        "source": source,
        "destination": destination,
        "sourcePort": source_port,
        "destinationPort": destination_port,
        "protocol": protocol,
        "message": flowhash.message(affinity, *fields).hex(),
        "hash": f"0x{value:016x}",
        "clusterRow": flowhash.cluster_row(value),
        "nodeRows": [flowhash.node_row(value, rows) for rows in ROWS],
        "fallback1Rows": [flowhash.fallback_row(value, rows, 1) for rows in ROWS],
        "fallback2Rows": [flowhash.fallback_row(value, rows, 2) for rows in ROWS],
        "outerSourcePort": flowhash.outer_source_port(value),
        "outerFlowLabel": flowhash.outer_flow_label(value),
    }


def flow_file() -> dict:
    """Every affinity over flows of both families."""
    cases = []
    for family, flows in FLOWS.items():
        for affinity in flowhash.AFFINITIES:
            for prefix in PREFIXES[family] if affinity == "client-prefix" else (None,):
                cases += [flow_case(affinity, prefix, *flow) for flow in flows]
    return {
        "about": "Flow hashes of both families under each affinity: the hashed message, the hash, the rows for each of `rows`, both fallbacks, the outer source port and flow label.",
        "secret": SECRET.hex(),
        "rows": list(ROWS),
        "cases": cases,
    }
