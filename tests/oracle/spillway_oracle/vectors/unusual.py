"""Echo requests, errors about flows, fragments, and what the sender of a packet that does not fit is told."""

import struct

from .. import packet
from ..craft import ICMP, ICMPV6, TCP, UDP, authentication, chain, ethernet, fragment_header, icmp, icmpv6, ipv4, ipv6, packed, tcp, udp
from .encapsulated import CLIENT, VIP, sized4, to_backend

GAMES = {"4": "198.51.100.30", "6": "2001:db8::30"}
"""Of 3-tuples."""
RANGED = "198.51.100.93"
"""Of ranges of ports."""
ROUTER = {"4": "203.0.113.254", "6": "2001:db8:f::fe"}


def echo4(body, to=VIP["4"], tags=(), **options):
    """An echo request over IPv4; `body` begins with identifier and sequence number."""
    return ethernet(ipv4(CLIENT["4"], to, ICMP, icmp(8, 0, body), **options), tags=tags)


def echo6(body, to=VIP["6"], kinds=(), **options):
    """An echo request over IPv6, behind extension headers."""
    message = icmpv6(CLIENT["6"], to, 128, 0, body)
    return ethernet(ipv6(CLIENT["6"], to, *chain(kinds, ICMPV6, message), **options))


def echoes():
    """Answered in place."""
    body = struct.pack(">HH", 0x1234, 7) + b"abcdefgh"
    return [
        ("An echo request to a VIP is answered.", echo4(body), "tx echo-reply"),
        ("So is one over IPv6.", echo6(body), "tx echo-reply"),
        ("One without a payload.", echo4(body[:4]), "tx echo-reply"),
        ("One of nothing but zeros, whose answer has the checksum 0xffff.", echo4(bytes(64)), "tx echo-reply"),
        ("One whose answer sums up to zero, but for its identifier.", echo4(b"\xff\xff" + bytes(10)), "tx echo-reply"),
        ("Zeros over IPv6: the addresses are summed too.", echo6(bytes(32)), "tx echo-reply"),
        ("An odd number of bytes.", echo4(body + b"z"), "tx echo-reply"),
        ("Tags stay.", echo4(body, tags=[(0x88A8, 5), (0x8100, 0x2064)]), "tx echo-reply"),
        ("IPv4 options stay, DSCP too.", echo4(body, tos=0xB8, options=bytes([1] * 8)), "tx echo-reply"),
        ("Extension headers stay.", echo6(body, kinds=[0, 60]), "tx echo-reply"),
        ("Behind an authentication header.", echo6(body, kinds=[authentication(4)]), "tx echo-reply"),
        ("Padding behind it is not covered.", echo4(body) + b"\xff" * 6, "tx echo-reply"),
        ("A wrong checksum stays wrong: the sender is to see it.", echo4(body)[:-1] + b"?", "tx echo-reply"),
        ("It stays wrong also where zeros were covered by it.", echo4(bytes(64))[:-1] + b"?", "tx echo-reply"),
        ("An echo request to another address is not ours.", echo4(body, to="198.51.100.99"), "pass not-ours"),
        ("An echo reply to a VIP belongs to nobody.", ethernet(ipv4(CLIENT["4"], VIP["4"], ICMP, icmp(0, 0, body))), "drop no-service"),
        ("A request that ends before its sequence number.", echo4(body[:2]), "drop truncated"),
        ("Padding does not make it whole.", echo4(body[:2]) + bytes(20), "drop truncated"),
    ]  # fmt: skip


def about4(kind, quoted, code=0, source=ROUTER["4"]):
    """An ICMP error to the VIP over IPv4."""
    return ethernet(ipv4(source, VIP["4"], ICMP, icmp(kind, code, struct.pack(">HH", 0, 1400) + quoted)))


def about6(kind, quoted, code=0, source=ROUTER["6"], kinds=()):
    """An ICMPv6 error to the VIP."""
    message = icmpv6(source, VIP["6"], kind, code, struct.pack(">I", 1400) + quoted)
    return ethernet(ipv6(source, VIP["6"], *chain(kinds, ICMPV6, message)))


