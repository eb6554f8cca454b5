"""Frames of clusters whose packets carry a keyed tag."""

from .. import packet
from ..craft import ACK
from .chained import CHAT, carried, segment
from .encapsulated import search, sized4, tcp4, tcp6, to_backend, udp4, udp6

VIP = {"4": "198.51.100.83", "6": "2001:db8::83"}
NODE, NODE_V6 = "203.0.113.83", "2001:db8:e::83"


def cases(built):
    """All of them: (sentence, frame, expectation)."""
    pick = lambda build, backend: to_backend(built, build, backend)

    def over(total, backend):
        # An answer names no backend: the flow whose shorter packet goes there.
        goes = lambda port: packet.walk(built, sized4(VIP["4"], 443, total - 1, port)).backend == backend
        return sized4(VIP["4"], 443, total, next(filter(goes, range(40000, 44000))))

    sizes = [
        case
        for backend, most in ((NODE, 1456), (NODE_V6, 1436))
        for case in (
            (f"Tagged, {most} bytes to {backend} are exactly 1,500.", pick(lambda p: sized4(VIP["4"], 443, most, p), backend), f"tx {backend}"),
            (f"Tagged, {most + 1} bytes to {backend} are one too many.", over(most + 1, backend), "tx too-big-reported"),
        )
    ]
    chained = lambda count: search(
        built, segment(CHAT["4"], ACK), lambda outcome: outcome.cluster == "gue-2" and carried(outcome) == count
    )
    return [
        ("A tag of an IPv4 header.", pick(tcp4(VIP["4"]), NODE), f"tx {NODE}"),
        ("A tag of an IPv6 header.", pick(tcp6(VIP["6"]), NODE), f"tx {NODE}"),
        ("A tag behind IPv6, on VLAN 300.", pick(udp4(VIP["4"], 443), NODE_V6), f"tx {NODE_V6}"),
        ("A tag of IPv6 behind IPv6.", pick(udp6(VIP["6"], 443), NODE_V6), f"tx {NODE_V6}"),
        ("DSCP and ECN are of what the tag is about.", pick(tcp4(VIP["4"], tos=0xBB), NODE), f"tx {NODE}"),
        ("A tag before another's address.", chained(1), "tx"),
        ("A tag before two addresses.", chained(2), "tx"),
        ("A tag before as many as there can be.", chained(3), "tx"),
        *sizes,
    ]  # fmt: skip
