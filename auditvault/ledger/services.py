"""Appending to a log: one batch, one transaction, one lock.

Order of writes inside the caller's transaction, and what a crash leaves behind:

1. The caller has written what the entries commit to (headers, sealed objects).    Crash: rolled back, nothing.
2. `ledger_lock_head` locks the head; two appenders of one log queue here.          Crash: lock gone, nothing.
3. Entries, then completed tiles, are written.                                      Crash: rolled back, nothing.
4. `ledger_advance_head` moves the head, refusing any size but the one seen in 2.   Crash: rolled back, nothing.
5. The caller commits, and only then answers.  Crash before: nothing. After: everything, and the sender, who got
   no answer, sends again and is recognised as a duplicate.

The writes are all in one transaction, so there is no state in between to recover from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.ids import ID_SIZE
from auditvault.core.tlog.entry import EntryTemplate, leaf_hash
from auditvault.core.tlog.merkle import HASH_SIZE, CompactRange
from auditvault.core.tlog.tiles import TILE_WIDTH
from auditvault.ledger.copying import (
    Row,
    copy_rows,
    int4,
    int8,
    read_timestamptz,
    row_start,
    timestamptz,
)
from auditvault.ledger.logs import LogRef
from auditvault.ledger.statements import Statement
from auditvault.ledger.tiling import CompletedTile, completed_tiles

_LOCK_HEAD = Statement("SELECT size, range, last_leaf, at FROM ledger_lock_head($1::int)")
_ADVANCE_HEAD = Statement(
    "SELECT ledger_advance_head("
    "$1::int, $2::bigint, $3::bigint, $4::bytea, $5::bytea, $6::timestamptz)"
)
_ENTRY_COLUMNS = "tenant_id, log_id, idx, record_id, leaf_hash, entry"
# Lengths before the fields of one size.
_INDEX_LENGTH, _ID_LENGTH, _HASH_LENGTH = int4(8), int4(ID_SIZE), int4(HASH_SIZE)


class LogHeadError(AuditvaultError):
    """The head of a log is missing: it belongs to another tenant, or was never opened."""

    code = "log_head_missing"


@dataclass(frozen=True, slots=True)
class Pending:
    """What an entry will say, before it has a place; `record_id` is a UUID's 16 bytes."""

    record_id: bytes
    type: str
    src: str
    commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """Where a batch landed: indices `first_index` to `size - 1`, all at the instant `recorded_at`."""

    first_index: int
    size: int
    recorded_at: datetime


def append(
    connection: psycopg.Connection[Any],
    *,
    log: LogRef,
    pending: Sequence[Pending],
    once_locked: Callable[[], None] | None = None,
) -> Appended:
    """Append `pending` in order, inside the caller's `tenant_scope` transaction.

    Holds the log's head from here to the commit, so it comes last in a transaction. `once_locked` is called when the
    head is held and nobody else can append: what it raises gives the transaction up.

    Raises:
        LogHeadError: the log has no head.
    """
    if not pending:
        raise ValueError("an append needs at least one entry")
    size, range_bytes, last_leaf, at = _lock_head(connection, log)
    if once_locked is not None:
        once_locked()
    leaves, rows = _render(log, pending, size=size, prev=last_leaf, at=at)
    _copy_entries(connection, log, rows, size)
    tree = CompactRange.from_bytes(size, range_bytes)
    added = tree.extend(leaves)
    new_size = size + len(leaves)
    if size // TILE_WIDTH != new_size // TILE_WIDTH:
        _insert_tiles(connection, log, completed_tiles(connection, log, size, leaves, added))
    _ADVANCE_HEAD.run(
        connection,
        int4(log.log_id),
        int8(size),
        int8(new_size),
        tree.to_bytes(),
        leaves[-1],
        timestamptz(at),
    )
    return Appended(first_index=size, size=new_size, recorded_at=at)


def _lock_head(
    connection: psycopg.Connection[Any], log: LogRef
) -> tuple[int, bytes, bytes, datetime]:
    rows: list[Any] = _LOCK_HEAD.run(connection, int4(log.log_id))
    if not rows:
        raise LogHeadError("The log has no head: it is of another tenant, or was never opened.")
    size, range_bytes, last_leaf, at = rows[0]
    return int.from_bytes(size), range_bytes, last_leaf, read_timestamptz(at)


def _render(
    log: LogRef, pending: Sequence[Pending], *, size: int, prev: bytes, at: datetime
) -> tuple[list[bytes], list[Row]]:
    render = EntryTemplate(log.origin).render
    instant = format_instant(at)
    start = row_start(_ENTRY_COLUMNS, log.tenant_id.bytes, int4(log.log_id)) + _INDEX_LENGTH
    leaves: list[bytes] = []
    rows: list[Row] = []
    for index, item in enumerate(pending, start=size):
        entry = render(index, prev.hex(), instant, item.type, item.src, item.commitment.hex())
        prev = leaf_hash(entry)
        leaves.append(prev)
        parts = (start, int8(index), _ID_LENGTH, item.record_id, _HASH_LENGTH, prev)
        rows.append(Row(b"".join((*parts, int4(len(entry)), entry))))
    return leaves, rows


def format_instant(at: datetime) -> str:
    """RFC 3339 in UTC with six fraction digits, as entries have it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _copy_entries(
    connection: psycopg.Connection[Any], log: LogRef, rows: Sequence[Row], size: int
) -> None:
    """COPY each partition's share; a partition is made before the first entry that needs it."""
    per = log.partition_entries
    start = 0
    while start < len(rows):
        part = (size + start) // per
        stop = min(len(rows), (part + 1) * per - size)
        if (size + start) % per == 0:
            connection.execute("SELECT ledger_ensure_partition(%s, %s)", (log.log_id, size + start))
        table = f"ledger_entry_{log.log_id}_{part}"
        copy_rows(connection, table, _ENTRY_COLUMNS, rows[start:stop])
        start = stop


def _insert_tiles(
    connection: psycopg.Connection[Any], log: LogRef, tiles: list[CompletedTile]
) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ledger_tile (tenant_id, log_id, level, n, hashes, root)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [
                (log.tenant_id, log.log_id, tile.level, tile.n, tile.hashes, tile.root)
                for tile in tiles
            ],
        )
