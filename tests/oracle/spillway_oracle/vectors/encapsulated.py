"""Frames that reach selection: those that leave, and those that selection itself stops."""

from .. import packet
from ..craft import ACK, TCP, UDP, authentication, chain, ethernet, fragment_header, ipv4, ipv6, tcp, udp

CLIENT = {"4": "192.0.2.77", "6": "2001:db8:c::77"}
VIP = {"4": "198.51.100.10", "6": "2001:db8::10"}
EU1, EU2, US1, US2 = "203.0.113.11", "203.0.113.12", "203.0.113.21", "203.0.113.22"
EU1_V6, EU2_V6 = "2001:db8:e::11", "2001:db8:e::12"
GUE, GUE_V6 = "203.0.113.81", "2001:db8:e::81"
VX, VX_V6 = "203.0.113.82", "2001:db8:e::82"


def search(built, build, wanted, ports=range(40000, 44000)):
    """`build(port)` for the first source port whose outcome is `wanted`."""
    for port in ports:
        frame = build(port)
        if wanted(packet.walk(built, frame)):
            return frame
    raise LookupError("no source port leads there")


def to_backend(built, build, backend):
    """The first flow that is selected onto `backend`."""
    return search(built, build, lambda outcome: outcome.backend == backend)


def tcp4(vip, port=443, source=CLIENT["4"], **options):
    """A builder of TCP over IPv4 by source port; `options` go to the IPv4 header."""
    return lambda sport: ethernet(ipv4(source, vip, TCP, tcp(source, vip, sport, port), **options))


def tcp6(vip, port=443, source=CLIENT["6"], **options):
    """A builder of TCP over IPv6 by source port."""
    return lambda sport: ethernet(ipv6(source, vip, TCP, tcp(source, vip, sport, port), **options))


def udp4(vip, port, source=CLIENT["4"], data=b"query"):
    """A builder of UDP over IPv4 by source port."""
    return lambda sport: ethernet(ipv4(source, vip, UDP, udp(source, vip, sport, port, data)))


def udp6(vip, port, source=CLIENT["6"], data=b"query"):
    """A builder of UDP over IPv6 by source port."""
    return lambda sport: ethernet(ipv6(source, vip, UDP, udp(source, vip, sport, port, data)))


def extended(kinds, data=b""):
    """TCP to the IPv6 VIP behind a chain of extension headers."""
    segment = tcp(CLIENT["6"], VIP["6"], 40000, 443, ACK, data)
    return ethernet(ipv6(CLIENT["6"], VIP["6"], *chain(kinds, TCP, segment)))


def sized4(vip, port, total, source_port):
    """A TCP packet over IPv4 of `total` bytes."""
    segment = tcp(CLIENT["4"], vip, source_port, port, ACK, bytes(total - 40))
    return ethernet(ipv4(CLIENT["4"], vip, TCP, segment))


def families(built):
    """The four combinations, and the egress's VLAN."""
    pick = lambda build, backend: to_backend(built, build, backend)
    return [
        ("IPv4 TCP SYN leaves in IPv4 for the first node of eu-1.", pick(tcp4(VIP["4"]), EU1), f"tx {EU1}"),
        ("IPv4 TCP SYN leaves in IPv4 for the heavier node of eu-1.", pick(tcp4(VIP["4"]), EU2), f"tx {EU2}"),
        ("IPv4 TCP SYN goes to the other cluster.", pick(tcp4(VIP["4"]), US1), f"tx {US1}"),
        ("The next hop is on VLAN 200: the frame leaves tagged.", pick(tcp4(VIP["4"]), US2), f"tx {US2}"),
        ("IPv6 TCP SYN leaves in IPv4.", pick(tcp6(VIP["6"]), EU1), f"tx {EU1}"),
        ("IPv6 TCP SYN to the other cluster, tagged.", pick(tcp6(VIP["6"]), US2), f"tx {US2}"),
        ("IPv4 UDP leaves in IPv6, flow label from the hash.", udp4("198.51.100.53", 53)(40000), "tx"),
        ("IPv6 UDP leaves in IPv6, tagged.", pick(lambda p: udp6("2001:db8::53", 53, f"2001:db8:{p:x}::1")(53000), EU2_V6), f"tx {EU2_V6}"),
        ("IPv6 UDP leaves in IPv6, untagged.", pick(lambda p: udp6("2001:db8::53", 53, f"2001:db8:{p:x}::1")(53000), EU1_V6), f"tx {EU1_V6}"),
        ("A second port of the same service.", tcp4(VIP["4"], 80)(40000), "tx"),
        ("The same address and port over UDP is another service.", udp4(VIP["4"], 443)(40000), "tx"),
        ("UDP of eight bytes, no data.", udp6(VIP["6"], 443, data=b"")(40000), "tx"),
        ("A pool of mixed families: IPv4 in IPv6.", pick(tcp4("198.51.100.60"), EU1_V6), f"tx {EU1_V6}"),
        ("A pool of mixed families: IPv6 in IPv6.", pick(tcp6("2001:db8::60"), EU1_V6), f"tx {EU1_V6}"),
        ("A pool of mixed families: IPv6 in IPv4.", pick(tcp6("2001:db8::60"), EU1), f"tx {EU1}"),
    ]  # fmt: skip


