"""Reads and writes runs and what they mean, inside a scope of their tenant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.retention_policy import RecordClass
from auditvault.core.policy.retention_run import (
    ClassCounts,
    RunOutcome,
    RunPlan,
    candidates_root,
)
from auditvault.privacy.retention.preview import Cuts

_COLUMNS = (
    "run_id, state, paused_at, policy, version, as_of, plan, digest, due, shared, started_at, begun_at, ended_at,"
    " outcome, reason, remaining, record_id"
)
_COUNTS = "destroyed, held, failed, gone, bytes"


class RunNotFoundError(AuditvaultError):
    """The tenant has no such run in this region."""

    code: ClassVar[str] = "retention_run_not_found"


class RunEndedError(AuditvaultError):
    """The run has ended, or is so already."""

    code: ClassVar[str] = "retention_run_not_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run, how far it is, and how it ended."""

    run_id: UUID
    state: str
    """`planned`, `executing` or `ended`."""
    paused_at: datetime | None
    policy: bytes
    """SHA-256 of the document."""
    version: int
    as_of: date
    plan: bytes
    digest: bytes
    due: int
    shared: int
    started_at: datetime
    begun_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    reason: str | None
    remaining: int | None
    record_id: UUID | None
    destroyed: int
    held: int
    failed: int
    gone: int
    bytes: int

    @property
    def is_open(self) -> bool:
        """Whether it may go on."""
        return self.state != "ended"

    @property
    def looked_at(self) -> int:
        """How many of what is due had their turn."""
        return self.destroyed + self.held + self.failed + self.gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is past its time: a tree over it, and how much."""

    root: bytes
    due: int
    shared: int


def run_of(connection: psycopg.Connection[Any], run_id: UUID) -> Run:
    """Raises RunNotFoundError."""
    found = _runs(connection, "r.run_id = %s", (run_id,))
    if not found:
        raise RunNotFoundError("The tenant has no such run in this region.")
    return found[0]


def runs(connection: psycopg.Connection[Any], *, most: int) -> list[Run]:
    """The newest runs, newest first."""
    return _runs(connection, "true", (), f" ORDER BY r.started_at DESC, r.run_id DESC LIMIT {most}")


def open_run(connection: psycopg.Connection[Any]) -> Run | None:
    """The one that has not ended, if there is one."""
    found = _runs(connection, "r.state <> 'ended'", ())
    return found[0] if found else None


def _runs(
    connection: psycopg.Connection[Any], which: str, values: tuple[Any, ...], rest: str = ""
) -> list[Run]:
    """Counts of an open run are those of its items, so far."""
    columns = ", ".join(f"r.{name}" for name in _COLUMNS.split(", "))
    counts = ", ".join(f"coalesce(r.{name}, c.{name}) AS {name}" for name in _COUNTS.split(", "))
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"SELECT {columns}, {counts} FROM retention_run AS r"  # noqa: S608  # our own words only
            f" CROSS JOIN LATERAL retention_run_counts(r.run_id) AS c WHERE {which}{rest}",
            values,
        ).fetchall()


def list_candidates(
    connection: psycopg.Connection[Any], tenant_id: UUID, run_id: UUID, cuts: Cuts
) -> Found:
    """Note everything that is past its time as what the run means; its row comes before the transaction ends."""
    connection.execute(
        "INSERT INTO retention_run_item (tenant_id, run_id, object_id)"
        " SELECT %s, %s, object_id FROM retention_candidates(%s, %s::text[], %s::uuid[]) WHERE NOT shared",
        (tenant_id, run_id, *cuts),
    )
    return _found(
        connection,
        cuts,
        "SELECT object_id FROM retention_run_item WHERE run_id = %s ORDER BY object_id",
        (run_id,),
    )


def find_candidates(connection: psycopg.Connection[Any], cuts: Cuts) -> Found:
    """What is past its time now."""
    return _found(
        connection,
        cuts,
        "SELECT object_id FROM retention_candidates(%s, %s::text[], %s::uuid[]) WHERE NOT shared ORDER BY object_id",
        tuple(cuts),
    )


def _found(
    connection: psycopg.Connection[Any], cuts: Cuts, query: str, values: tuple[Any, ...]
) -> Found:
    due = 0

    def counted(rows: Iterator[Any]) -> Iterator[tuple[UUID, RecordClass]]:
        nonlocal due
        for (object_id,) in rows:
            due += 1
            yield object_id, RecordClass.PAYLOAD

    with connection.cursor(
        name="retention_candidates"
    ) as cursor:  # on the server: there may be millions
        cursor.execute(query, values)
        root = candidates_root(counted(iter(cursor)))
    row = connection.execute(
        "SELECT count(*) FROM retention_candidates(%s, %s::text[], %s::uuid[]) WHERE shared",
        tuple(cuts),
    ).fetchone()
    return Found(root=root, due=due, shared=row[0] if row else 0)


def plan_of(*, tenant_id: UUID, region: str, policy: str, as_of: date, found: Found) -> RunPlan:
    """The plan over what was found; `policy` is the SHA-256 of its document, hex."""
    counts = ClassCounts(due=found.due, shared=found.shared)
    return RunPlan(
        tenant_id=tenant_id,
        region=region,
        policy=policy,
        as_of=as_of,
        candidates=found.root,
        counts={RecordClass.PAYLOAD: counts},
    )


def store_plan(
    connection: psycopg.Connection[Any], run_id: UUID, plan: RunPlan, version: int
) -> None:
    """A run that nothing was done of."""
    counts = plan.counts[RecordClass.PAYLOAD]
    connection.execute(
        "INSERT INTO retention_run (tenant_id, run_id, policy, version, as_of, plan, digest, due, shared)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            plan.tenant_id,
            run_id,
            bytes.fromhex(plan.policy),
            version,
            plan.as_of,
            plan.body(),
            plan.digest(),
            counts.due,
            counts.shared,
        ),
    )


def begin(connection: psycopg.Connection[Any], run_id: UUID, digest: bytes) -> bool:
    """Whether the run is carried out from here on."""
    return _said(connection, "SELECT retention_run_begin(%s, %s)", (run_id, digest))


def set_paused(connection: psycopg.Connection[Any], run_id: UUID, *, is_paused: bool) -> bool:
    """Whether that changed anything."""
    return _said(connection, "SELECT retention_run_pause(%s, %s)", (run_id, is_paused))


def remaining(connection: psycopg.Connection[Any], run_id: UUID, cuts: Cuts) -> int:
    """How much is there that should not be, or is due and was not looked at."""
    row = connection.execute(
        "SELECT retention_run_remaining(%s, %s, %s::text[], %s::uuid[])", (run_id, *cuts)
    ).fetchone()
    return row[0] if row else 0


def end(
    connection: psycopg.Connection[Any],
    run_id: UUID,
    *,
    outcome: RunOutcome,
    reason: str | None,
    left: int,
    record_id: UUID,
) -> bool:
    """Whether it had not ended before."""
    return _said(
        connection,
        "SELECT retention_run_end(%s, %s, %s, %s, %s)",
        (run_id, outcome.value, reason, left, record_id),
    )


def _said(connection: psycopg.Connection[Any], query: str, values: tuple[Any, ...]) -> bool:
    row = connection.execute(query.encode(), values).fetchone()
    return bool(row and row[0])
