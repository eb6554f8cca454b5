"""Frames that are stopped, or let past, before a backend is selected."""

from ..craft import ICMP, ICMPV6, TCP, UDP, chain, ethernet, fragment_header, icmp, ipv4, ipv6, tcp, udp
from .encapsulated import CLIENT, VIP, extended, tcp4, tcp6, udp4

OTHER = {"4": "192.0.2.200", "6": "2001:db8:f::1"}
ARP = bytes.fromhex("0001080006040001" "00005e0053fe" "c000024d" "000000000000" "c633640a")


def bare4(protocol, payload, **options):
    """Any IPv4 payload to the VIP."""
    return ethernet(ipv4(CLIENT["4"], VIP["4"], protocol, payload, **options))


def bare6(protocol, payload, **options):
    """Any IPv6 payload to the VIP."""
    return ethernet(ipv6(CLIENT["6"], VIP["6"], protocol, payload, **options))


def passed():
    """Not ours, or never ours to touch."""
    segment = tcp(CLIENT["4"], VIP["4"], 40000, 443)
    packet = ipv4(CLIENT["4"], VIP["4"], TCP, segment)
    return [
        ("ARP for the VIP.", ethernet(ARP, 0x0806), "pass not-ours"),
        ("ARP in a VLAN tag.", ethernet(ARP, 0x0806, [(0x8100, 7)]), "pass not-ours"),
        ("IPv4 to another address.", tcp4(OTHER["4"])(40000), "pass not-ours"),
        ("IPv6 to another address.", tcp6(OTHER["6"])(40000), "pass not-ours"),
        ("From a VIP, not to one.", tcp4(OTHER["4"], source=VIP["4"])(443), "pass not-ours"),
        ("A fragment to another address.", tcp4(OTHER["4"], fragment=0x2000)(40000), "pass not-ours"),
        ("To another address, with a length beyond the frame.", tcp4(OTHER["4"], length=1000)(40000), "pass not-ours"),
        ("IPv6 to another address, with a length beyond the frame.", tcp6(OTHER["6"], length=1000)(40000), "pass not-ours"),
        ("Neighbour solicitation for a VIP.", bare6(ICMPV6, icmp(135, body=bytes(20))), "pass neighbour-discovery"),
        ("Router solicitation sent to a VIP.", bare6(ICMPV6, icmp(133)), "pass neighbour-discovery"),
        ("Redirect sent to a VIP.", bare6(ICMPV6, icmp(137, body=bytes(36))), "pass neighbour-discovery"),
        ("Another EtherType (LLDP).", ethernet(bytes(46), 0x88CC), "pass not-ours"),
        ("Three VLAN tags are one more than is read.", ethernet(packet, tags=[(0x88A8, 1), (0x8100, 2), (0x8100, 3)]), "pass not-ours"),
        ("An IPv6 packet under the IPv4 EtherType.", ethernet(ipv6(CLIENT["6"], VIP["6"], TCP, segment), 0x0800), "pass not-ours"),
        ("A frame cut inside the Ethernet header.", ethernet(packet)[:13], "pass not-ours"),
        ("A frame cut inside a VLAN tag.", ethernet(packet, tags=[(0x8100, 1)])[:17], "pass not-ours"),
        ("A frame cut before the end of the IPv4 destination.", ethernet(packet)[:33], "pass not-ours"),
        ("A frame cut before the end of the IPv6 destination.", tcp6(VIP["6"])(40000)[:53], "pass not-ours"),
        ("An empty frame.", b"", "pass not-ours"),
    ]  # fmt: skip


def unserved():
    """To a VIP, but nobody's."""
    return [
        ("A VIP, but a port that no service has.", tcp4(VIP["4"], 8080)(40000), "drop no-service"),
        ("An IPv6 VIP, but a port that no service has.", tcp6(VIP["6"], 8080)(40000), "drop no-service"),
        ("The port is served over TCP only.", udp4(VIP["4"], 80)(40000), "drop no-service"),
        ("An any-port UDP service takes no TCP.", tcp4("198.51.100.30", 27015)(40000), "drop no-service"),
        ("An ICMP timestamp request to a VIP.", bare4(ICMP, icmp(13, body=bytes(16))), "drop no-service"),
        ("An ICMP redirect to a VIP.", bare4(ICMP, icmp(5, 1, bytes(32))), "drop no-service"),
        ("An echo request with a code that none has.", bare4(ICMP, icmp(8, 1)), "drop no-service"),
        ("ICMP's number in an IPv6 packet.", bare6(ICMP, icmp(8)), "drop no-service"),
        ("ICMPv6 type 132, below neighbour discovery.", bare6(ICMPV6, icmp(132)), "drop no-service"),
        ("ICMPv6 type 138, above neighbour discovery.", bare6(ICMPV6, icmp(138)), "drop no-service"),
        ("ICMPv6's number in an IPv4 packet is not neighbour discovery.", bare4(ICMPV6, icmp(135)), "drop no-service"),
        ("ICMPv6 without a message; the padding looks like a neighbour's.", bare6(ICMPV6, b"") + bytes([135] * 8), "drop truncated"),
        ("A neighbour's message of three bytes, and padding.", bare6(ICMPV6, bytes([135, 0, 0])) + bytes(8), "drop truncated"),
        ("SCTP to a VIP.", bare4(132, bytes(16)), "drop no-service"),
        ("GRE to a VIP.", bare6(47, bytes(16)), "drop no-service"),
        ("No next header (59).", bare6(59, b""), "drop no-service"),
        ("Seven extension headers are one too many.", extended([60] * 7), "drop too-many-headers"),
        ("A fragment header in seventh place is not read.", extended([60] * 6 + [fragment_header(0, True)]), "drop too-many-headers"),
        ("A seventh header that is not there any more counts as well.", bare6(*chain([60] * 6, 60, b"")), "drop too-many-headers"),
        ("IPv4 with protocol 51: no authentication header is walked there.", bare4(51, bytes(24)), "drop no-service"),
    ]  # fmt: skip


