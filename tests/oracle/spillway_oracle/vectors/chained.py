"""Frames of services whose packets carry who had their rows before."""

from .. import flowhash, packet
from ..craft import ACK, SYN, TCP, ethernet, ipv4, packed, tcp
from .encapsulated import CLIENT, search, tcp4, tcp6, udp4, udp6

CHAT = {"4": "198.51.100.94", "6": "2001:db8::94"}
TALK = {"4": "198.51.100.95", "6": "2001:db8::95"}


def segment(vip, flags):
    """A builder of TCP over IPv4 with these flags by source port."""
    source = CLIENT["4"]
    return lambda sport: ethernet(ipv4(source, vip, TCP, tcp(source, vip, sport, 443, flags)))


def carried(outcome) -> int:
    """How many addresses travel with the packet."""
    frame = outcome.frame
    start = packet.link_layer(frame)[1]
    gue = start + (20 if frame[start] >> 4 == 4 else 40) + 8
    return frame[gue + 5] if frame[gue] else 0


def cases(built):
    """All of them: (sentence, frame, expectation)."""
    with_ = lambda build, count: (search(built, build, lambda outcome: carried(outcome) == count), "tx")
    chat = built.service(packed(CHAT["4"]), 6, 443)

    def from_pools(count):
        """The first flow whose cluster row had so many other pools."""
        key = built.key

        def leads(sport):
            value = flowhash.flow_hash(key, "flow", packed(CLIENT["4"]), packed(CHAT["4"]), sport, 443, 6)
            return len(chat.earlier[flowhash.cluster_row(value)]) == count

        return segment(CHAT["4"], ACK)(next(filter(leads, range(40000, 44000))))

    return [
        ("A row that had no other owner: nobody else is asked.", *with_(segment(CHAT["4"], ACK), 0)),
        ("A row that had one other: its address travels.", *with_(segment(CHAT["4"], ACK), 1)),
        ("A row that had two others: both travel, the newer first.", *with_(segment(CHAT["4"], ACK), 2)),
        ("Both tiers moved: three travel.", *with_(segment(CHAT["4"], ACK), 3)),
        ("What begins a connection goes to the current owner alone.", search(built, segment(CHAT["4"], SYN), lambda _: True), "tx"),
        ("SYN and ACK begin nothing.", *with_(segment(CHAT["4"], SYN | ACK), 2)),
        ("The cluster row had no other pool.", from_pools(0), "tx"),
        ("The cluster row had another pool: its node may have the connection.", from_pools(1), "tx"),
        ("IPv6 inside IPv4.", *with_(tcp6(CHAT["6"]), 0)),
        ("UDP goes on.", *with_(udp4(CHAT["4"], 443), 2)),
        ("UDP over IPv6 goes on.", *with_(udp6(CHAT["6"], 443), 1)),
        ("Behind IPv6 addresses travel that have sixteen bytes.", *with_(lambda port: udp4(TALK["4"], 53, f"192.0.2.{port % 256}")(port), 1)),
        ("IPv6 behind IPv6.", *with_(lambda port: udp6(TALK["6"], 53, f"2001:db8:{port:x}::1")(port), 1)),
    ]  # fmt: skip
