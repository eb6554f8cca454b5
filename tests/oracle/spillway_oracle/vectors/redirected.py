"""Frames between clusters: to another one's gateways, and from them."""

from ..craft import ACK, TCP, UDP, ethernet, fragment_header, icmp, ipv4, ipv6, tcp, udp
from ..craft import chain as extended
from .encapsulated import CLIENT, EU1, EU2, search, sized4, tcp4, tcp6, to_backend, udp4, udp6

WEB = {"4": "198.51.100.96", "6": "2001:db8::96"}
FAR, FAR_V6 = "203.0.113.131", "2001:db8:e::131"
OWN = {"4": "192.0.2.1", "6": "2001:db8::1"}
GATEWAY = {"4": "203.0.113.130", "6": "2001:db8:e::13f"}
STRANGER = {"4": "203.0.113.136", "6": "2001:db8:e::140"}
HEADER = bytes((1, 0, 0, 4))


def from_gateway(frame, family="4", source=GATEWAY, header=HEADER, port=6080, destination=OWN, tos=0, tags=(), words=1, **options):
    """The packet of a frame, as another cluster's gateway sends it on."""
    inner = frame[14:]
    gue = bytes((words, 4 if inner[0] >> 4 == 4 else 41, 0, 0)) + header
    ends = source[family], destination[family]
    datagram = udp(*ends, 50000, port, gue + inner)
    datagram = datagram[:6] + bytes(2) + datagram[8:]
    make = ipv4 if family == "4" else ipv6
    return ethernet(make(*ends, UDP, datagram, tos=tos, **options), tags=tags)


def sent(built):
    """From here to the other cluster."""
    pick = lambda build, backend: to_backend(built, build, backend)
    sized = lambda total: to_backend(built, lambda port: sized4(WEB["4"], 443, total, port), FAR)
    return [
        ("IPv4 to another cluster's gateway: one redirect is left.", pick(tcp4(WEB["4"]), FAR), f"tx {FAR}"),
        ("IPv6 to another cluster's gateway.", pick(tcp6(WEB["6"]), FAR), f"tx {FAR}"),
        ("IPv4 to a gateway over IPv6.", pick(udp4(WEB["4"], 443), FAR_V6), f"tx {FAR_V6}"),
        ("IPv6 to a gateway over IPv6.", pick(udp6(WEB["6"], 443), FAR_V6), f"tx {FAR_V6}"),
        ("1,464 bytes and 36 of outer headers are exactly 1,500.", sized(1464), f"tx {FAR}"),
    ]  # fmt: skip


def taken(built):
    """From the other cluster to a node of this one."""
    there = to_backend(built, tcp4(WEB["4"]), FAR)
    there6 = to_backend(built, tcp6(WEB["6"]), FAR)
    here = lambda build, backend: to_backend(built, lambda port: from_gateway(build(port)), backend)
    local = to_backend(built, lambda port: from_gateway(tcp4("198.51.100.60")(port)), "192.0.2.1")
    to_local6 = lambda tos: lambda port: from_gateway(tcp6("2001:db8::60")(port), "6", tos=tos, tags=((0x8100, 7),))
    local6 = to_backend(built, to_local6(0), "192.0.2.1")
    congested = search(built, to_local6(3), lambda outcome: outcome.reason == "bad-redirect")
    marked = search(built, lambda port: from_gateway(tcp4("198.51.100.60", tos=2)(port), tos=3), lambda outcome: outcome.backend == "192.0.2.1")
    return [
        ("What the tables would send to the other cluster goes to a node of this one.", from_gateway(there), "tx"),
        ("The same over IPv6 outside.", from_gateway(there, "6"), "tx"),
        ("IPv6 inside IPv4.", from_gateway(there6), "tx"),
        ("IPv6 inside IPv6.", from_gateway(there6, "6"), "tx"),
        ("Two VLAN tags in, none out.", from_gateway(there, tags=((0x88A8, 0x64), (0x8100, 0x65))), "tx"),
        ("An outer header with options.", from_gateway(there, options=bytes.fromhex("0101010194040000")), "tx"),
        ("Padding behind it stays.", from_gateway(there) + bytes(6), "tx"),
        ("The lighter node of this cluster.", here(tcp4(WEB["4"]), EU1), f"tx {EU1}"),
        ("The heavier node of this cluster.", here(tcp4(WEB["4"]), EU2), f"tx {EU2}"),
        ("Congestion that was marked on the way is marked further.", from_gateway(to_backend(built, tcp4(WEB["4"], tos=0xBA), FAR), tos=3), "tx"),
        ("To this machine: the outer headers come off.", local, "pass local"),
        ("To this machine, with a tag: that stays.", local6, "pass local"),
        ("To this machine: a mark drops what knows no marks.", congested, "drop bad-redirect"),
        ("To this machine: the mark is told.", marked, "pass local"),
        ("A service without a pool in this cluster.", from_gateway(udp4("198.51.100.10", 443)(40000)), "drop no-backend"),
        ("A QUIC connection id is not asked.", from_gateway(udp4("198.51.100.90", 443, data=bytes.fromhex("400a01") + bytes(17))(40000)), "tx"),
        ("The access policy is asked here too.", from_gateway(tcp4("198.51.100.92", source="9.9.9.9")(40000)), "tx"),
        ("And denies.", from_gateway(tcp4("198.51.100.92", source="203.0.113.128")(40000)), "drop denied"),
    ]  # fmt: skip


