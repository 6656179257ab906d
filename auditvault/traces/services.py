"""Writing headers, and telling a repeated span from a changed one."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.ids import ID_SIZE
from auditvault.core.interaction import Interaction
from auditvault.core.tlog.canonical import JsonValue
from auditvault.core.tlog.commitment import OPENING_SIZE
from auditvault.ledger.copying import (
    NULL,
    Row,
    copy_into_month,
    framed,
    framed_texts,
    int4,
    row_start,
    timestamptz,
)
from auditvault.ledger.statements import BYTEA_OID, Statement, array

_COLUMNS = (
    "tenant_id, record_id, trace_id, span_id, parent_span_id, revision, started_at, duration_ns,"
    " operation, status, name, provider, model, input_tokens, output_tokens, service, environment,"
    " feature, error_type, opening, header"
)
_KNOWN_SPANS = Statement(
    "SELECT trace_id, span_id, record_id FROM traces_header WHERE trace_id = ANY($1::bytea[])"
)
_COUNT_SPANS = Statement("SELECT count(*) FROM traces_header WHERE trace_id = ANY($1::bytea[])")
# Lengths before the fields of one size; a number is packed together with its own.
_ID_LENGTH, _OPENING_LENGTH = int4(ID_SIZE), int4(OPENING_SIZE)
_TRACE_ID_LENGTH, _SPAN_ID_LENGTH = int4(16), int4(8)
_INT4_SIZE, _INT8_SIZE = 4, 8
_framed_int4 = struct.Struct(">ii").pack
_framed_int8 = struct.Struct(">iq").pack
_EPOCH_US = 946_684_800 * 10**6  # 2000-01-01T00:00:00Z, from which PostgreSQL counts


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
    rows: list[Any] = _KNOWN_SPANS.run(connection, array(BYTEA_OID, trace_ids))
    found: dict[SpanKey, list[UUID]] = {}
    for trace_id, span_id, record_id in rows:
        found.setdefault((trace_id, span_id), []).append(UUID(bytes=record_id))
    return found


def count_spans(connection: psycopg.Connection[Any], trace_ids: Iterable[bytes]) -> int:
    """How many spans, revisions included, are recorded for these traces."""
    rows: list[Any] = _COUNT_SPANS.run(connection, array(BYTEA_OID, trace_ids))
    return int.from_bytes(rows[0][0])


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


class HeaderRows:
    """Encodes the rows of one request's headers: the columns of `projection`, then opening and header bytes.

    It takes from the interaction what `projection` reads from the header's text. A test holds the two together, and
    so does verification.
    """

    def __init__(self, tenant_id: UUID, recorded_at: datetime) -> None:
        self._start = row_start(_COLUMNS, tenant_id.bytes) + _ID_LENGTH
        self._recorded_at = framed(timestamptz(recorded_at)) + NULL

    def encode(
        self,
        interaction: Interaction,
        header: Mapping[str, Any],
        *,
        record_id: bytes,
        opening: bytes,
        body: bytes,
    ) -> Row:
        """The row of one header, in the server's binary form; `body` are the bytes of `header`."""
        get = header.get
        parent = interaction.parent_span_id
        model = get("model_responded") or get("model_requested") or get("model")
        parts = (
            self._start,
            record_id,
            _TRACE_ID_LENGTH,
            interaction.trace_id,
            _SPAN_ID_LENGTH,
            interaction.span_id,
            NULL if parent is None else _SPAN_ID_LENGTH + parent,
            _framed_int4(_INT4_SIZE, get("revision", 0)),
            self._times(interaction.started_at_ns, interaction.ended_at_ns),
            framed_texts(
                get("operation", "other"),
                get("status", "unset"),
                get("name"),
                get("provider"),
                model,
            ),
            _count(get("input_tokens")),
            _count(get("output_tokens")),
            framed_texts(
                get("service_name"), get("environment"), get("feature"), get("error_type")
            ),
            _OPENING_LENGTH,
            opening,
            int4(len(body)),
            body,
        )
        return Row(b"".join(parts))

    def _times(self, started_ns: int, ended_ns: int) -> bytes:
        """As the function of this name, from the numbers: 0 stands for a time that is not known."""
        if not started_ns:
            return self._recorded_at
        started = _framed_int8(_INT8_SIZE, started_ns // 1000 - _EPOCH_US)
        return started + (_framed_int8(_INT8_SIZE, ended_ns - started_ns) if ended_ns else NULL)


def _count(value: int | None) -> bytes:
    return NULL if value is None else _framed_int8(_INT8_SIZE, value)


def write_headers(connection: psycopg.Connection[Any], rows: Sequence[Row], at: datetime) -> None:
    """COPY header rows that `HeaderRows` made, inside the caller's transaction."""
    copy_into_month(connection, "traces_header", at, _COLUMNS, rows)
