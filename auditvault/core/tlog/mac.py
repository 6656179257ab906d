"""HMAC-SHA-256 under one fixed key, for hot loops.

RFC 2104 hashes the padded key anew for every message. Keeping the two states after the padded keys saves that:
1.3 instead of 3 microseconds for a short message. A property test holds it to the standard library's HMAC.
"""

from __future__ import annotations

from hashlib import sha256

_BLOCK_SIZE = 64
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


class FixedKeyMac:
    """HMAC-SHA-256 (RFC 2104) with a key of at most 64 bytes; holds states, not the key. Safe to share by threads."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK_SIZE:
            raise ValueError("a longer key would have to be hashed first")
        padded = key.ljust(_BLOCK_SIZE, b"\0")
        self._inner = sha256(padded.translate(_INNER_PAD)).copy
        self._outer = sha256(padded.translate(_OUTER_PAD)).copy

    def digest(self, message: bytes) -> bytes:
        """The 32-byte MAC of `message`."""
        inner = self._inner()
        inner.update(message)
        outer = self._outer()
        outer.update(inner.digest())
        return outer.digest()
