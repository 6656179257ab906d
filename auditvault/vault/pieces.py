"""The frames of large contents, as rows of `vault_piece` (docs/spec/envelope.md section 7).

A piece is 15 frames, a little under 1 MiB, so that whoever writes or reads a content holds that much of it. Numbers say
in which order pieces are read; that they are all there, and in their places, is what the frames themselves prove.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import count, islice
from typing import Any
from uuid import UUID, uuid4

import psycopg

from auditvault.core.crypto.envelope import EnvelopeNotAuthenticError
from auditvault.core.crypto.frames import FRAMED_HEAD_SIZE, SEALED_FRAME_SIZE
from auditvault.ledger.copying import Row, copy_large_rows, framed, int4, month_partition, row_start

FRAMES_A_PIECE = 15

PIECE_SIZE = FRAMES_A_PIECE * SEALED_FRAME_SIZE
"""Bytes of every piece but the last: 983,280."""

STRAY_PIECES = (
    "SELECT DISTINCT p.object_id FROM vault_piece AS p WHERE NOT EXISTS"  # noqa: S608  # our own words only
    " (SELECT FROM vault_kept AS o"
    " WHERE o.tenant_id = p.tenant_id AND o.object_id = p.object_id AND o.version = p.version"
    f" AND octet_length(o.envelope) = {FRAMED_HEAD_SIZE})"
)
"""Finds pieces of no object, by the id that they name: an object is framed, and its pieces are of its version."""

_COLUMNS = "tenant_id, object_id, version, number, sealed"


def piece_rows(
    tenant_id: UUID, object_id: bytes, frames: Iterator[bytes], version: int = 1
) -> Iterator[Row]:
    """The rows of an object's frames, each made when it is asked for."""
    start = row_start(_COLUMNS, tenant_id.bytes, object_id, int4(version))
    for number in count():
        piece = b"".join(islice(frames, FRAMES_A_PIECE))
        if not piece:
            return
        yield Row(start + framed(int4(number), piece))


def write_pieces(connection: psycopg.Connection[Any], at: datetime, rows: Iterable[Row]) -> None:
    """Write the rows of objects whose ids were made at `at`, inside the caller's transaction."""
    partition = month_partition(connection, "vault_piece", at)
    copy_large_rows(connection, partition, _COLUMNS, rows)


def read_pieces(
    connection: psycopg.Connection[Any], object_id: UUID, version: int
) -> Iterator[bytes]:
    """The object's frames in pieces, one in memory at a time; inside the caller's transaction.

    Raises EnvelopeNotAuthenticError where a number is missing.
    """
    # A name of its own: two contents may be read in turn.
    with connection.cursor(f"pieces_{uuid4().hex}") as cursor:
        cursor.itersize = 1
        cursor.execute(
            "SELECT number, sealed FROM vault_piece WHERE object_id = %s AND version = %s"
            " ORDER BY number",
            (object_id, version),
            binary=True,
        )
        for expected, (number, sealed) in enumerate(cursor):
            if number != expected:
                raise EnvelopeNotAuthenticError("a piece is missing")
            yield sealed