def fragments():
    """Fragments to a VIP that find no flow. Those that do: `unusual.py`."""
    datagram = udp(CLIENT["6"], VIP["6"], 40000, 443, bytes(32))
    piece = lambda offset, more: bare6(*chain([fragment_header(offset, more)], UDP, datagram))
    return [
        ("A later IPv4 fragment (offset 185) whose first was not seen.", tcp4(VIP["4"], fragment=0x00B9)(40000), "drop fragment"),
        ("A middle IPv4 fragment with DF set as well.", tcp4(VIP["4"], fragment=0x6001)(40000), "drop fragment"),
        ("A later IPv6 fragment (offset 1) whose first was not seen.", piece(1, False), "drop fragment"),
        ("Behind the header of a later IPv6 fragment nothing is read.", bare6(*chain([fragment_header(1, True), 60], UDP, b"")), "drop fragment"),
        ("A fragment of an echo request is not answered.", bare4(ICMP, icmp(8), fragment=0x2000), "drop no-service"),
        ("A first fragment of a neighbour's message is not one.", bare6(*chain([fragment_header(0, True)], ICMPV6, icmp(135, body=bytes(20)))), "drop no-service"),
        ("A first fragment to a port that no service has.", bare4(UDP, udp(CLIENT["4"], VIP["4"], 40000, 9), fragment=0x2000), "drop no-service"),
        ("A first fragment that ends inside the TCP header.", bare4(TCP, tcp(CLIENT["4"], VIP["4"], 40000, 443)[:16], fragment=0x2000), "drop truncated"),
        ("A fragment header in second place, first of its packet, six headers in all.", extended([60, fragment_header(0, True), 60, 60, 60, 60]), "tx"),
    ]  # fmt: skip


def truncated():
    """To a VIP, and shorter than its headers claim."""
    cut = lambda frame, by: frame[:-by]
    options = bytes([1] * 8)
    return [
        ("IPv4 total length one beyond the frame.", cut(tcp4(VIP["4"])(40000), 1), "drop truncated"),
        ("IPv6 payload length one beyond the frame.", cut(tcp6(VIP["6"])(40000), 1), "drop truncated"),
        ("IPv4 header length below five words.", tcp4(VIP["4"], words=4)(40000), "drop truncated"),
        ("IPv4 total length below the header length.", tcp4(VIP["4"], length=19)(40000), "drop truncated"),
        ("IPv4 total length ends inside the options.", tcp4(VIP["4"], options=options, length=24)(40000), "drop truncated"),
        ("Options beyond the frame.", tcp4(VIP["4"], words=15, length=60)(40000), "drop truncated"),
        ("TCP of 19 bytes by the total length, though the frame has more.", tcp4(VIP["4"], length=39)(40000), "drop truncated"),
        ("UDP of 7 bytes.", bare4(UDP, udp(CLIENT["4"], VIP["4"], 40000, 443)[:7]), "drop truncated"),
        ("TCP of 19 bytes in IPv6.", tcp6(VIP["6"], length=19)(40000), "drop truncated"),
        ("UDP of 7 bytes in IPv6.", bare6(UDP, udp(CLIENT["6"], VIP["6"], 40000, 443), length=7), "drop truncated"),
        ("IPv6 without any payload.", bare6(TCP, b""), "drop truncated"),
        ("An extension header that ends beyond the payload.", bare6(60, bytes([TCP, 9]) + bytes(30)), "drop truncated"),
        ("An extension header of four bytes.", bare6(0, bytes([TCP, 0, 1, 0])), "drop truncated"),
        ("A fragment header cut short is truncated before it is a fragment.", bare6(44, bytes([UDP, 0, 0, 9])), "drop truncated"),
        ("So it is where padding makes it whole.", bare6(44, bytes([UDP, 0, 0, 9])) + bytes(8), "drop truncated"),
        ("An authentication header that ends beyond the payload.", bare6(51, bytes([TCP, 8]) + bytes(30)), "drop truncated"),
        ("TCP cut short behind six extension headers.", bare6(*chain([60] * 6, TCP, tcp(CLIENT["6"], VIP["6"], 40000, 443)[:15])), "drop truncated"),
        ("A short TCP header to a port that no service has.", bare4(TCP, tcp(CLIENT["4"], VIP["4"], 40000, 9)[:12]), "drop truncated"),
    ]  # fmt: skip


def cases(_built):
    """All of them: (sentence, frame, expectation)."""
    return passed() + unserved() + fragments() + truncated()