def headers_in(built):
    """What the inner headers may look like, and what the outer takes from them."""
    tagged = lambda *tags: ethernet(ipv4(CLIENT["4"], VIP["4"], TCP, tcp(CLIENT["4"], VIP["4"], 40000, 443)), tags=tags)
    options = bytes.fromhex("0101010194040000")
    # All sixty bytes: no-operation, then end of options.
    full = bytes([1] * 39 + [0])
    return [
        ("One VLAN tag in, none out.", tagged((0x8100, 0x0064)), "tx"),
        ("Two VLAN tags in (802.1ad over 802.1Q), none out.", tagged((0x88A8, 0x0064), (0x8100, 0x2065)), "tx"),
        ("A priority tag (VLAN 0).", tagged((0x8100, 0xE000)), "tx"),
        ("DSCP EF and ECN CE of IPv4 are copied.", tcp4(VIP["4"], tos=0xBB)(40000), "tx"),
        ("The traffic class of IPv6 is copied to IPv4, the inner flow label is not looked at.", tcp6(VIP["6"], tos=0xBB, label=0xABCDE)(40000), "tx"),
        ("The traffic class of IPv6 is copied to IPv6.", to_backend(built, tcp6("2001:db8::60", tos=0x2D, label=0xABCDE), EU1_V6), "tx"),
        ("DSCP and ECN of IPv4 are copied to IPv6.", to_backend(built, tcp4("198.51.100.60", tos=0x49), EU1_V6), "tx"),
        ("IPv4 with eight bytes of options.", tcp4(VIP["4"], options=options)(40000), "tx"),
        ("IPv4 with forty bytes of options.", tcp4(VIP["4"], options=full)(40000), "tx"),
        ("A wrong IPv4 header checksum is not verified.", tcp4(VIP["4"], check=0xDEAD)(40000), "tx"),
        ("Neither DF nor MF: a whole packet.", tcp4(VIP["4"], fragment=0)(40000), "tx"),
        ("The reserved flag alone does not make a fragment.", tcp4(VIP["4"], fragment=0x8000)(40000), "tx"),
        ("Hop-by-hop options before TCP.", extended([0]), "tx"),
        ("Six extension headers: hop-by-hop, options, routing, atomic fragment, authentication, options.", extended([0, 60, (43, bytes([0, 0, 0]) + bytes(4)), fragment_header(0, False), authentication(4), 60]), "tx"),
        ("A mobility header is skipped like options.", extended([(135, bytes([1]) + bytes(14))]), "tx"),
        ("Destination options of 24 bytes.", extended([(60, bytes([2, 1, 20]) + bytes(20))]), "tx"),
        ("A fragment header with offset 0 and M clear is no fragment.", extended([fragment_header(0, False)]), "tx"),
        ("Ethernet padding behind a short IPv4 packet stays, and the lengths ignore it.", tcp4(VIP["4"])(40000) + bytes(6), "tx"),
        ("Trailing bytes behind an IPv6 packet stay.", tcp6(VIP["6"])(40000) + b"\xaa\xbb\xcc", "tx"),
    ]  # fmt: skip