def sent4(port=40000, protocol=TCP, source=VIP["4"], **options):
    """What a backend sent to the client over IPv4."""
    build = tcp if protocol == TCP else udp
    return ipv4(source, CLIENT["4"], protocol, build(source, CLIENT["4"], 443, port), **options)


def sent6(port=40000, kinds=(), source=VIP["6"]):
    """What a backend sent to the client over IPv6."""
    return ipv6(source, CLIENT["6"], *chain(kinds, TCP, tcp(source, CLIENT["6"], 443, port)))


def errors(built):
    """To the owner of the flow that they are about."""
    owner = lambda build: packet.walk(built, build).backend
    four = owner(ethernet(ipv4(CLIENT["4"], VIP["4"], TCP, tcp(CLIENT["4"], VIP["4"], 40000, 443))))
    six = owner(ethernet(ipv6(CLIENT["6"], VIP["6"], TCP, tcp(CLIENT["6"], VIP["6"], 40000, 443))))
    return [
        ("Fragmentation needed, 28 bytes quoted, goes to the flow's node.", about4(3, sent4()[:28], 4), f"tx {four}"),
        ("All of the packet quoted.", about4(3, sent4(), 1), f"tx {four}"),
        ("Time exceeded.", about4(11, sent4()[:28]), f"tx {four}"),
        ("Parameter problem.", about4(12, sent4()[:28]), f"tx {four}"),
        ("The quotation has IPv4 options.", about4(3, sent4(options=bytes([1] * 12))[:40]), f"tx {four}"),
        ("Two bytes of each port are enough.", about4(3, sent4()[:24]), f"tx {four}"),
        ("From the client itself.", about4(3, sent4()[:28], 3, source=CLIENT["4"]), f"tx {four}"),
        ("About a datagram.", about4(3, sent4(protocol=UDP)[:28], 3), "tx"),
        ("Packet too big over IPv6.", about6(2, sent6()), f"tx {six}"),
        ("Unreachable over IPv6, 48 bytes quoted.", about6(1, sent6()[:48]), f"tx {six}"),
        ("Time exceeded over IPv6, behind options.", about6(3, sent6()[:48], kinds=[60]), f"tx {six}"),
        ("Parameter problem over IPv6; the quotation has extension headers.", about6(4, sent6(kinds=[0, 60])), f"tx {six}"),
        ("About the first fragment of a packet.", about6(2, sent6(kinds=[fragment_header(0, True)])), f"tx {six}"),
        ("About a later fragment: no ports are quoted.", about6(2, sent6(kinds=[fragment_header(3, False)])), "drop fragment"),
        ("About a later fragment over IPv4.", about4(11, sent4(fragment=0x00B9)[:28]), "drop fragment"),
        ("About what another address sent.", about4(3, sent4(source="198.51.100.11")[:28]), "drop no-service"),
        ("About an ICMP message.", about4(3, ipv4(VIP["4"], CLIENT["4"], ICMP, icmp(0))), "drop no-service"),
        ("About a port that no service has.", about4(3, ipv4(VIP["4"], CLIENT["4"], TCP, tcp(VIP["4"], CLIENT["4"], 9, 40000))), "drop no-service"),
        ("The quotation ends inside the ports.", about4(3, sent4()[:23]), "drop truncated"),
        ("The quotation ends inside the IPv4 header.", about4(3, sent4()[:19]), "drop truncated"),
        ("The quotation ends inside the IPv6 header, and padding follows.", about6(2, sent6()[:39]) + bytes(40), "drop truncated"),
        ("The quotation is IPv6 in an IPv4 error.", about4(3, sent6()), "drop no-service"),
        ("The quotation's header is shorter than one is.", about4(3, b"\x44" + sent4()[1:28]), "drop no-service"),
        ("The quotation has seven extension headers.", about6(2, sent6(kinds=[60] * 7)), "drop too-many-headers"),
    ]  # fmt: skip


