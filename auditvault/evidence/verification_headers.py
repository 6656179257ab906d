"""Each entry's header: there, opening the entry's commitment, and equal to its search columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import psycopg

from auditvault.access.events.services import projection as event_projection
from auditvault.core.ids import instant_of
from auditvault.core.tlog.commitment import CommitmentError, verify_header_commitment
from auditvault.core.tlog.prune import ENTRY_TYPE as PRUNE_TYPE
from auditvault.evidence.verification_report import Report
from auditvault.evidence.verification_walk import Taken
from auditvault.ledger.admin.services import projection as operation_projection
from auditvault.ledger.logs import LogRef
from auditvault.ledger.pruning import prune_records
from auditvault.traces.services import projection as header_projection


class _Kind(NamedTuple):
    """Where the headers of a kind of log stand, and what their search columns must be."""

    table: str
    columns: str
    project: Callable[[LogRef, UUID, dict[str, Any]], tuple[Any, ...]]


def _interaction(log: LogRef, record_id: UUID, members: dict[str, Any]) -> tuple[Any, ...]:
    return header_projection(
        members, tenant_id=log.tenant_id, record_id=record_id, recorded_at=instant_of(record_id)
    )


_KINDS = {
    "interactions": _Kind(
        "traces_header",
        "tenant_id, record_id, trace_id, span_id, parent_span_id, revision, started_at,"
        " duration_ns, operation, status, name, provider, model, input_tokens, output_tokens,"
        " service, environment, feature, error_type",
        _interaction,
    ),
    "access": _Kind(
        "access_event",
        "record_id, recorded_at, action, outcome, actor, actor_role, purpose_code, case_ref",
        lambda _log, record_id, members: event_projection(members, record_id=record_id),
    ),
    "admin": _Kind(
        "admin_event",
        "record_id, recorded_at, action",
        lambda _log, record_id, members: operation_projection(members, record_id=record_id),
    ),
}


class Committed(NamedTuple):
    """A header that its entry commits to, at the index `place`: what it says can be believed."""

    place: int
    record_id: UUID
    members: dict[str, Any]


def check_headers(
    connection: psycopg.Connection[Any], log: LogRef, taken: Sequence[Taken], report: Report
) -> list[Committed]:
    """Check the headers of some entries; returns those that their entries commit to.

    Prune records are headers too, and stand apart in any log.
    """
    prunes = [item for item in taken if item[2].type == PRUNE_TYPE]
    if prunes:
        _check_prunes(connection, log, prunes, report)
        taken = [item for item in taken if item[2].type != PRUNE_TYPE]
    kind = _KINDS[log.kind]
    found = connection.execute(
        f"SELECT record_id, opening, header, {kind.columns} FROM {kind.table}"  # noqa: S608
        " WHERE record_id = ANY(%s)",
        ([record_id for _, record_id, _ in taken],),
    ).fetchall()
    stored = {row[0]: row[1:] for row in found}
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


def _check_prunes(
    connection: psycopg.Connection[Any], log: LogRef, taken: Sequence[Taken], report: Report
) -> None:
    """Every prune entry has its record; what the record says is checked where the log's beginning is looked for."""
    known = {stored.record_id: stored for stored in prune_records(connection, log)}
    for index, record_id, _ in taken:
        if record_id in known and known[record_id].index == index:
            report.headers += 1
        else:
            report.bad("header_missing", index)


def _projects(
    log: LogRef, record_id: UUID, members: dict[str, Any], columns: tuple[Any, ...]
) -> bool:
    stored = tuple(bytes(value) if isinstance(value, memoryview) else value for value in columns)
    return _KINDS[log.kind].project(log, record_id, members) == stored


def check_unrecorded(connection: psycopg.Connection[Any], log: LogRef, report: Report) -> None:
    """No header may stand there that no entry commits to; it has no place, so the log's end is named.

    An entry that is missing leaves its header behind: that is one finding and not two.
    """
    table = _KINDS[log.kind].table
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