def selection(built):
    """Affinity, precedence, states, fallback."""
    fell = lambda step: lambda outcome: outcome.fallback == step
    return [
        ("client: another port of the same client, same backend (first).", udp4("198.51.100.53", 53)(1024), "tx"),
        ("client: another protocol of the same client, same backend (second).", tcp4("198.51.100.53", 53)(65535), "tx"),
        ("client-prefix: an address of a /24 (first).", tcp4("198.51.100.20", source="203.0.113.130")(40000), "tx"),
        ("client-prefix: another address of that /24, same rows (second).", tcp4("198.51.100.20", source="203.0.113.254")(50000), "tx"),
        ("client-prefix: an address of an IPv6 /56 (first).", tcp6("2001:db8::20", source="2001:db8:c:ab01::1")(40000), "tx"),
        ("client-prefix: another address of that /56, same rows (second).", tcp6("2001:db8::20", source="2001:db8:c:abff::2")(50000), "tx"),
        ("three-tuple: a flow to any port (first).", udp4("198.51.100.30", 27015)(40000), "tx"),
        ("three-tuple: other ports, same rows (second).", udp4("198.51.100.30", 1)(9), "tx"),
        ("three-tuple over IPv6, destination port 0.", udp6("2001:db8::30", 0)(40000), "tx"),
        ("An any-port service takes a port that nobody names.", tcp4("198.51.100.40", 8443)(40000), "tx"),
        ("A service that names the port goes before the any-port one.", tcp4("198.51.100.40", 22)(40000), "tx"),
        ("A table of bounded HRW: a row of the lightest node.", to_backend(built, tcp4("198.51.100.75"), "203.0.113.91"), "tx 203.0.113.91"),
        ("A table of bounded HRW: a row of the node over IPv6.", to_backend(built, tcp4("198.51.100.75"), "2001:db8:e::91"), "tx 2001:db8:e::91"),
        ("The second pool has weight 0: the first takes all.", tcp4("198.51.100.74")(40000), "tx"),
        ("Only the draining node is in the table (one has weight 0, one is down).", tcp4("198.51.100.72")(40000), "tx 203.0.113.52"),
        ("All nodes are down: the pool fails open.", tcp4("198.51.100.73")(40000), "tx"),
        ("The row's owner serves: no fallback.", search(built, tcp4("198.51.100.70"), fell(0)), "tx 203.0.113.34"),
        ("The owner does not serve: the first fallback.", search(built, tcp4("198.51.100.70"), fell(1)), "tx 203.0.113.34"),
        ("The first fallback does not serve either: the second.", search(built, tcp4("198.51.100.70"), fell(2)), "tx 203.0.113.34"),
        ("No fallback serves: the pool's last serving backend.", search(built, tcp4("198.51.100.70"), fell(3)), "tx 203.0.113.34"),
        ("Nobody in the pool serves.", tcp4("198.51.100.71")(40000), "drop no-backend"),
        ("The selected backend is this node: up the stack as it came.", to_backend(built, tcp4("198.51.100.60"), "192.0.2.1"), "pass local"),
        ("IPv6 for this node.", to_backend(built, tcp6("2001:db8::60"), "192.0.2.1"), "pass local"),
    ]  # fmt: skip


def sizes(built):
    """The MTU, to the byte."""
    v6 = lambda total: ethernet(ipv6(CLIENT["6"], VIP["6"], UDP, udp(CLIENT["6"], VIP["6"], 40000, 443, bytes(total - 48))))
    local = to_backend(built, lambda p: sized4("198.51.100.60", 443, 1500, p), "192.0.2.1")
    return [
        ("1,480 + 20 bytes are exactly eu-1's 1,500.", sized4("198.51.100.40", 443, 1480, 40000), "tx"),
        ("1,481 + 20 bytes are one too many.", sized4("198.51.100.40", 443, 1481, 40000), "tx too-big-reported"),
        ("1,460 + 40 bytes fit IPv6.", sized4("198.51.100.53", 53, 1460, 40000), "tx"),
        ("1,461 + 40 bytes do not fit IPv6.", sized4("198.51.100.53", 53, 1461, 40000), "tx too-big-reported"),
        ("IPv6 of 1,380 + 20 bytes fits us-1's 1,400.", v6(1380), "tx"),
        ("IPv6 of 1,381 + 20 bytes does not.", v6(1381), "tx too-big-reported"),
        ("Padding does not count towards the MTU.", sized4("198.51.100.40", 443, 1480, 40000) + bytes(30), "tx"),
        ("A packet for this node is not encapsulated, so it cannot be too big.", local, "pass local"),
    ]