def pieces4(datagram, size, identification, source=CLIENT["4"], to=VIP["4"]):
    """The fragments of an IPv4 packet of this datagram."""
    out = []
    for at in range(0, len(datagram), size):
        more = at + size < len(datagram)
        whole = bytearray(ipv4(source, to, UDP, datagram[at : at + size], fragment=at // 8 | (0x2000 if more else 0)))
        whole[4:6] = struct.pack(">H", identification)
        out.append(ethernet(bytes(whole)))
    return out


def pieces6(datagram, size, identification, source=CLIENT["6"], to=VIP["6"]):
    """The fragments of an IPv6 packet of this datagram."""
    out = []
    for at in range(0, len(datagram), size):
        header = struct.pack(">xHI", at | (at + size < len(datagram)), identification)
        out.append(ethernet(ipv6(source, to, *chain([(44, header)], UDP, datagram[at : at + size]))))
    return out


def fragments():
    """The first, and by its ports the others."""
    data = bytes(range(256)) * 10
    four = pieces4(udp(CLIENT["4"], VIP["4"], 41000, 443, data), 1200, 0xBEEF)
    six = pieces6(udp(CLIENT["6"], VIP["6"], 41000, 443, data), 1208, 0xDEADBEEF)
    big = pieces6(udp(CLIENT["6"], VIP["6"], 41001, 443, data * 2), 1440, 5)
    games4 = pieces4(udp(CLIENT["4"], GAMES["4"], 41000, 443, data), 1200, 7, to=GAMES["4"])
    games6 = pieces6(udp(CLIENT["6"], GAMES["6"], 41000, 443, data), 1208, 7, to=GAMES["6"])
    cut = ethernet(ipv4(CLIENT["4"], GAMES["4"], TCP, data[:64], fragment=0x00B9))
    odd = ethernet(ipv4(CLIENT["4"], RANGED, UDP | 0x80, data[:64], fragment=0x00B9))
    other = pieces4(udp("192.0.2.78", VIP["4"], 41000, 443, data), 1200, 0xBEEF, source="192.0.2.78")
    return [
        ("The middle of an IPv4 packet before its first part.", four[1], "drop fragment"),
        ("The first part of an IPv4 packet.", four[0], "tx"),
        ("Its middle follows it.", four[1], "tx"),
        ("Its end follows it.", four[2], "tx"),
        ("The end of a packet of the same identification, from another client.", other[2], "drop fragment"),
        ("The end of an IPv6 packet before its first part.", six[2], "drop fragment"),
        ("The first part of an IPv6 packet.", six[0], "tx"),
        ("Its middle.", six[1], "tx"),
        ("Its end.", six[2], "tx"),
        ("The end of a packet to a service of 3-tuples, whose first part was not seen.", games4[2], "tx"),
        ("Its first part goes where it went.", games4[0], "tx"),
        ("The middle of an IPv6 packet to a service of 3-tuples.", games6[1], "tx"),
        ("The end of a TCP packet to that VIP, where no service takes TCP.", cut, "drop fragment"),
        ("The end of a packet whose protocol's number is that of a key of ranges.", odd, "drop fragment"),
        ("A first part over IPv6 that does not fit: its sender is told.", big[0], "tx too-big-reported"),
        ("A later part that does not fit: he was told.", big[1], "drop too-big"),
    ]  # fmt: skip


def lengths(built):
    """What does not fit, in other shapes."""
    whole = sized4("198.51.100.40", 443, 1481, 40000)
    tagged = whole[:12] + bytes.fromhex("88a80005 81000064") + whole[12:]
    may_cut = bytearray(whole)
    may_cut[20:22] = b"\0\0"
    long = ipv4(ROUTER["4"], VIP["4"], ICMP, icmp(3, 4, struct.pack(">HH", 0, 1400) + sent4() + bytes(1430)))
    return [
        ("What does not fit, in two tags, which stay.", tagged, "tx too-big-reported"),
        ("IPv4 that may be cut: nobody is told.", bytes(may_cut), "drop too-big"),
        ("An error that does not fit is no reason for another.", ethernet(long), "drop too-big"),
    ]  # fmt: skip


def cases(built):
    """All of them: (sentence, frame, expectation)."""
    return echoes() + errors(built) + fragments() + lengths(built)
