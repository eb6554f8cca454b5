"""QUIC packets to services that route them by connection id."""

import struct

from ..craft import ACK, TCP, UDP, ethernet, ipv4, tcp, udp
from .encapsulated import CLIENT, udp4, udp6

VIP4, VIP6, WIDE = "198.51.100.90", "2001:db8::90", "198.51.100.91"
UP, DRAINING, WEIGHTLESS = "203.0.113.101", "203.0.113.102", "203.0.113.104"
PARKED, SECOND = "2001:db8:e::101", "203.0.113.112"
REST = bytes(range(0xC0, 0xE0))


def connection_id(config: int, server: str, nonce: int) -> bytes:
    """An id that says its own length, as the draft likes it."""
    server = bytes.fromhex(server)
    return bytes([config << 5 | len(server) + nonce]) + server + bytes(range(0x11, 0x11 + nonce))


def short(identity: bytes) -> bytes:
    """A packet with a short header."""
    return b"\x40" + identity + REST


def long(identity: bytes, first: int = 0xC0, length: int | None = None) -> bytes:
    """A packet with a long header; `length` tells a lie."""
    return struct.pack(">BIB", first, 1, len(identity) if length is None else length) + identity + b"\x00" + REST


def named(built):
    """Ids that lead to a server, from ports whose rows lead elsewhere."""
    good, draining = connection_id(0, "0a01", 5), connection_id(0, "0a02", 5)
    ports = (40000, 50000)
    cases = [
        (f"QUIC of a short header to the server that its id names, from port {port}.", udp4(VIP4, 443, data=short(draining))(port), f"tx {DRAINING}")
        for port in ports
    ]
    return cases + [
        ("QUIC over IPv6 to the same server.", udp6(VIP6, 443, data=short(draining))(40000), f"tx {DRAINING}"),
        ("A long header with the server's id (Handshake).", udp4(VIP4, 443, data=long(draining, 0xE0))(40000), f"tx {DRAINING}"),
        ("An Initial with the server's id, as after a Retry.", udp4(VIP4, 443, data=long(draining, 0xC0))(40000), f"tx {DRAINING}"),
        ("A version that nobody knows.", udp4(VIP4, 443, data=b"\x80\xff\xff\xff\xff" + long(draining)[5:])(40000), f"tx {DRAINING}"),
        ("The second configuration, ids of 20 bytes.", udp4(VIP4, 443, data=short(connection_id(3, "0a02", 17)))(40000), f"tx {DRAINING}"),
        ("The lower five bits of the id's first byte are anything.", udp4(VIP4, 443, data=short(b"\x1f" + draining[1:]))(40000), f"tx {DRAINING}"),
        ("Bytes behind the nonce are the server's own.", udp4(VIP4, 443, data=long(draining + b"more"))(40000), f"tx {DRAINING}"),
        ("The server that owns the rows, too.", udp4(VIP4, 443, data=short(good))(40000), f"tx {UP}"),
        ("A server of weight 0, tagged.", udp4(VIP4, 443, data=short(connection_id(0, "0a04", 5)))(40000), f"tx {WEIGHTLESS}"),
        ("A server of a pool of weight 0, in IPv6.", udp4(VIP4, 443, data=short(connection_id(0, "0b01", 5)))(40000), f"tx {PARKED}"),
        ("The server is this node.", udp4(VIP4, 443, data=short(connection_id(0, "0a05", 5)))(40000), "pass local"),
        ("A server id of nine bytes, at any port.", udp4(WIDE, 4433, data=short(connection_id(6, "0102030405060708f2", 4)))(40000), f"tx {SECOND}"),
        ("The shortest datagram with a short header.", udp4(VIP4, 443, data=short(draining)[:17])(40000), f"tx {DRAINING}"),
        ("The shortest datagram with a long header.", udp4(VIP4, 443, data=long(draining)[:22])(40000), f"tx {DRAINING}"),
        ("Too large for the server's path: the client is told.", udp4(VIP4, 443, data=short(draining) + bytes(1500 - 20 - 28 - 41 + 1))(40000), "tx"),
    ]  # fmt: skip


def nobody(built):
    """Ids that name nobody: the rows decide, and there the draining server has none."""
    draining = connection_id(0, "0a02", 5)
    odd = [
        ("A server id that nobody has.", short(connection_id(0, "0a09", 5))),
        ("The server that its id names is down.", short(connection_id(0, "0a03", 5))),
        ("A configuration that is not there.", short(connection_id(1, "0a02", 5))),
        ("A configuration of another length is none of this service's.", short(connection_id(6, "0a02", 5))),
        ("Not routable, as the id itself says.", short(connection_id(7, "0a02", 5))),
        ("An Initial with an id that the client made up.", long(bytes.fromhex("8394c8f03e515708"))),
        ("A long header whose id is a byte too short.", long(draining[:7])),
        ("A long header without an id.", long(b"")),
        ("A byte short of a short header and an id.", short(draining)[:16]),
        ("A byte short of a long header and an id.", long(draining)[:21]),
        ("No data.", b""),
        ("No QUIC at all.", b"query"),
    ]  # fmt: skip
    cases = [(f"{about} (QUIC)", udp4(VIP4, 443, data=data)(40000), f"tx {UP}") for about, data in odd]
    padded = udp4(VIP4, 443, data=short(draining)[:16])(40000) + short(draining)[16:]
    stranger = udp4("198.51.100.10", 443, data=short(draining))(40000)
    segment = tcp(CLIENT["4"], VIP4, 40000, 443, ACK, short(draining))
    datagram = udp(CLIENT["4"], VIP4, 40000, 443, short(draining))
    fragment = ethernet(ipv4(CLIENT["4"], VIP4, UDP, datagram, fragment=0x2000))
    return cases + [
        ("Ethernet padding is no part of the datagram.", padded, f"tx {UP}"),
        ("A service that does not ask reads no id.", stranger, "tx"),
        ("A first fragment names nobody, for the others could not.", fragment, f"tx {UP}"),
        ("TCP has no connection id.", ethernet(ipv4(CLIENT["4"], VIP4, TCP, segment)), f"tx {UP}"),
    ]


def cases(built):
    """All of them: (sentence, frame, expectation)."""
    return named(built) + nobody(built)
