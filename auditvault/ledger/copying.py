"""COPY in PostgreSQL's binary format, from fields that are encoded already.

psycopg's `write_row` looks up a dumper for each value, which costs more than the row. Here a field is bytes (or None
for NULL) in the server's binary form, and this module adds the framing: PostgreSQL documentation, "COPY", section
"Binary Format". Where many rows share fields, or fields have one length, their framing is made once (`row_start`,
`framed`) and the rows are put together by who knows them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, NewType

import psycopg

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
"""A field that is NULL: it has no bytes."""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_ROWS_A_MESSAGE = 256

int2 = struct.Struct(">h").pack
int4 = struct.Struct(">i").pack
int8 = struct.Struct(">q").pack

Row = NewType("Row", bytes)
"""One row, its number of fields and every field's length included."""


def timestamptz(at: datetime) -> bytes:
    """An aware instant: microseconds since 2000-01-01 UTC."""
    gone = at - _EPOCH
    return int8((gone.days * 86_400 + gone.seconds) * 1_000_000 + gone.microseconds)


def read_timestamptz(field: bytes) -> datetime:
    """The UTC instant that `timestamptz` writes so."""
    return _EPOCH + timedelta(microseconds=int.from_bytes(field, signed=True))


def text(value: str | None) -> bytes | None:
    """UTF-8, or NULL."""
    return None if value is None else value.encode()


def optional_int8(value: int | None) -> bytes | None:
    """A 64-bit integer, or NULL."""
    return None if value is None else int8(value)


def framed(*fields: bytes | None) -> bytes:
    """The fields with their lengths before them, as they follow each other in a row."""
    return b"".join([NULL if field is None else int4(len(field)) + field for field in fields])


@lru_cache(maxsize=4096)
def framed_texts(*values: str | None) -> bytes:
    """As `framed`, for text; remembered, so only for words that repeat and are nobody's."""
    return framed(*map(text, values))


def row_start(columns: str, *fields: bytes | None) -> bytes:
    """How every row of the comma-separated `columns` begins whose first fields are these."""
    return (columns.count(",") + 1).to_bytes(2) + framed(*fields)


def encode_row(*fields: bytes | None) -> Row:
    """A row of encoded fields."""
    return Row(len(fields).to_bytes(2) + framed(*fields))


def copy_rows(
    connection: psycopg.Connection[Any], table: str, columns: str, rows: Sequence[Row]
) -> None:
    """COPY the rows into `table`; each has a field for each of the comma-separated `columns`."""
    statement = f"COPY {table} ({columns}) FROM STDIN (FORMAT binary)"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        before = _SIGNATURE
        for start in range(0, len(rows), _ROWS_A_MESSAGE):
            copy.write(before + b"".join(rows[start : start + _ROWS_A_MESSAGE]))
            before = b""
        copy.write(before + _TRAILER)


def copy_large_rows(
    connection: psycopg.Connection[Any], table: str, columns: str, rows: Iterable[Row]
) -> None:
    """As `copy_rows`, for large rows that are made one after the other: one is in memory at a time."""
    statement = f"COPY {table} ({columns}) FROM STDIN (FORMAT binary)"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(_SIGNATURE)
        for row in rows:
            copy.write(row)
        copy.write(_TRAILER)


_known_partitions: set[tuple[str, str]] = set()


def copy_into_month(
    connection: psycopg.Connection[Any], table: str, at: datetime, columns: str, rows: Sequence[Row]
) -> None:
    """COPY rows whose UUIDv7 keys were made at `at` (UTC) into that month's partition.

    Row-level security stands on the partitioned parent, where PostgreSQL refuses COPY. Rows therefore go straight
    into the month's partition, which the application may fill but not read; a trigger there refuses another
    tenant's rows.
    """
    copy_rows(connection, month_partition(connection, table, at), columns, rows)


def month_partition(connection: psycopg.Connection[Any], table: str, at: datetime) -> str:
    """Name of the table's partition for UUIDv7 keys made at `at` (UTC); made where it is missing."""
    child = f"{table}_{at:%Y%m}"
    known = (connection.info.dbname, child)
    if known not in _known_partitions:
        ensure_month(connection, table, at.date())
        _known_partitions.add(known)
    return child


def ensure_month(connection: psycopg.Connection[Any], table: str, day: date) -> None:
    """Make the partition of the day's month where it is missing."""
    connection.execute("SELECT auditvault_ensure_month(%s, %s)", (table, day))
