"""QUIC connection ids: who is named by a datagram (docs/contract.md, section 8)."""

SHORT_LEAST, LONG_LEAST = 17, 22
"""Bytes of data that a packet of either form must have."""


class Servers:
    """The configurations of a service, and who has which server id."""

    def __init__(self, configs: list, backends: dict):
        self.lengths = {c["id"]: (c["serverIdLength"], c["nonceLength"]) for c in configs}
        self.backends = backends
        """Server id to Backend."""

    def named(self, data: bytes):
        """The backend that the datagram's first packet names, or None."""
        if len(data) < SHORT_LEAST:
            return None
        if data[0] < 0x80:
            return self.of_id(data[1:], None)
        if len(data) < LONG_LEAST:
            return None
        return self.of_id(data[6:], data[5])

    def of_id(self, connection_id: bytes, told: int | None):
        """The backend of an id and whatever follows it; `told` is its length in bytes, where the packet says it."""
        known = self.lengths.get(connection_id[0] >> 5)
        if known is None:
            return None
        server, nonce = known
        backend = self.backends.get(connection_id[1 : 1 + server])
        if backend is None or not backend.serving:
            return None
        return None if told is not None and told < 1 + server + nonce else backend
