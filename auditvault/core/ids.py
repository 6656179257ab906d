"""Identifiers: UUIDv7 (RFC 9562, section 5.7), made from an instant and randomness.

The instant stands in the first 48 bits, so that tables can be partitioned by month on the identifier itself and
inserts go to the end of an index. Ids that are made together ascend (section 6.2, method 2), so that they do so within
a millisecond too: PostgreSQL then finds the place in an index without a search. Hot loops carry ids as 16 raw bytes;
everybody else as `UUID`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from uuid import UUID

ID_SIZE = 16
_TAIL_BITS = 74
_MAX_START = 1 << _TAIL_BITS - 1  # the upper half is left for the steps
_LOW_BITS = (1 << 62) - 1
_STEPS_AT_A_TIME = 64
_steps = struct.Struct(f">{_STEPS_AT_A_TIME}I").unpack
_fields = struct.Struct(">6sHQ").pack


def endless_uuid7s(at: datetime) -> Iterator[bytes]:
    """Fresh UUIDv7 of the aware instant `at`, 16 bytes each, ascending.

    From a random start of 73 bits in random steps of up to 32: two calls meet as rarely as random ids do.
    """
    if at.tzinfo is None:
        raise ValueError("an instant needs a zone")
    instant = int(at.timestamp() * 1000).to_bytes(6)
    tail = int.from_bytes(os.urandom(10)) % _MAX_START
    while True:
        for step in _steps(os.urandom(4 * _STEPS_AT_A_TIME)):
            tail += step + 1
            # Version 7 before the upper 12 bits, variant 2 before the lower 62.
            yield _fields(instant, 0x7000 | tail >> 62, 1 << 63 | tail & _LOW_BITS)


def raw_uuid7s(at: datetime, count: int) -> Iterator[bytes]:
    """The first `count` of `endless_uuid7s`."""
    return islice(endless_uuid7s(at), count)


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
