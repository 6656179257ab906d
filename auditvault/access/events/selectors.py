"""Reading access records, newest first, inside the caller's transaction; whoever calls has recorded, or records, that.

A record's id begins with its instant, so a period is a range of the primary key, and partitions outside it are not
looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import psycopg

from auditvault.core.reports.catalogue import Filters
from auditvault.core.tlog.canonical import JsonValue

Header = dict[str, JsonValue]

# Filter -> column of the projection.
_EQUAL = {
    "actor": "actor",
    "action": "action",
    "outcome": "outcome",
    "purpose_code": "purpose_code",
    "case": "case_ref",
    "role": "actor_role",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LAST_MILLISECOND = (1 << 48) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAct:
    """When an actor last did something under a role."""

    actor: str
    role: str
    at: datetime


def access_headers(
    connection: psycopg.Connection[Any],
    filters: Filters,
    *,
    limit: int,
    before: UUID | None = None,
    actions: Collection[str] = (),
) -> list[Header]:
    """Headers of up to `limit` records that match every filter, newest first, from the record `before` on backwards.

    `actions` narrows to any of these where it is not empty.
    """
    clauses, values = _clauses(filters)
    if before is not None:
        clauses.append("record_id < %s")
        values.append(before)
    if actions:
        clauses.append("action = ANY(%s)")
        values.append(list(actions))
    where = " AND ".join(clauses) or "true"
    rows = connection.execute(
        f"SELECT header FROM access_event WHERE {where} ORDER BY record_id DESC LIMIT %s",  # noqa: S608  # our own words only
        (*values, limit),
    )
    return [orjson.loads(header) for (header,) in rows]


def last_acts(connection: psycopg.Connection[Any]) -> Iterator[LastAct]:
    """For each actor and role that they acted under, the last record of it."""
    rows = connection.execute(
        "SELECT actor, actor_role, max(recorded_at) FROM access_event"
        " WHERE outcome = 'granted' AND actor_role IS NOT NULL GROUP BY actor, actor_role"
    )
    for actor, role, at in rows:
        yield LastAct(actor=actor, role=role, at=at.astimezone(UTC))


def _clauses(filters: Filters) -> tuple[list[str], list[Any]]:
    clauses: list[str] = []
    values: list[Any] = []
    if filters.recorded_from is not None:
        clauses.append("record_id >= %s")
        values.append(_first_id(filters.recorded_from))
    if filters.recorded_before is not None:
        clauses.append("record_id < %s")
        values.append(_first_id(filters.recorded_before))
    for name, column in _EQUAL.items():
        value = getattr(filters, name)
        if value is not None:
            clauses.append(f"{column} = %s")
            values.append(value)
    if filters.target is not None:
        # Within a JSON string a quotation mark is escaped: these bytes are a member, whatever anybody sent.
        clauses.append("position(%s::bytea in header) > 0")
        values.append(f'"target":"{filters.target}"'.encode())
    return clauses, values


def _first_id(at: datetime) -> UUID:
    """The least id of a record of this instant or later: records are of whole milliseconds."""
    milliseconds = -((_EPOCH - at) // _MILLISECOND)
    return UUID(int=min(max(milliseconds, 0), _LAST_MILLISECOND) << 80)
