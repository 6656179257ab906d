"""The rows of break-glass and of looks under it. Whoever calls is in a transaction of the tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.break_glass import BreakGlass, Review, Verdict

_SELECT = (
    "SELECT break_glass_id, record_id, human_id, holder, case_ref, opened_at, expires_at, due_at, ended_at,"
    " reviewed_at, reviewer, verdict, review_case, (SELECT count(*) FROM access_break_glass_look AS l"
    " WHERE l.tenant_id = b.tenant_id AND l.break_glass_id = b.break_glass_id) FROM access_break_glass AS b"
)


class BreakGlassNotFoundError(AuditvaultError):
    """There is no such break-glass that the caller may see."""

    code = "break_glass_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlassRecord:
    """A break-glass as it is stored; `holder` and `reviewer` are actors as in records."""

    opened: BreakGlass
    record_id: UUID
    """Of its admin record, with which the reason is sealed."""
    holder: str
    reviewer: str | None = None
    looks: int = 0


def lock(connection: psycopg.Connection[Any], tenant_id: UUID) -> None:
    """Wait for whoever opens one of the tenant's; what is read afterwards stands until the commit."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtext('access_break_glass'), hashtext(%s))",
        (str(tenant_id),),
    )


def insert(connection: psycopg.Connection[Any], tenant_id: UUID, record: BreakGlassRecord) -> None:
    """Store one; the database refuses a second open one of a human's, and any while an earlier one is overdue."""
    opened = record.opened
    connection.execute(
        "INSERT INTO access_break_glass (tenant_id, break_glass_id, record_id, human_id, holder, case_ref, opened_at,"
        " expires_at, due_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            tenant_id,
            opened.break_glass_id,
            record.record_id,
            opened.human,
            record.holder,
            opened.case,
            opened.opened_at,
            opened.expires_at,
            opened.due_at,
        ),
    )


def unfinished(connection: psycopg.Connection[Any], now: datetime) -> list[BreakGlassRecord]:
    """The tenant's that are not over, or not reviewed."""
    rows = connection.execute(
        f"{_SELECT} WHERE reviewed_at IS NULL OR coalesce(ended_at, expires_at) > %s", (now,)
    ).fetchall()
    return [_record(row) for row in rows]


def open_of(
    connection: psycopg.Connection[Any], *, human: HumanId, case: str, now: datetime
) -> BreakGlass | None:
    """The human's that is open for the case; None where there is none."""
    row = connection.execute(
        f"{_SELECT} WHERE human_id = %s AND case_ref = %s AND ended_at IS NULL"
        " AND opened_at <= %s AND expires_at > %s",
        (human, case, now, now),
    ).fetchone()
    return None if row is None else _record(row).opened


def read(connection: psycopg.Connection[Any], break_glass_id: UUID) -> BreakGlassRecord:
    """One of the tenant's; raises BreakGlassNotFoundError."""
    row = connection.execute(f"{_SELECT} WHERE break_glass_id = %s", (break_glass_id,)).fetchone()
    if row is None:
        raise BreakGlassNotFoundError("There is no such break-glass.")
    return _record(row)


def page(
    connection: psycopg.Connection[Any],
    *,
    human: UUID | None,
    only_unreviewed: bool,
    before: UUID | None,
    limit: int,
) -> list[BreakGlassRecord]:
    """Those of the tenant, of one human where one is named, newest first."""
    rows = connection.execute(
        f"{_SELECT} WHERE (%s::uuid IS NULL OR human_id = %s) AND (%s::uuid IS NULL OR break_glass_id < %s)"
        " AND (reviewed_at IS NULL OR NOT %s) ORDER BY break_glass_id DESC LIMIT %s",
        (human, human, before, before, only_unreviewed, limit),
    ).fetchall()
    return [_record(row) for row in rows]


def note_look(
    connection: psycopg.Connection[Any],
    opened: BreakGlass,
    *,
    record_id: UUID,
    objects: int,
    now: datetime,
) -> bool:
    """Store a look under it; False, and nothing stored, where it is over by now."""
    row = connection.execute(
        "SELECT access_look_under_break_glass(%s, %s, %s, %s, %s)",
        (opened.break_glass_id, opened.human, record_id, objects, now),
    ).fetchone()
    return bool(row and row[0])


def end(connection: psycopg.Connection[Any], break_glass_id: UUID, *, now: datetime) -> bool:
    """End it; False where it is over."""
    row = connection.execute(
        "SELECT access_end_break_glass(%s, %s)", (break_glass_id, now)
    ).fetchone()
    return bool(row and row[0])


def review(
    connection: psycopg.Connection[Any],
    break_glass_id: UUID,
    *,
    human: HumanId,
    actor: str,
    said: Review,
) -> bool:
    """Store its review; False where it is open, or was reviewed before."""
    row = connection.execute(
        "SELECT access_review_break_glass(%s, %s, %s, %s, %s, %s)",
        (break_glass_id, human, actor, said.verdict.value, said.case, said.reviewed_at),
    ).fetchone()
    return bool(row and row[0])


def _record(row: tuple[Any, ...]) -> BreakGlassRecord:
    break_glass_id, record_id, human, holder, case, opened_at, expires_at, due_at, ended_at = row[
        :9
    ]
    reviewed_at, reviewer, verdict, review_case, looks = row[9:]
    said = None
    if reviewed_at is not None:
        said = Review(verdict=Verdict(verdict), case=review_case, reviewed_at=reviewed_at)
    opened = BreakGlass(
        break_glass_id=break_glass_id,
        human=HumanId(human),
        case=case,
        opened_at=opened_at,
        expires_at=expires_at,
        due_at=due_at,
        ended_at=ended_at,
        review=said,
    )
    return BreakGlassRecord(
        opened=opened, record_id=record_id, holder=holder, reviewer=reviewer, looks=looks
    )
