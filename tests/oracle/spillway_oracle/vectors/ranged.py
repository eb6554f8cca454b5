"""Frames to ranges of ports."""

from .encapsulated import tcp4, tcp6, to_backend, udp4, udp6

VIP = {"4": "198.51.100.93", "6": "2001:db8::93"}
EU1, US1 = "203.0.113.11", "203.0.113.21"


def cases(built):
    """All of them: (sentence, frame, expectation)."""
    at = lambda build, backend: (to_backend(built, build, backend), f"tx {backend}")
    tcp = lambda port: tcp4(VIP["4"], port)
    return [
        ("The first port of a range.", *at(tcp(8000), EU1)),
        ("The last port of a range.", *at(tcp(8999), EU1)),
        ("The port behind it, which another service's range begins with.", *at(tcp(9000), US1)),
        ("A port inside a range that has a service of its own.", *at(tcp(8080), US1)),
        ("The last port of all.", *at(tcp(65535), EU1)),
        ("The first port of all.", *at(tcp(1), EU1)),
        ("A port in no range, where a service takes any.", *at(tcp(7999), "2001:db8:e::11")),
        ("Port 0 is in no range.", *at(tcp(0), "2001:db8:e::12")),
        ("A port in no range, where no service takes any.", tcp6(VIP["6"], 7999)(40000), "drop no-service"),
        ("Port 0, where no service takes any.", tcp6(VIP["6"], 0)(40000), "drop no-service"),
        ("A range over IPv6.", *at(tcp6(VIP["6"], 8999), EU1)),
        ("A port inside a range over IPv6 that has a service of its own.", *at(tcp6(VIP["6"], 8080), US1)),
        ("A range of UDP.", *at(udp4(VIP["4"], 19999), US1)),
        ("TCP's range is not UDP's, and any TCP port no UDP port.", udp4(VIP["4"], 8000)(40000), "drop no-service"),
        ("UDP's range over IPv6.", *at(udp6(VIP["6"], 10000), US1)),
    ]  # fmt: skip
