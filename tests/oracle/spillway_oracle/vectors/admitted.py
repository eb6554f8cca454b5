"""Frames of services that admit by source."""

from .encapsulated import tcp4, tcp6, to_backend, udp4, udp6

VIP = {"4": "198.51.100.92", "6": "2001:db8::92"}


def members4(source):
    """TCP of that source to the service whose default is to deny."""
    return tcp4(VIP["4"], source=source)


def members6(source):
    """The same over IPv6."""
    return tcp6(VIP["6"], source=source)


def public4(source):
    """UDP of that source to the service whose default is to allow."""
    return udp4(VIP["4"], 443, source=source)


def public6(source):
    """The same over IPv6."""
    return udp6(VIP["6"], 443, source=source)


def cases(built):
    """All of them: (sentence, frame, expectation)."""
    return [
        ("A source in an allowed prefix, where the default is to deny.", members4("203.0.113.7")(40000), "tx"),
        ("The first address of a denied prefix inside an allowed one.", members4("203.0.113.128")(40000), "drop denied"),
        ("The last address before it.", members4("203.0.113.127")(40000), "tx"),
        ("A source that no prefix holds, where the default is to deny.", members4("198.51.100.10")(40000), "drop denied"),
        ("An address allowed by itself.", members4("192.0.2.77")(40000), "tx"),
        ("Its neighbour.", members4("192.0.2.76")(40000), "drop denied"),
        ("An IPv6 source in an allowed prefix.", members6("2001:db8:c:ab01::1")(40000), "tx"),
        ("An IPv6 source in a denied prefix inside an allowed one.", members6("2001:db8:c:abff::2")(40000), "drop denied"),
        ("An IPv6 source that no prefix holds.", members6("fe80::1")(40000), "drop denied"),
        ("An IPv4 source mapped into IPv6 is none of IPv4.", members6("::ffff:203.0.113.7")(40000), "drop denied"),
        ("A source that no prefix holds, where the default is to allow.", public4("9.9.9.9")(40000), "tx"),
        ("A source in a denied prefix, where the default is to allow.", public4("10.1.2.3")(40000), "drop denied"),
        ("A source in the quarter of all addresses that is denied.", public4("203.0.113.199")(40000), "drop denied"),
        ("An address allowed inside that quarter.", public4("203.0.113.200")(40000), "tx"),
        ("An IPv6 source of the denied quarter.", public6("fe80::1")(40000), "drop denied"),
        ("An IPv6 source in an allowed prefix.", public6("2001:db8::10")(40000), "tx"),
        ("An IPv6 source in a denied prefix inside it.", public6("2001:db8:c:abff::2")(40000), "drop denied"),
        ("An admitted source's flow goes by its hash as any.", to_backend(built, members4("203.0.113.77"), "203.0.113.22"), "tx 203.0.113.22"),
    ]  # fmt: skip
