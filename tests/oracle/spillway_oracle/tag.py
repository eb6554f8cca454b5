"""The keyed tag: docs/contract.md, section 11."""

from .siphash13 import siphash13

LENGTH = 8
"""Bytes of a tag."""
COVERED = {4: 20, 6: 40}
"""Bytes of the packet that it is about, by IP version."""


def seal(epoch: int, key: tuple, packet: bytes) -> bytes:
    """The tag of a packet: the epoch, and the upper seven bytes of the digest under its key (k0, k1)."""
    digest = siphash13(*key, packet[: COVERED[packet[0] >> 4]])
    return bytes([epoch]) + digest.to_bytes(8, "big")[:7]
