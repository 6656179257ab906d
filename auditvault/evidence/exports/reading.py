"""Looking at exports: what there is and how far it has come, once it is recorded that somebody looks (ADR 26).

Of these looks the first of a window is recorded. What is shown is of staff and of filters that name nobody; the rows
themselves are for `services.fetch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from auditvault.access.credentials import Credential
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.paging import id_of, page_cursor
from auditvault.access.windows.services import Before, record_first
from auditvault.core.policy.access import AccessDeniedError, Act
from auditvault.core.tlog.canonical import JsonValue, parse_canonical
from auditvault.evidence.exports.services import ExportNotFoundError
from auditvault.ledger.scope import region_alias, tenant_scope

MAX_PAGE = 200
_COLUMNS = "export_id, actor, request, created_at, expires_at, state, row_count, part_count"
_OVER_TIME = ("queued", "made")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRecord:
    """An export as its human and whoever examines looks see it."""

    export_id: UUID
    actor: str
    request: dict[str, JsonValue]
    created_at: datetime
    expires_at: datetime
    state: str
    """`queued`, `made`, `fetched`, `cancelled`, `failed`, or `expired`."""
    rows: int
    parts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Exports, newest first, and where the next page begins."""

    exports: list[ExportRecord]
    next_cursor: str | None


def list_exports(
    *,
    credential: Credential,
    region: str,
    now: datetime,
    limit: int = MAX_PAGE,
    cursor: str | None = None,
) -> Page:
    """The caller's exports; those of everybody, for who examines looks.

    Raises:
        HumanRequiredError, CursorError, AccessNotRecordedError.
    """
    human, before = _whose(credential), id_of(cursor)
    limit = max(1, min(limit, MAX_PAGE))
    _record(credential, region, now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM evidence_export"  # noqa: S608  # our own words only
            " WHERE (%s::uuid IS NULL OR human = %s) AND (%s::uuid IS NULL OR export_id < %s)"
            " ORDER BY export_id DESC LIMIT %s",
            (human, human, before, before, limit + 1),
        ).fetchall()
    page = [_export(row, now) for row in rows[:limit]]
    return Page(
        exports=page, next_cursor=page_cursor(page[-1].export_id) if len(rows) > limit else None
    )


def show_export(
    *, credential: Credential, region: str, export_id: UUID, now: datetime
) -> ExportRecord:
    """One of those that `list_exports` lists; raises as it does, and ExportNotFoundError."""
    human = _whose(credential)
    _record(credential, region, now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        row = connection.execute(
            f"SELECT {_COLUMNS} FROM evidence_export"  # noqa: S608  # our own words only
            " WHERE export_id = %s AND (%s::uuid IS NULL OR human = %s)",
            (export_id, human, human),
        ).fetchone()
    if row is None:
        raise ExportNotFoundError("There is no such export.")
    return _export(row, now)


def check_fetchable(*, credential: Credential, region: str, export_id: UUID, now: datetime) -> None:
    """Nothing, if the caller could fetch it now; raises ExportNotFoundError or as `list_exports`."""
    human = credential.require_human()
    _record(credential, region, now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        row = connection.execute(
            "SELECT FROM evidence_export"
            " WHERE export_id = %s AND human = %s AND state = 'made' AND expires_at > %s",
            (export_id, human, now),
        ).fetchone()
    if row is None:
        raise ExportNotFoundError("There is no such export to fetch.")


def _whose(credential: Credential) -> UUID | None:
    """Whose exports the caller sees; None: everybody's."""
    try:
        credential.role_for(Act.READ_ACCESS_LOG)
    except AccessDeniedError:
        return credential.require_human()
    return None


def _export(row: tuple[Any, ...], now: datetime) -> ExportRecord:
    request = parse_canonical(bytes(row[2]))
    return ExportRecord(
        export_id=row[0],
        actor=row[1],
        request=request if isinstance(request, dict) else {},
        created_at=row[3],
        expires_at=row[4],
        state="expired" if row[5] in _OVER_TIME and row[4] <= now else row[5],
        rows=row[6],
        parts=row[7],
    )


def _record(credential: Credential, region: str, now: datetime) -> None:
    def reading(before: Before | None) -> RecordedAct:
        return RecordedAct(
            actor=credential.actor,
            actor_role=None,
            action="read_exports",
            outcome="granted",
            details=before.details() if before else {},
        )

    record_first(
        region=region,
        tenant_id=credential.tenant_id,
        caller=credential.actor,
        what="read_exports",
        window_seconds=settings.READ_WINDOW_SECONDS,
        act=reading,
        now=now,
    )
