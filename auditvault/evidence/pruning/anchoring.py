"""Has what the log said of its prune left this database: signed, and, as configured, cosigned, stamped and copied?

Only then may entries go. Somebody outside then holds the log's word for what it gave up, whatever happens here later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.conf import settings

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.pruning import PruneClockError
from auditvault.core.tlog.checkpoint import Checkpoint, open_checkpoint
from auditvault.core.tlog.copy_names import CopiedName
from auditvault.core.tlog.log_key import LogKey, log_verifiers
from auditvault.evidence.anchors.selectors import first_timestamp
from auditvault.evidence.copies.progress import read_progress
from auditvault.evidence.copies.stores import region_place
from auditvault.ledger.cosignatures import configured_policy, witnessed_checkpoint
from auditvault.ledger.logs import LogRef
from auditvault.ledger.pruning import range_at
from auditvault.ledger.selectors import SignedCheckpoint, latest_checkpoint


class PruneLogDamagedError(AuditvaultError):
    """The log is not as it was signed, or entries that would go are missing or changed: a prune would hide it."""

    code = "prune_log_damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchored:
    """What has to be anchored."""

    index: int
    """Of the prune entry."""
    last_at: datetime
    """The newest entry's time that would go."""
    min_age: timedelta
    """How old it has to be."""


def signed_checkpoint(
    connection: psycopg.Connection[Any], log: LogRef, keys: Sequence[LogKey]
) -> Checkpoint | None:
    """The log's newest checkpoint, its signature verified and the log found to be as it says; None before the first.

    Raises NoteError or CheckpointError where no known key has signed it, PruneLogDamagedError.
    """
    newest = latest_checkpoint(connection, log)
    return _verified(connection, log, newest, keys) if newest is not None else None


def _verified(
    connection: psycopg.Connection[Any],
    log: LogRef,
    found: SignedCheckpoint,
    keys: Sequence[LogKey],
) -> Checkpoint:
    verifiers = log_verifiers(log.origin, keys)
    checkpoint = open_checkpoint(found.note, origin=log.origin, verifiers=verifiers)
    if range_at(connection, log, checkpoint.size).root() != checkpoint.root:
        raise PruneLogDamagedError("The log is not as it was signed. Verify it.")
    return checkpoint


def missing_anchors(
    connection: psycopg.Connection[Any],
    log: LogRef,
    anchored: Anchored,
    keys: Sequence[LogKey],
) -> tuple[str, ...]:
    """What is still waited for: `checkpoint`, `witnesses`, `timestamp`, `copies`; nothing where entries may go.

    Raises as `signed_checkpoint`, and PruneClockError where a time stamp shows that the entries are not old enough.
    """
    newest = signed_checkpoint(connection, log, keys)
    missing = []
    if newest is None or newest.size <= anchored.index:
        missing.append("checkpoint")
    policy = configured_policy()
    if policy is not None and policy.quorum is not None:
        witnessed = witnessed_checkpoint(connection, log, policy)
        if witnessed is None or _verified(connection, log, witnessed, keys).size <= anchored.index:
            missing.append("witnesses")
    if settings.TSA_URL and not _is_stamped(connection, log, anchored):
        missing.append("timestamp")
    if not _is_copied(connection, log, anchored):
        missing.append("copies")
    return tuple(missing)


def _is_copied(connection: psycopg.Connection[Any], log: LogRef, anchored: Anchored) -> bool:
    """Whether the region's store has the log up to the prune entry: what goes here cannot be copied later."""
    place = region_place(log.origin.split("/")[1])
    if place is None:
        return True
    copied = read_progress(connection, log, place.digest).checkpoint
    return copied is not None and CopiedName.parse(copied).size > anchored.index


def _is_stamped(connection: psycopg.Connection[Any], log: LogRef, anchored: Anchored) -> bool:
    stamped = first_timestamp(connection, log, size=anchored.index + 1)
    if stamped is None:
        return False
    slack = timedelta(seconds=settings.CLOCK_SKEW_SECONDS)
    if stamped.gen_time + slack < anchored.last_at + anchored.min_age:
        raise PruneClockError(
            "The time stamp over the prune is earlier than the policy allows it to be."
        )
    return True
