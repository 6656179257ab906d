"""Making the parts of an export: claimed by a worker, gone on with where it was, never in clear outside this process.

1. An export is claimed for a lease.                       Crash after: due again after the lease.
2. A part is read, rendered, encrypted, and written with where the next one begins, in one transaction.
                                                            Crash: this part is made again, those before stay.
3. The entry `export.made` is written with the move to `made`, in one transaction.       Crash: both or neither.

An export that was cancelled, or that another attempt goes on with, takes no part any more.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.crypto.cms import encrypt
from auditvault.core.ids import instant_of
from auditvault.core.tlog.canonical import JsonValue, parse_canonical
from auditvault.evidence.exports.rows import Watermark, render
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.services import format_instant
from auditvault.traces.selectors import MAX_PAGE, Search, search

ENTRY_TYPE_MADE = "export.made"
LEASE = timedelta(minutes=5)
_NIL = UUID(int=0)
_PAGES_IN_A_PART = 25
_COLUMNS = (
    "tenant_id, export_id, actor, request, certificate, created_at, attempts, cursor, part_count"
)


def make_due(region: str) -> int:
    """Make every export of the region that is due; returns how many were claimed."""
    claimed = 0
    while (row := _claim(region)) is not None:
        claimed += 1
        _make(region, *row)
    return claimed


def forget_parts(region: str) -> int:
    """Delete parts that nobody will fetch any more; returns how many."""
    with tenant_scope(region_alias(region), _NIL) as connection:
        row = connection.execute("SELECT evidence_forget_parts()").fetchone()
    return int(row[0]) if row else 0


def _claim(region: str) -> tuple[Any, ...] | None:
    with tenant_scope(region_alias(region), _NIL) as connection:
        row: tuple[Any, ...] | None = connection.execute(
            f"SELECT {_COLUMNS} FROM evidence_claim_export(%s)",  # noqa: S608  # our own words only
            (LEASE,),
        ).fetchone()
    return row


def _make(
    region: str,
    tenant_id: UUID,
    export_id: UUID,
    actor: str,
    request: bytes,
    certificate: bytes,
    created_at: datetime,
    attempt: int,
    cursor: str | None,
    parts: int,
) -> None:
    said = parse_canonical(bytes(request))
    asked = said if isinstance(said, dict) else {}
    mark = Watermark(
        export=str(export_id), exported_by=actor, exported_at=format_instant(created_at)
    )
    while cursor is not None or not parts:
        with tenant_scope(region_alias(region), tenant_id) as connection:
            headers, cursor = _pages(connection, asked, cursor, created_at)
            form = "jsonl" if asked["form"] == "jsonl" else "csv"
            body = encrypt(
                render(headers, form=form, mark=mark),  # type: ignore[arg-type]
                certificate=bytes(certificate),
            )
            added = connection.execute(
                "SELECT evidence_add_part(%s, %s, %s, %s, %s, %s, %s)",
                (export_id, attempt, len(headers), sha256(body).digest(), body, cursor, LEASE),
            ).fetchone()
        if not (added and added[0]):
            return
        parts += 1
    _finish(region, tenant_id, export_id, attempt, actor)


def _pages(
    connection: psycopg.Connection[Any],
    asked: dict[str, JsonValue],
    cursor: str | None,
    created_at: datetime,
) -> tuple[list[dict[str, JsonValue]], str | None]:
    """The headers of one part, without those that were recorded after the export was asked for."""
    headers: list[dict[str, JsonValue]] = []
    for _ in range(_PAGES_IN_A_PART):
        found = search(connection, _query(asked, cursor))
        headers += [h for h in found.headers if instant_of(UUID(str(h["id"]))) <= created_at]
        cursor = found.next_cursor
        if cursor is None:
            break
    return headers, cursor


def _query(asked: dict[str, JsonValue], cursor: str | None) -> Search:
    return Search(
        started_from=datetime.fromisoformat(str(asked["started_from"])),
        started_before=datetime.fromisoformat(str(asked["started_before"])),
        trace_id=bytes.fromhex(str(asked["trace_id"])) if "trace_id" in asked else None,
        equal={"status": str(asked["status"])} if "status" in asked else {},
        limit=MAX_PAGE,
        cursor=cursor,
    )


def _finish(region: str, tenant_id: UUID, export_id: UUID, attempt: int, actor: str) -> None:
    log = admin_log(region, tenant_id)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        moved = connection.execute(
            "SELECT evidence_move_export(%s, 'made', %s, %s)", (export_id, attempt, _NIL)
        ).fetchone()
        if not (moved and moved[0]):
            return
        rows = connection.execute(
            "SELECT row_count, sha256 FROM evidence_export_part WHERE export_id = %s ORDER BY number",
            (export_id,),
        ).fetchall()
        details: dict[str, JsonValue] = {
            "export": str(export_id),
            "actor": actor,
            "rows": sum(row[0] for row in rows),
            "parts": [bytes(row[1]).hex() for row in rows],
        }
        record_in(
            connection,
            log,
            record_id=new_record_id(connection),
            action=ENTRY_TYPE_MADE,
            details=details,
        )