def tunnels(built):
    """GUE and VXLAN over both families, with packets of both."""
    pick = lambda build, backend: to_backend(built, build, backend)
    far = lambda build: search(built, build, lambda outcome: outcome.cluster == "vx-2")
    gue4, gue6, vx4, vx6 = "198.51.100.80", "2001:db8::80", "198.51.100.81", "2001:db8::81"
    return [
        ("GUE: IPv4 in UDP over IPv4.", pick(tcp4(gue4), GUE), f"tx {GUE}"),
        ("GUE: IPv6 in UDP over IPv4.", pick(tcp6(gue6), GUE), f"tx {GUE}"),
        ("GUE: IPv4 in UDP over IPv6, on VLAN 300.", pick(udp4(gue4, 443), GUE_V6), f"tx {GUE_V6}"),
        ("GUE: IPv6 in UDP over IPv6, on VLAN 300.", pick(udp6(gue6, 443), GUE_V6), f"tx {GUE_V6}"),
        ("GUE: DSCP and ECN are copied.", pick(tcp4(gue4, tos=0xBB), GUE), f"tx {GUE}"),
        ("GUE: the traffic class is copied.", pick(tcp6(gue6, tos=0x2D, label=0xABCDE), GUE_V6), f"tx {GUE_V6}"),
        ("GUE: padding stays, and no length counts it.", pick(tcp4(gue4), GUE) + bytes(6), f"tx {GUE}"),
        ("VXLAN: IPv4 over IPv4, on VLAN 200.", pick(tcp4(vx4), VX), f"tx {VX}"),
        ("VXLAN: IPv6 over IPv4, on VLAN 200.", pick(tcp6(vx6), VX), f"tx {VX}"),
        ("VXLAN: IPv4 over IPv6.", pick(udp4(vx4, 443), VX_V6), f"tx {VX_V6}"),
        ("VXLAN: IPv6 over IPv6.", pick(udp6(vx6, 443), VX_V6), f"tx {VX_V6}"),
        ("VXLAN: DSCP and ECN are copied.", pick(tcp4(vx4, tos=0xBB), VX_V6), f"tx {VX_V6}"),
        ("VXLAN: another VNI, port and MAC, to an address that IP in IP goes to as well.", far(tcp4("198.51.100.82")), f"tx {EU1}"),
        ("The same over IPv6.", far(tcp6("2001:db8::82")), f"tx {EU1}"),
        ("Beside them IP in IP.", search(built, tcp4("198.51.100.82"), lambda outcome: outcome.cluster == "eu-1"), "tx"),
    ]  # fmt: skip


def tunnel_sizes(built):
    """The MTU, to the byte: 32 and 52 bytes of GUE, 50 and 70 of VXLAN."""
    at = lambda vip, total, backend: to_backend(built, lambda p: sized4(vip, 443, total, p), backend)
    ports = range(40000, 44000)

    def over(vip, total, backend):
        # An answer names no backend: the flow whose shorter packet goes there.
        goes = lambda port: packet.walk(built, sized4(vip, 443, total - 1, port)).backend == backend
        return sized4(vip, 443, total, next(port for port in ports if goes(port)))

    limits = ((GUE, "198.51.100.80", 1468), (GUE_V6, "198.51.100.80", 1448), (VX, "198.51.100.81", 1450), (VX_V6, "198.51.100.81", 1430))
    return [
        case
        for backend, vip, most in limits
        for case in (
            (f"{most} bytes to {backend} are exactly 1,500.", at(vip, most, backend), f"tx {backend}"),
            (f"{most + 1} bytes to {backend} are one too many.", over(vip, most + 1, backend), "tx too-big-reported"),
        )
    ]


def cases(built):
    """All of them: (sentence, frame, expectation)."""
    return families(built) + headers_in(built) + selection(built) + sizes(built) + tunnels(built) + tunnel_sizes(built)
