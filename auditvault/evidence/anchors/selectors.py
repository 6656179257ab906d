"""Reading stamps: the one that proves when a log had reached a size, and how old the newest is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from auditvault.core.tlog.merkle import split_hashes
from auditvault.core.tlog.super_root import SuperRootTree, TimestampProof
from auditvault.ledger.logs import LogRef
from auditvault.ledger.scope import region_alias, usable_connection


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTimestamp:
    """A stamp over one log's checkpoint."""

    size: int
    """Entries of the log that the stamped checkpoint covers."""
    gen_time: datetime
    """The stamp's own time."""
    proof: TimestampProof
    """What is handed out (docs/spec/timestamp.md section 5)."""


def first_timestamp(
    connection: psycopg.Connection[Any], log: LogRef, *, size: int
) -> LogTimestamp | None:
    """The first stamp over a checkpoint of at least `size` entries; None before there is one.

    Inside a `tenant_scope`. Entry `i` is proved to have existed by the stamp for size `i` + 1.
    """
    return _timestamp(connection, log, "s.size >= %s ORDER BY s.size", size)


def last_timestamp(
    connection: psycopg.Connection[Any], log: LogRef, *, size: int
) -> LogTimestamp | None:
    """The stamp over the greatest checkpoint of at most `size` entries; None before there is one."""
    return _timestamp(connection, log, "s.size <= %s ORDER BY s.size DESC", size)


def _timestamp(
    connection: psycopg.Connection[Any], log: LogRef, which: str, size: int
) -> LogTimestamp | None:
    row = connection.execute(
        "SELECT s.size, s.leaf_index, t.gen_time, t.leaves, t.response, c.note"  # noqa: S608  # our own words only
        " FROM evidence_stamped AS s JOIN evidence_timestamp AS t USING (timestamp_id)"
        " CROSS JOIN LATERAL (SELECT note FROM ledger_checkpoint AS cp WHERE cp.tenant_id = s.tenant_id"
        "  AND cp.log_id = s.log_id AND cp.size = s.size ORDER BY cp.signed_at LIMIT 1) AS c"
        f" WHERE s.tenant_id = %s AND s.log_id = %s AND {which} LIMIT 1",
        (log.tenant_id, log.log_id, size),
    ).fetchone()
    if row is None:
        return None
    tree = SuperRootTree(tuple(split_hashes(bytes(row[3]))))
    proof = TimestampProof(
        checkpoint=row[5],
        index=row[1],
        inclusion_proof=tree.inclusion_proof(row[1]),
        super_root=tree.super_root(),
        response=bytes(row[4]),
    )
    return LogTimestamp(size=row[0], gen_time=row[2], proof=proof)


def newest_age(region: str) -> timedelta | None:
    """How long ago the region's newest stamp was made, by the database's clock; None before the first."""
    row = (
        usable_connection(region_alias(region))
        .execute("SELECT clock_timestamp() - max(gen_time) FROM evidence_timestamp")
        .fetchone()
    )
    age: timedelta | None = row[0] if row is not None else None
    return age
