"""Searching headers, and one trace as a tree. Headers only: content is never read here."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.canonical import JsonValue

MAX_PAGE = 200
MAX_SPANS = 20_000
_FIELDS = (
    "operation",
    "status",
    "provider",
    "model",
    "service",
    "environment",
    "feature",
    "error_type",
)


class CursorError(AuditvaultError):
    """The cursor was not given out by this service."""

    code = "cursor_invalid"


class TraceNotFoundError(AuditvaultError):
    """No trace of that id is recorded for the caller's tenant."""

    code = "trace_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to look for; every field that is given must match."""

    started_from: datetime | None = None
    started_before: datetime | None = None
    trace_id: bytes | None = None
    equal: dict[str, str] = field(default_factory=dict)
    min_total_tokens: int | None = None
    record_ids: Sequence[UUID] | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One page, newest first, and where the next begins."""

    headers: list[dict[str, JsonValue]]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanNode:
    """A header in its place in the tree."""

    header: dict[str, JsonValue]
    depth: int
    missing_parent: bool


def search(connection: psycopg.Connection[Any], query: Search) -> Found:
    """One page of headers, newest first; raises CursorError."""
    clauses, values = _clauses(query)
    limit = max(1, min(query.limit, MAX_PAGE))
    where = " AND ".join(clauses) or "true"
    rows = connection.execute(
        f"SELECT started_at, record_id, header FROM traces_header WHERE {where}"  # noqa: S608  # our own words only
        " ORDER BY started_at DESC, record_id DESC LIMIT %s",
        (*values, limit + 1),
    ).fetchall()
    page = rows[:limit]
    more = len(rows) > limit
    return Found(
        headers=[orjson.loads(row[2]) for row in page],
        next_cursor=_cursor(page[-1][0], page[-1][1]) if more else None,
    )


def traces_of_records(
    connection: psycopg.Connection[Any], record_ids: Sequence[UUID]
) -> set[bytes]:
    """Ids of the traces that these records are in."""
    rows = connection.execute(
        "SELECT DISTINCT trace_id FROM traces_header WHERE record_id = ANY(%s)", (list(record_ids),)
    )
    return {bytes(trace_id) for (trace_id,) in rows}


def matching_records(connection: psycopg.Connection[Any], query: Search, most: int) -> list[UUID]:
    """Ids of the records that match, in the order of `search`, up to `most` of them."""
    clauses, values = _clauses(query)
    where = " AND ".join(clauses) or "true"
    rows = connection.execute(
        f"SELECT record_id FROM traces_header WHERE {where}"  # noqa: S608  # our own words only
        " ORDER BY started_at DESC, record_id DESC LIMIT %s",
        (*values, most),
    ).fetchall()
    return [row[0] for row in rows]


def _clauses(query: Search) -> tuple[list[str], list[Any]]:
    clauses: list[str] = []
    values: list[Any] = []

    def also(clause: str, *given: Any) -> None:
        clauses.append(clause)
        values.extend(given)

    if query.started_from is not None:
        also("started_at >= %s", query.started_from)
    if query.started_before is not None:
        also("started_at < %s", query.started_before)
    if query.trace_id is not None:
        also("trace_id = %s", query.trace_id)
    for name, value in query.equal.items():
        if name not in _FIELDS:
            raise ValueError("not a search field")
        also(f"{name} = %s", value)
    if query.min_total_tokens is not None:
        also("coalesce(input_tokens, 0) + coalesce(output_tokens, 0) >= %s", query.min_total_tokens)
    if query.record_ids is not None:
        also("record_id = ANY(%s)", list(query.record_ids))
    if query.cursor is not None:
        also("(started_at, record_id) < (%s, %s)", *_after(query.cursor))
    return clauses, values


def _cursor(started_at: datetime, record_id: UUID) -> str:
    return base64.urlsafe_b64encode(f"{started_at.isoformat()}|{record_id}".encode()).decode()


def _after(cursor: str) -> tuple[datetime, UUID]:
    try:
        instant, _, record_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        return datetime.fromisoformat(instant).astimezone(UTC), UUID(record_id)
    except (ValueError, binascii.Error, UnicodeError) as error:
        raise CursorError("Use `next_cursor` of the page before, unchanged.") from error


def trace(connection: psycopg.Connection[Any], trace_id: bytes) -> list[SpanNode]:
    """Every recorded span of a trace, in tree order; raises TraceNotFoundError.

    Senders lose spans and send nonsense: a span whose parent is absent, or that is its own ancestor, stands at the
    top and says so.
    """
    rows = connection.execute(
        "SELECT header FROM traces_header WHERE trace_id = %s ORDER BY started_at, record_id LIMIT %s",
        (trace_id, MAX_SPANS),
    ).fetchall()
    if not rows:
        raise TraceNotFoundError("There is no such trace.")
    return tree([orjson.loads(row[0]) for row in rows])


def tree(headers: Sequence[dict[str, Any]]) -> list[SpanNode]:
    """Headers in depth-first order under their parents, siblings as given."""
    known = {header["span_id"] for header in headers}
    children: dict[str | None, list[dict[str, Any]]] = {}
    for header in headers:
        parent = header.get("parent_span_id")
        children.setdefault(parent if parent in known else None, []).append(header)
    nodes: list[SpanNode] = []
    placed: set[int] = set()

    def place(roots: Sequence[dict[str, Any]]) -> None:
        stack = [(header, 0) for header in reversed(roots)]
        expanded: set[str] = set()
        while stack:
            header, depth = stack.pop()
            if id(header) in placed:
                continue
            placed.add(id(header))
            parent = header.get("parent_span_id")
            cut_off = depth == 0 and parent is not None
            nodes.append(SpanNode(header=header, depth=depth, missing_parent=cut_off))
            if header["span_id"] not in expanded:
                expanded.add(header["span_id"])
                below = children.get(header["span_id"], [])
                stack.extend((child, depth + 1) for child in reversed(below))

    place(children.get(None, []))
    # What is left hangs in a cycle: cut it at its earliest span.
    for header in headers:
        if id(header) not in placed:
            place([header])
    return nodes


def header_of(connection: psycopg.Connection[Any], record_id: UUID) -> tuple[bytes, bytes] | None:
    """Opening and header bytes of a record; None where it has gone by retention, or never was."""
    row = connection.execute(
        "SELECT opening, header FROM traces_header WHERE record_id = %s", (record_id,)
    ).fetchone()
    return (bytes(row[0]), bytes(row[1])) if row else None


class Mention(NamedTuple):
    """That a record's header names a sealed object as one of its contents; several records may name the same."""

    object_id: UUID
    record_id: UUID
    trace_id: bytes


def contents_named(
    connection: psycopg.Connection[Any],
    *,
    trace_ids: Collection[bytes],
    record_ids: Collection[UUID],
) -> list[Mention]:
    """The sealed objects that records of these traces, or these records, name; of the newest MAX_SPANS of them."""
    rows = connection.execute(
        "SELECT record_id, trace_id, header FROM traces_header WHERE trace_id = ANY(%s) OR record_id = ANY(%s)"
        " ORDER BY record_id DESC LIMIT %s",
        (list(trace_ids), list(record_ids), MAX_SPANS),
    ).fetchall()
    return [
        Mention(UUID(content["object"]), record_id, bytes(trace_id))
        for record_id, trace_id, header in rows
        for content in orjson.loads(header).get("contents", ())
        if "object" in content
    ]
