"""Writing headers, and telling a repeated span from a changed one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.copying import (
    Row,
    copy_into_month,
    int4,
    optional_int8,
    text,
    timestamptz,
)

_COLUMNS = (
    "tenant_id, record_id, trace_id, span_id, parent_span_id, revision, started_at, duration_ns,"
    " operation, status, name, provider, model, input_tokens, output_tokens, service, environment,"
    " feature, error_type, opening, header"
)


@dataclass(frozen=True, slots=True)
class KnownSpan:
    """A revision of a span that is already recorded."""

    record_id: UUID
    revision: int
    header: bytes


SpanKey = tuple[bytes, bytes]


def known_spans(
    connection: psycopg.Connection[Any], trace_ids: Iterable[bytes]
) -> dict[SpanKey, list[UUID]]:
    """Record ids of the spans already recorded for these traces, by (trace id, span id)."""
    rows = connection.execute(
        "SELECT trace_id, span_id, record_id FROM traces_header WHERE trace_id = ANY(%s)",
        (list(trace_ids),),
    ).fetchall()
    found: dict[SpanKey, list[UUID]] = {}
    for trace_id, span_id, record_id in rows:
        found.setdefault((bytes(trace_id), bytes(span_id)), []).append(record_id)
    return found


def count_spans(connection: psycopg.Connection[Any], trace_ids: Iterable[bytes]) -> int:
    """How many spans, revisions included, are recorded for these traces."""
    row = connection.execute(
        "SELECT count(*) FROM traces_header WHERE trace_id = ANY(%s)", (list(trace_ids),)
    ).fetchone()
    return int(row[0]) if row else 0


def stored_revisions(
    connection: psycopg.Connection[Any], record_ids: Sequence[UUID]
) -> list[KnownSpan]:
    """The stored revisions of those ids, oldest first."""
    rows = connection.execute(
        "SELECT record_id, revision, header FROM traces_header WHERE record_id = ANY(%s)"
        " ORDER BY revision",
        (list(record_ids),),
    ).fetchall()
    return [KnownSpan(record_id, revision, bytes(header)) for record_id, revision, header in rows]


def projection(
    header: dict[str, JsonValue], *, tenant_id: UUID, record_id: UUID, recorded_at: datetime
) -> tuple[Any, ...]:
    """The search columns of a header, in table order, up to `error_type`.

    Verification calls this on the stored header and compares, so it must depend on nothing else.
    """
    get = header.get
    started_at, duration_ns = _times(get("started_at"), get("ended_at"), recorded_at)
    parent = get("parent_span_id")
    return (
        tenant_id,
        record_id,
        bytes.fromhex(str(header["trace_id"])),
        bytes.fromhex(str(header["span_id"])),
        bytes.fromhex(str(parent)) if parent else None,
        get("revision", 0),
        started_at,
        duration_ns,
        get("operation", "other"),
        get("status", "unset"),
        get("name"),
        get("provider"),
        get("model_responded") or get("model_requested") or get("model"),
        get("input_tokens"),
        get("output_tokens"),
        get("service_name"),
        get("environment"),
        get("feature"),
        get("error_type"),
    )


def _times(
    started: JsonValue, ended: JsonValue, recorded_at: datetime
) -> tuple[datetime, int | None]:
    """When it began, to the microsecond, and how long it took; the time of recording where it is not said."""
    if not isinstance(started, str):
        return recorded_at, None
    start_ns = int(started)
    at = datetime.fromtimestamp(start_ns // 1_000_000_000, UTC).replace(
        microsecond=start_ns // 1000 % 1_000_000
    )
    return at, int(ended) - start_ns if isinstance(ended, str) else None


def encode_row(projected: tuple[Any, ...], opening: bytes, body: bytes) -> Row:
    """A header's row in the server's binary form: its projection, then opening and header bytes."""
    return (
        projected[0].bytes,
        projected[1].bytes,
        *projected[2:5],
        int4(projected[5]),
        timestamptz(projected[6]),
        optional_int8(projected[7]),
        *map(text, projected[8:13]),
        *map(optional_int8, projected[13:15]),
        *map(text, projected[15:]),
        opening,
        body,
    )


def write_headers(connection: psycopg.Connection[Any], rows: Sequence[Row], at: datetime) -> None:
    """COPY header rows that `encode_row` made, inside the caller's transaction."""
    copy_into_month(connection, "traces_header", at, _COLUMNS, rows)