def unusual(built):
    """What has no ports, and what does not fit."""
    segment = tcp(CLIENT["4"], WEB["4"], 40000, 443, ACK, bytes(60))
    first = ethernet(ipv4(CLIENT["4"], WEB["4"], TCP, segment[:40], fragment=0x2000))
    later = ethernet(ipv4(CLIENT["4"], WEB["4"], TCP, segment[40:], fragment=5))
    head6, body6 = extended([fragment_header(0, True)], TCP, tcp(CLIENT["6"], WEB["6"], 40000, 443, ACK, bytes(20)))
    quoted = ipv4(WEB["4"], CLIENT["4"], TCP, tcp(WEB["4"], CLIENT["4"], 443, 40000)[:8], length=1500)
    error = ethernet(ipv4("192.0.2.254", WEB["4"], 1, icmp(3, 4, bytes(4) + quoted)))
    echo = ethernet(ipv4(CLIENT["4"], WEB["4"], 1, icmp(8, 0, bytes(4))))
    return [
        ("The first fragment of a packet.", from_gateway(first), "tx"),
        ("The other one follows it.", from_gateway(later), "tx"),
        ("A fragment of IPv6.", from_gateway(ethernet(ipv6(CLIENT["6"], WEB["6"], head6, body6))), "tx"),
        ("An ICMP error goes where its flow goes.", from_gateway(error), "tx"),
        ("Echo requests are answered by the first gateway; none is redirected.", from_gateway(echo), "drop bad-redirect"),
        ("What does not fit the path to the node is answered to its client.", from_gateway(sized4(WEB["4"], 443, 1481, 40000)), "tx too-big-reported"),
    ]  # fmt: skip


def refused(built):
    """What is not taken."""
    web = tcp4(WEB["4"])(40000)
    whole = from_gateway(web)
    nested = from_gateway(whole)
    return [
        ("From an address that is no gateway's.", from_gateway(web, source=STRANGER), "drop unknown-gateway"),
        ("The same over IPv6.", from_gateway(web, "6", source=STRANGER), "drop unknown-gateway"),
        ("Without a hop count it is the kernel's, whoever sent it.", from_gateway(web, header=b"", words=0), "pass not-ours"),
        ("With addresses to ask as well.", from_gateway(web, header=bytes((1, 1, 0, 4, 10, 0, 0, 1)), words=2), "pass not-ours"),
        ("No redirect left.", from_gateway(web, header=bytes((1, 0, 0, 0))), "pass not-ours"),
        ("Another version.", from_gateway(web, header=bytes((2, 0, 0, 4))), "pass not-ours"),
        ("To another port.", from_gateway(web, port=6081), "pass not-ours"),
        ("To another address.", from_gateway(web, destination={"4": "192.0.2.2"}), "pass not-ours"),
        ("A fragment of the outer packet.", from_gateway(web, fragment=0x2000), "pass not-ours"),
        ("For what is no VIP here.", from_gateway(tcp4("198.51.100.200")(40000)), "drop bad-redirect"),
        ("A VIP, and no service.", from_gateway(tcp4(WEB["4"], 444)(40000)), "drop no-service"),
        ("Redirected twice.", nested, "drop bad-redirect"),
        ("Longer than what it is in.", from_gateway(tcp4(WEB["4"], length=60)(40000)), "drop bad-redirect"),
        ("Shorter than its headers.", from_gateway(tcp4(WEB["4"], length=16)(40000)), "drop truncated"),
        ("Cut within the packet in it.", whole[:60], "drop bad-redirect"),
        ("Cut before it.", whole[:48], "pass not-ours"),
    ]  # fmt: skip


def cases(built):
    """All of them: (sentence, frame, expectation)."""
    return sent(built) + taken(built) + unusual(built) + refused(built)
