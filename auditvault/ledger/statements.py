"""Statements of hot paths: prepared once for a connection, sent with binary fields, read as binary fields.

psycopg's `execute` finds out the type of each value, writes arrays as text and makes a cursor: 46 microseconds of this
process and 30 of PostgreSQL's for a look-up by key, where these take 10 and 16. Values are bound on the server (design
rule 3): a statement's text never holds one. Fields are encoded by `auditvault.ledger.copying`.

psycopg has the server forget all prepared statements after a rollback, so `tenant_scope` calls `forget_statements`
where a transaction failed. Use them inside it only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import count
from typing import Any, Final
from weakref import WeakKeyDictionary

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format

from auditvault.ledger.copying import framed

INT2_OID: Final = 21
TEXT_OID: Final = 25
BYTEA_OID: Final = 17
UUID_OID: Final = 2950

_array_head = struct.Struct(">iiiii").pack
_DONE = {ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK}

# Never the same name twice: a name that was lost track of is in nobody's way.
_numbers = count()
_prepared: WeakKeyDictionary[psycopg.Connection[Any], dict[Statement, bytes]] = WeakKeyDictionary()


class Statement:
    """One statement; its parameters are written `$1`, `$2`, … with their types."""

    def __init__(self, sql: str) -> None:
        self._sql = sql.encode("ascii")

    def run(
        self, connection: psycopg.Connection[Any], *fields: bytes | None
    ) -> list[tuple[bytes | None, ...]]:
        """Run it inside the caller's transaction; returns the rows' fields. Raises psycopg's errors."""
        link = connection.pgconn
        names = _prepared.setdefault(connection, {})
        name = names.get(self)
        if name is None:
            name = b"auditvault_%d" % next(_numbers)
            _check(link.prepare(name, self._sql), connection)
            names[self] = name
        formats = (Format.BINARY,) * len(fields)
        values: Any = fields  # NULL is taken, whatever the annotation says
        result = link.exec_prepared(name, values, formats, Format.BINARY)
        _check(result, connection)
        columns = range(result.nfields)
        value = result.get_value
        return [tuple([value(row, at) for at in columns]) for row in range(result.ntuples)]


def array(oid: int, items: Iterable[bytes | None]) -> bytes:
    """An array of encoded fields of the type `oid`, with one dimension (PostgreSQL's array_recv)."""
    fields = tuple(items)
    return _array_head(1, None in fields, oid, len(fields), 1) + framed(*fields)


def forget_statements(connection: psycopg.Connection[Any]) -> None:
    """Prepare anew what is used next on this connection, because the server has been told to forget."""
    _prepared.pop(connection, None)


def _check(result: Any, connection: psycopg.Connection[Any]) -> None:
    if result.status not in _DONE:
        raise error_from_result(result, encoding=connection.info.encoding)
