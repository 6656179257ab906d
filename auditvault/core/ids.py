"""Identifiers: UUIDv7 (RFC 9562, section 5.7), made from an instant and randomness.

The instant stands in the first 48 bits, so that tables can be partitioned by month on the identifier itself and
inserts go to the end of an index. Hot loops carry ids as 16 raw bytes; everybody else as `UUID`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

ID_SIZE = 16
_RANDOM_BYTES = 10
_FIXED_BITS = (0x7 << 76) | (0x2 << 62)
_RANDOM_MASK = ~((0xF << 76) | (0x3 << 62)) & ((1 << 80) - 1)


def raw_uuid7s(at: datetime, count: int) -> Iterator[bytes]:
    """`count` fresh UUIDv7 of the aware instant `at`, 16 bytes each; unordered within the millisecond."""
    if at.tzinfo is None:
        raise ValueError("an instant needs a zone")
    high = (int(at.timestamp() * 1000) << 80) | _FIXED_BITS
    randomness = os.urandom(_RANDOM_BYTES * count)
    for start in range(0, len(randomness), _RANDOM_BYTES):
        tail = int.from_bytes(randomness[start : start + _RANDOM_BYTES])
        yield (high | (tail & _RANDOM_MASK)).to_bytes(ID_SIZE)


def uuid7s(at: datetime, count: int) -> Iterator[UUID]:
    """As `raw_uuid7s`, as UUID."""
    return (UUID(bytes=raw) for raw in raw_uuid7s(at, count))


def uuid7(at: datetime) -> UUID:
    """One fresh UUIDv7 of the aware instant `at`."""
    return next(uuid7s(at, 1))


def id_text(raw: bytes) -> str:
    """The customary text of 16 raw bytes, equal to `str(UUID(bytes=raw))`."""
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def instant_of(identifier: UUID) -> datetime:
    """The UTC instant, to the millisecond, that a UUIDv7 carries."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)
