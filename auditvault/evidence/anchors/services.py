"""Stamping a region: the newest checkpoint of every log, under one time stamp.

Order, and what a crash leaves behind (docs/spec/timestamp.md sections 3 and 4):

1. The newest checkpoints are read, their signatures verified, the super-root is built.   Crash: nothing.
2. The authority is asked, outside any transaction.    Crash: a stamp was made that nobody keeps.
3. The answer is verified.                              Crash: as 2.
4. Stamp and places are stored in one transaction.      Crash: before the commit nothing, after it everything.

The next run asks anew. Two runs at once store two stamps, which are both true.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from django.db import connections, transaction

from auditvault.core.ids import uuid7
from auditvault.core.tlog.checkpoint import Checkpoint, CheckpointError, open_checkpoint
from auditvault.core.tlog.log_key import LogKey, log_verifiers
from auditvault.core.tlog.note import NoteError
from auditvault.core.tlog.super_root import SuperRootTree
from auditvault.evidence.anchors.authority import Authority, Stamp, check_time, stamp
from auditvault.ledger.scope import driver_connection, region_alias, usable_connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """What a run did."""

    logs: int
    """Logs under the stamp; 0 where there was nothing to stamp."""
    gen_time: datetime | None = None
    """The stamp's own time."""
    left_out: tuple[str, ...] = ()
    """Origins of the logs whose newest checkpoint does not verify."""


@dataclass(slots=True)
class _Gathered:
    """The logs' numbers and checkpoints, in the order of the leaves."""

    asked_at: datetime
    log_ids: list[int] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def stamp_region(*, region: str, authority: Authority, keys: Sequence[LogKey]) -> Stamped:
    """Have the newest checkpoint of every log of the region stamped, and keep the stamp.

    `keys` are the signer's. A log whose newest checkpoint they do not verify is left out and named.

    Raises:
        TimestampError: there is no stamp, and why; nothing was stored.
    """
    alias = region_alias(region)
    gathered = _gather(usable_connection(alias), keys)
    if not gathered.checkpoints:
        return Stamped(logs=0, left_out=tuple(gathered.left_out))
    tree = SuperRootTree.over(gathered.checkpoints)
    stamped = stamp(authority, tree.super_root().text().encode())
    answered_at = _now(usable_connection(alias))
    check_time(stamped, asked_at=gathered.asked_at, answered_at=answered_at)
    with transaction.atomic(using=alias, durable=True):
        _store(driver_connection(connections[alias]), gathered, tree, stamped)
    return Stamped(
        logs=len(gathered.checkpoints),
        gen_time=stamped.gen_time,
        left_out=tuple(gathered.left_out),
    )


def _gather(connection: psycopg.Connection[Any], keys: Sequence[LogKey]) -> _Gathered:
    gathered = _Gathered(asked_at=_now(connection))
    rows = connection.execute(
        "SELECT log_id, origin, size, root, note FROM evidence_newest_checkpoints()"
    ).fetchall()
    # Sorted here: the database's collation is not the order of bytes.
    for log_id, origin, size, root, note in sorted(rows, key=lambda row: str(row[1])):
        verifiers = log_verifiers(origin, keys)
        try:
            checkpoint = open_checkpoint(note, origin=origin, verifiers=verifiers)
        except (NoteError, CheckpointError):
            gathered.left_out.append(origin)
            continue
        if (checkpoint.size, checkpoint.root) != (size, bytes(root)):
            gathered.left_out.append(origin)
            continue
        gathered.log_ids.append(log_id)
        gathered.checkpoints.append(checkpoint)
    return gathered


def _now(connection: psycopg.Connection[Any]) -> datetime:
    """The database's clock, from which the entries' times come."""
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    if row is None:
        raise RuntimeError("a SELECT without a table has one row")
    instant: datetime = row[0]
    return instant


def _store(
    connection: psycopg.Connection[Any], gathered: _Gathered, tree: SuperRootTree, stamped: Stamp
) -> None:
    connection.execute(
        "SELECT evidence_store_timestamp(%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            uuid7(gathered.asked_at),
            gathered.asked_at,
            stamped.gen_time,
            tree.super_root().root,
            b"".join(tree.leaves),
            stamped.response,
            gathered.log_ids,
            [checkpoint.size for checkpoint in gathered.checkpoints],
        ),
    )
