"""How far a log was copied into a store: a row that saves work and proves nothing.

It moves on only from where its reader found it, so of two workers on one log the slower one is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.ledger.logs import LogRef
from auditvault.ledger.scope import region_alias, tenant_scope, usable_connection


class CopyOvertakenError(AuditvaultError):
    """Another worker copies the same log, and has moved on."""

    code: ClassVar[str] = "copy_overtaken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is in the store, as far as is known."""

    size: int = 0
    """Entries, a multiple of 256, whose full tiles and bundles are there."""
    checkpoint: str | None = None
    """Name of the newest checkpoint there."""
    signed_at: datetime | None = None
    """When a checkpoint of that size was last signed."""


def read_progress(connection: psycopg.Connection[Any], log: LogRef, store: bytes) -> Progress:
    """The log's row, inside a `tenant_scope`; nothing where there is none."""
    row = connection.execute(
        "SELECT size, checkpoint, signed_at FROM evidence_copy"
        " WHERE tenant_id = %s AND log_id = %s AND store = %s",
        (log.tenant_id, log.log_id, store),
    ).fetchone()
    return Progress() if row is None else Progress(size=row[0], checkpoint=row[1], signed_at=row[2])


def move_progress(
    *, region: str, log: LogRef, store: bytes, old: Progress, new: Progress
) -> Progress:
    """Write `new` where the row still says `old`; returns it. Raises CopyOvertakenError."""
    if new == old:
        return new
    with tenant_scope(region_alias(region), log.tenant_id) as connection:
        row = connection.execute(
            "SELECT evidence_move_copy(%s, %s, %s, %s, %s, %s, %s)",
            (
                log.log_id,
                store,
                old.size,
                old.checkpoint,
                new.size,
                new.checkpoint,
                new.signed_at,
            ),
        ).fetchone()
    if row is None or not row[0]:
        raise CopyOvertakenError("Another worker copies this log.")
    return new


def copy_age(region: str, store: bytes) -> timedelta | None:
    """How old the newest copied checkpoint is of the log that is furthest behind; None before there is a log.

    A log of which nothing was copied yet counts from its beginning.
    """
    row = (
        usable_connection(region_alias(region))
        .execute("SELECT clock_timestamp() - evidence_copied_until(%s)", (store,))
        .fetchone()
    )
    age: timedelta | None = row[0] if row is not None else None
    return age
