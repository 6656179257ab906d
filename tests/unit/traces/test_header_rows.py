"""A header's row is made from the interaction, and says what `projection` reads from the header's text."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from auditvault.core.interaction import Interaction
from auditvault.ingest.otlp.traces import decode_traces
from auditvault.ledger.copying import (
    encode_row,
    framed,
    int4,
    optional_int8,
    text,
    timestamptz,
)
from auditvault.traces.services import HeaderRows, projection
from tests.benchmarks.traces import make_bodies
from tests.integration.ingest.sending import START_NS, chat, protobuf_of

TENANT, RECORD = UUID(int=1), UUID(int=2)
AT = datetime(2026, 11, 24, 10, 0, 0, 123_000, tzinfo=UTC)
OPENING = bytes(range(32))


def slow_row(header: dict[str, Any], body: bytes) -> bytes:
    """Field by field from the projection, as verification compares it."""
    projected = projection(header, tenant_id=TENANT, record_id=RECORD, recorded_at=AT)
    return encode_row(
        projected[0].bytes,
        projected[1].bytes,
        *projected[2:5],
        int4(projected[5]),
        timestamptz(projected[6]),
        optional_int8(projected[7]),
        *map(text, projected[8:13]),
        *map(optional_int8, projected[13:15]),
        *map(text, projected[15:]),
        OPENING,
        body,
    )


def both_rows(interaction: Interaction, **added: Any) -> tuple[bytes, bytes]:
    header = {**interaction.header, **added}
    body = orjson.dumps(header, option=orjson.OPT_SORT_KEYS)
    fast = HeaderRows(TENANT, AT).encode(
        interaction, header, record_id=RECORD.bytes, opening=OPENING, body=body
    )
    return fast, slow_row(header, body)


def only(span: Span) -> Interaction:
    (interaction,) = decode_traces(protobuf_of(span), "protobuf").interactions
    return interaction


def test_rows_of_agent_traces_are_their_projections() -> None:
    (body,) = make_bodies(64, 1, seed=7)
    pairs = [both_rows(item) for item in decode_traces(body, "protobuf").interactions]
    assert [fast for fast, _ in pairs] == [slow for _, slow in pairs]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (START_NS, START_NS + 1_999),
        (START_NS, START_NS),
        (START_NS, START_NS - 5_000_000),
        (0, 0),
        (0, START_NS),
        (START_NS, 0),
        (START_NS, 2**63),
        (2**63, START_NS),
        (946_684_800 * 10**9, 4_133_980_800 * 10**9 - 1),
        (4_133_980_800 * 10**9, 4_133_980_800 * 10**9),
    ],
)
def test_a_row_has_the_projections_times_whatever_was_sent(start: int, end: int) -> None:
    span = chat("hello", start_time_unix_nano=start, end_time_unix_nano=end)
    fast, slow = both_rows(only(span))
    assert fast == slow


def test_a_row_has_the_projections_parent_tokens_and_names() -> None:
    attributes = {
        "gen_ai.usage.input_tokens": 0,
        "gen_ai.usage.output_tokens": 2**53 - 1,
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "error.type": "timeout",
    }
    fast, slow = both_rows(only(chat("hello", attributes=attributes, parent_span_id=b"parent__")))
    assert fast == slow


def test_a_row_of_a_revision_has_its_number() -> None:
    fast, slow = both_rows(only(chat("hello")), revision=3, revises=str(RECORD))
    assert fast == slow
    assert framed(struct.pack(">i", 3)) in fast


def test_a_row_of_a_span_that_says_nothing_is_its_projection() -> None:
    fast, slow = both_rows(only(Span(trace_id=b"t" * 16, span_id=b"s" * 8)))
    assert fast == slow
