"""Reading a log: where it ends, what an entry is, and proofs about both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.ids import instant_of
from auditvault.core.tlog import tiles as tlog_tiles
from auditvault.core.tlog.merkle import EMPTY_ROOT, CompactRange
from auditvault.ledger.logs import LogRef, tenant_logs
from auditvault.ledger.pruning import EntryPrunedError, minimum_index, pruned_until
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.tiling import fetch_tiles

MAX_ENTRIES = 1000
_UUID7 = 7


class EntryNotFoundError(AuditvaultError):
    """No entry of the caller's tenant records that."""

    code = "entry_not_found"


class ProofRangeError(AuditvaultError):
    """An index or a size lies outside the log."""

    code = "proof_out_of_range"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadState:
    """How long a log is, and the root at that size."""

    size: int
    root: bytes
    last_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCheckpoint:
    """The newest checkpoint that the signer published."""

    size: int
    root: bytes
    note: str
    signed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """An entry of a record, with its proof where a checkpoint covers it already."""

    log: LogRef
    index: int
    entry: bytes
    leaf_hash: bytes
    checkpoint: SignedCheckpoint | None
    proof: tuple[bytes, ...]


def head(connection: psycopg.Connection[Any], log: LogRef) -> HeadState:
    """The log's head, inside a `tenant_scope`."""
    row = connection.execute(
        # An empty log's last instant is -infinity, which Python has no word for.
        "SELECT size, range, nullif(last_at, '-infinity') FROM ledger_head"
        " WHERE tenant_id = %s AND log_id = %s",
        (log.tenant_id, log.log_id),
    ).fetchone()
    if row is None:
        raise EntryNotFoundError("The log has no head.")
    size, range_bytes, last_at = row
    root = CompactRange.from_bytes(size, bytes(range_bytes)).root() if size else EMPTY_ROOT
    return HeadState(size=size, root=root, last_at=last_at)


def latest_checkpoint(connection: psycopg.Connection[Any], log: LogRef) -> SignedCheckpoint | None:
    """The checkpoint of the greatest size, newest signature first; None before the first."""
    row = connection.execute(
        "SELECT size, root, note, signed_at FROM ledger_checkpoint"
        " WHERE tenant_id = %s AND log_id = %s ORDER BY size DESC, signed_at DESC LIMIT 1",
        (log.tenant_id, log.log_id),
    ).fetchone()
    if row is None:
        return None
    return SignedCheckpoint(size=row[0], root=bytes(row[1]), note=row[2], signed_at=row[3])


def first_checkpoint(
    connection: psycopg.Connection[Any], log: LogRef, *, size: int
) -> SignedCheckpoint | None:
    """The first checkpoint of `size` entries or more: the least size, oldest signature; None before there is one."""
    row = connection.execute(
        "SELECT size, root, note, signed_at FROM ledger_checkpoint WHERE tenant_id = %s"
        " AND log_id = %s AND size >= %s ORDER BY size, signed_at LIMIT 1",
        (log.tenant_id, log.log_id, size),
    ).fetchone()
    if row is None:
        return None
    return SignedCheckpoint(size=row[0], root=bytes(row[1]), note=row[2], signed_at=row[3])


def locate(
    *,
    region: str,
    tenant_id: UUID,
    record_id: UUID,
    preferred: Callable[
        [psycopg.Connection[Any], LogRef], SignedCheckpoint | None
    ] = latest_checkpoint,
) -> Located:
    """The entry of a record and its inclusion proof; raises EntryNotFoundError, EntryPrunedError.

    Proved under the `preferred` checkpoint where that covers the entry, otherwise under the newest.
    """
    logs = {log.log_id: log for log in tenant_logs(region=region, tenant_id=tenant_id)}
    with tenant_scope(region_alias(region), tenant_id) as connection:
        # Naming the logs keeps the query, and its locks, to their own partitions.
        row = connection.execute(
            "SELECT log_id, idx, entry, leaf_hash FROM ledger_entry"
            " WHERE log_id = ANY(%s) AND record_id = %s",
            (list(logs), record_id),
        ).fetchone()
        if row is None:
            _refuse_pruned(connection, record_id)
            raise EntryNotFoundError("There is no such record.")
        log, index = logs[row[0]], row[1]
        checkpoint = preferred(connection, log)
        if checkpoint is None or checkpoint.size <= index:
            checkpoint = latest_checkpoint(connection, log)
        covered = checkpoint is not None and index < checkpoint.size
        proof: Sequence[bytes] = ()
        if checkpoint is not None and covered:
            proof = inclusion(connection, log, index=index, size=checkpoint.size)
    return Located(
        log=log,
        index=index,
        entry=bytes(row[2]),
        leaf_hash=bytes(row[3]),
        checkpoint=checkpoint if covered else None,
        proof=tuple(proof),
    )


def _refuse_pruned(connection: psycopg.Connection[Any], record_id: UUID) -> None:
    """Raise EntryPrunedError for a record from a time of which entries were pruned: nobody knows any more which."""
    until = pruned_until(connection)
    # An id's first 48 bits are its instant. What is no UUIDv7 was never a record's.
    if until is not None and record_id.version == _UUID7 and instant_of(record_id) <= until:
        raise EntryPrunedError(
            "Entries of that time were pruned. If there was such a record, it has gone."
        )


def inclusion(
    connection: psycopg.Connection[Any], log: LogRef, *, index: int, size: int
) -> list[bytes]:
    """The inclusion proof of entry `index` in the tree of `size`; raises ProofRangeError."""
    if not 0 <= index < size <= head(connection, log).size:
        raise ProofRangeError("The index must lie below the size, and the size within the log.")
    return tlog_tiles.inclusion_proof(index, size, partial(fetch_tiles, connection, log))


def consistency(
    connection: psycopg.Connection[Any], log: LogRef, *, old_size: int, new_size: int
) -> list[bytes]:
    """The proof that the tree of `new_size` extends that of `old_size`; raises ProofRangeError."""
    if not 0 < old_size <= new_size <= head(connection, log).size:
        raise ProofRangeError("Sizes must be 0 < from <= to, and within the log.")
    return tlog_tiles.consistency_proof(old_size, new_size, partial(fetch_tiles, connection, log))


def entries(
    connection: psycopg.Connection[Any], log: LogRef, *, start: int, end: int
) -> list[tuple[int, UUID, bytes]]:
    """Index, record id and bytes of the entries from `start` up to and without `end`, at most MAX_ENTRIES.

    Raises ProofRangeError, or EntryPrunedError for a start below the minimum index.
    """
    if not 0 <= start <= end:
        raise ProofRangeError("Indices must be 0 <= start <= end.")
    minimum = minimum_index(connection, log)
    if start < minimum:
        raise EntryPrunedError(
            f"Entries below {minimum} were pruned. Tiles and proofs are still there."
        )
    rows = connection.execute(
        "SELECT idx, record_id, entry FROM ledger_entry"
        " WHERE tenant_id = %s AND log_id = %s AND idx >= %s AND idx < %s ORDER BY idx LIMIT %s",
        (log.tenant_id, log.log_id, start, end, MAX_ENTRIES),
    ).fetchall()
    return [(idx, record_id, bytes(entry)) for idx, record_id, entry in rows]
