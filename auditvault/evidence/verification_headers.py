"""Each entry's header: there, opening the entry's commitment, and equal to its search columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import psycopg

from auditvault.access.events.services import projection as event_projection
from auditvault.core.ids import instant_of
from auditvault.core.tlog.commitment import CommitmentError, verify_header_commitment
from auditvault.evidence.verification_report import Report
from auditvault.evidence.verification_walk import Taken
from auditvault.ledger.logs import LogRef
from auditvault.traces.services import projection as header_projection

_EVENT_COLUMNS = (
    "record_id, recorded_at, action, outcome, actor, actor_role, purpose_code, case_ref"
)
_HEADER_COLUMNS = (
    "tenant_id, record_id, trace_id, span_id, parent_span_id, revision, started_at, duration_ns,"
    " operation, status, name, provider, model, input_tokens, output_tokens, service, environment,"
    " feature, error_type"
)
_HEADER_TABLES = {"interactions": "traces_header", "access": "access_event"}


class Committed(NamedTuple):
    """A header that its entry commits to, at the index `place`: what it says can be believed."""

    place: int
    record_id: UUID
    members: dict[str, Any]


def check_headers(
    connection: psycopg.Connection[Any], log: LogRef, taken: Sequence[Taken], report: Report
) -> list[Committed]:
    """Check the headers of some entries; returns those that their entries commit to."""
    table, columns = (
        ("traces_header", _HEADER_COLUMNS)
        if log.kind == "interactions"
        else ("access_event", _EVENT_COLUMNS)
    )
    found = connection.execute(
        f"SELECT opening, header, {columns} FROM {table} WHERE record_id = ANY(%s)",  # noqa: S608
        ([record_id for _, record_id, _ in taken],),
    ).fetchall()
    at = 3 if log.kind == "interactions" else 2
    stored = {row[at]: row for row in found}
    committed = []
    for index, record_id, entry in taken:
        row = stored.get(record_id)
        if row is None:
            report.bad("header_missing", index)
            report.unaccounted += 1
            continue
        report.headers += 1
        header = bytes(row[1])
        try:
            verify_header_commitment(
                commitment=entry.commitment,
                opening=bytes(row[0]),
                entry_type=entry.type,
                header_bytes=header,
            )
            members = orjson.loads(header)
            if not _projects(log, record_id, members, row[2:]):
                report.bad("header_columns", index)
            committed.append(Committed(index, record_id, members))
        except CommitmentError:
            report.bad("header_commitment", index)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            report.bad("header_form", index)
    return committed


def _projects(
    log: LogRef, record_id: UUID, members: dict[str, Any], columns: tuple[Any, ...]
) -> bool:
    if log.kind == "interactions":
        projected = header_projection(
            members, tenant_id=log.tenant_id, record_id=record_id, recorded_at=instant_of(record_id)
        )
    else:
        projected = event_projection(members, record_id=record_id)
    stored = tuple(bytes(value) if isinstance(value, memoryview) else value for value in columns)
    return projected == stored


def check_unrecorded(connection: psycopg.Connection[Any], log: LogRef, report: Report) -> None:
    """No header may stand there that no entry commits to; it has no place, so the log's end is named.

    An entry that is missing leaves its header behind: that is one finding and not two.
    """
    table = _HEADER_TABLES.get(log.kind)
    if table is None:
        return
    # Both sides are read once. Without statistics the planner would look all entries through for each header.
    connection.execute("SET LOCAL enable_nestloop = off")
    row = connection.execute(
        f"SELECT count(*) FROM (SELECT FROM {table} AS h WHERE NOT EXISTS (SELECT FROM ledger_entry AS e"  # noqa: S608
        " WHERE e.tenant_id = h.tenant_id AND e.log_id = %s AND e.record_id = h.record_id)"
        " LIMIT %s) AS unrecorded",
        (log.log_id, report.unaccounted + 1),
    ).fetchone()
    if row is not None and row[0] > report.unaccounted:
        report.bad("header_unrecorded", report.entries)
