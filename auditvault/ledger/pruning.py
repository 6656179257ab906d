"""Saying that the beginning of a log will go, and knowing what has gone (docs/spec/prune.md).

A prune is recorded as an entry of the same log and carried out later, by another role and by a function of the database
(`evidence.pruning`). Until then it is pending: everything is still there. One prune may be pending in a log.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.ids import instant_of, uuid7
from auditvault.core.policy.pruning import HoldFindings, PrunePolicy
from auditvault.core.tlog import tiles as tlog_tiles
from auditvault.core.tlog.commitment import OPENING_SIZE, header_commitment
from auditvault.core.tlog.entry import read_fields
from auditvault.core.tlog.merkle import CompactRange
from auditvault.core.tlog.prune import ENTRY_TYPE, PruneRecord
from auditvault.ledger.logs import LogRef
from auditvault.ledger.services import Pending, append, format_instant
from auditvault.ledger.tiling import fetch_tiles

_COLUMNS = "previous, minimum, last_at, cutoff, idx, record_id, entry, opening, header"


class EntryPrunedError(AuditvaultError):
    """The entry is below the log's minimum index: it was pruned."""

    code = "entry_pruned"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPruneRecord:
    """A prune record with its entry, as stored; nothing is verified."""

    previous: int
    minimum: int
    index: int
    record_id: UUID
    last_at: datetime
    cutoff: datetime
    entry: bytes
    opening: bytes
    header: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOrder:
    """What is to be recorded; decided by `core.policy.pruning`."""

    previous: int
    minimum: int
    cutoff: datetime
    policy: PrunePolicy
    holds: HoldFindings
    signed_size: int
    signed_root: bytes


def minimum_index(connection: psycopg.Connection[Any], log: LogRef) -> int:
    """The first entry of the log that is there, 0 where nothing was pruned."""
    row = connection.execute(
        "SELECT max(minimum) FROM ledger_pruned WHERE tenant_id = %s AND log_id = %s",
        (log.tenant_id, log.log_id),
    ).fetchone()
    return int(row[0]) if row is not None and row[0] is not None else 0


def pruned_until(connection: psycopg.Connection[Any]) -> datetime | None:
    """The time of the newest entry that was pruned from any log of the tenant; None where none was."""
    row = connection.execute("SELECT max(last_at) FROM ledger_pruned").fetchone()
    found: datetime | None = row[0] if row is not None else None
    return found


def prune_records(connection: psycopg.Connection[Any], log: LogRef) -> list[StoredPruneRecord]:
    """Every prune record of the log, oldest first, carried out or pending."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM ledger_prune WHERE tenant_id = %s AND log_id = %s ORDER BY previous",  # noqa: S608
        (log.tenant_id, log.log_id),
    ).fetchall()
    return [
        StoredPruneRecord(
            previous=row[0],
            minimum=row[1],
            last_at=row[2],
            cutoff=row[3],
            index=row[4],
            record_id=row[5],
            entry=bytes(row[6]),
            opening=bytes(row[7]),
            header=bytes(row[8]),
        )
        for row in rows
    ]


def pending_prune(connection: psycopg.Connection[Any], log: LogRef) -> StoredPruneRecord | None:
    """The prune that was recorded and not carried out, if there is one."""
    minimum = minimum_index(connection, log)
    pending = [item for item in prune_records(connection, log) if item.previous == minimum]
    return pending[0] if pending else None


def range_at(connection: psycopg.Connection[Any], log: LogRef, size: int) -> CompactRange:
    """The compact range of the log's first `size` entries, from its tiles."""
    return tlog_tiles.compact_range_at(size, partial(fetch_tiles, connection, log))


def entry_at(connection: psycopg.Connection[Any], log: LogRef, index: int) -> bytes:
    """The bytes of an entry that is there; raises EntryPrunedError."""
    row = connection.execute(
        "SELECT entry FROM ledger_entry WHERE tenant_id = %s AND log_id = %s AND idx = %s",
        (log.tenant_id, log.log_id, index),
    ).fetchone()
    if row is None:
        raise EntryPrunedError(f"Entry {index} is not there.")
    return bytes(row[0])


def record_prune(
    connection: psycopg.Connection[Any], *, log: LogRef, order: PruneOrder
) -> StoredPruneRecord:
    """Append the prune entry and keep its record, inside the caller's `tenant_scope` transaction.

    Entry and record are written in one transaction: a crash leaves both or neither. Two at once: one is rolled back.
    """
    record = _record(connection, log, order)
    body, opening = record.to_bytes(), os.urandom(OPENING_SIZE)
    record.start()
    record_id = UUID(record.record_id)
    pending = [
        Pending(
            record_id.bytes,
            ENTRY_TYPE,
            "auditvault",
            header_commitment(opening, ENTRY_TYPE, body),
        )
    ]
    index = append(connection, log=log, pending=pending).first_index
    entry = entry_at(connection, log, index)
    previous, minimum, last_at, cutoff = projection(record)
    connection.execute(
        f"INSERT INTO ledger_prune (tenant_id, log_id, {_COLUMNS})"  # noqa: S608
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            log.tenant_id,
            log.log_id,
            *(previous, minimum, last_at, cutoff),
            *(index, record_id, entry, opening, body),
        ),
    )
    return StoredPruneRecord(
        previous=previous,
        minimum=minimum,
        index=index,
        record_id=record_id,
        last_at=last_at,
        cutoff=cutoff,
        entry=entry,
        opening=opening,
        header=body,
    )


def projection(record: PruneRecord) -> tuple[int, int, datetime, datetime]:
    """What stands beside a prune record in columns: `previous`, `minimum`, `last_at`, `cutoff`."""
    last_at = _instant(read_fields(record.last_entry).recorded_at)
    return record.previous, record.minimum, last_at, _instant(record.cutoff)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _record(connection: psycopg.Connection[Any], log: LogRef, order: PruneOrder) -> PruneRecord:
    fetch = partial(fetch_tiles, connection, log)
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    if row is None:
        raise RuntimeError("a SELECT without a table has one row")
    record_id = uuid7(row[0].astimezone(UTC))
    tree = range_at(connection, log, order.minimum)
    proof: Sequence[bytes] = tlog_tiles.inclusion_proof(order.minimum - 1, order.signed_size, fetch)
    return PruneRecord(
        record_id=str(record_id),
        log=log.origin,
        recorded_at=format_instant(instant_of(record_id)),
        policy_id=order.policy.policy_id,
        policy_sha256=order.policy.sha256,
        previous=order.previous,
        minimum=order.minimum,
        root=tree.root(),
        nodes=tree.nodes,
        last_entry=entry_at(connection, log, order.minimum - 1),
        signed_size=order.signed_size,
        signed_root=order.signed_root,
        proof=tuple(proof),
        cutoff=format_instant(order.cutoff),
        hold_sources=order.holds.sources,
        holds_blocking=order.holds.blocking,
    )
