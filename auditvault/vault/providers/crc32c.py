"""CRC-32C (Castagnoli, RFC 3720 appendix B.4), which Google's services send beside their answers.

No library: what is checked here is a few hundred bytes. It tells a damaged transfer, and guards against nobody.
"""

from __future__ import annotations

_POLYNOMIAL = 0x82F63B78
_BITS = 8
_ALL_ONES = 0xFFFFFFFF


def _row(value: int) -> int:
    for _ in range(_BITS):
        value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = tuple(_row(value) for value in range(1 << _BITS))


def crc32c(data: bytes) -> int:
    """The checksum, 0 to 2^32 - 1."""
    crc = _ALL_ONES
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> _BITS)
    return crc ^ _ALL_ONES
