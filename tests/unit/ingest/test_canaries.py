"""No content in a header: a canary in every slot the research knows, and the reader under fuzz."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from auditvault.core.interaction import Interaction
from auditvault.core.tlog.canonical import canonical_bytes
from auditvault.ingest.dialects.table import ROWS
from auditvault.ingest.header import header_bytes
from auditvault.ingest.otlp.reading import OtlpDecodeError
from auditvault.ingest.otlp.traces import decode_traces
from tests.unit.ingest.conftest import build_body, build_span, pairs

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "otlp"
CANARY = "canaryword"
"""One plain word, so that a field that takes words would take it."""
PERSONAL = "canaryword margaret@example.com +44 20 7946 0958"
KEYS = sorted(row.key for row in ROWS)


def mapped() -> list[tuple[str, bool]]:
    """Every slot of the map, and whether its value is content or personal."""
    with (VECTORS / "attribute_map.csv").open(encoding="utf-8") as file:
        return [(row["key"], row["carries_content"] != "no") for row in csv.DictReader(file)]


def slot(key: str) -> str:
    for placeholder in ("{i}", "{j}", "{k}", "{n}"):
        key = key.replace(placeholder, "0")
    return key.replace("{name}", "colour").partition("#")[0]


def in_events(value: str, *, all_slots: bool) -> list[Span.Event]:
    events = []
    for key, carries in mapped():
        if key.startswith("event:") and (carries or all_slots):
            name, _, member = key.removeprefix("event:").partition("#")
            events.append(Span.Event(name=name, attributes=pairs({member or "body": value})))
    return events


def test_a_word_in_every_slot_that_carries_content_reaches_no_header(
    normalized: Callable[..., Interaction],
) -> None:
    attributes = {
        slot(key): CANARY for key, carries in mapped() if carries and not key.startswith("event:")
    }
    attributes |= {f"x.unknown.{number}": CANARY for number in range(200)}
    item = normalized(attributes, events=in_events(CANARY, all_slots=False))
    assert CANARY.encode() not in header_bytes(item.header)


@pytest.mark.parametrize("quoted", ["{}", '"{}"', '["{}"]', '{{"input": "{}", "model": "{}"}}'])
def test_personal_data_in_every_slot_at_all_reaches_no_header(
    quoted: str, normalized: Callable[..., Interaction]
) -> None:
    value = quoted.replace("{}", PERSONAL).replace("{{", "{").replace("}}", "}")
    attributes = {slot(key): value for key, _ in mapped() if not key.startswith("event:")}
    attributes |= dict.fromkeys((row.key for row in ROWS), value)
    item = normalized(
        attributes,
        resource=attributes,
        name=value,
        events=in_events(value, all_slots=True),
        links=[
            Span.Link(trace_id=b"t" * 16, span_id=b"s" * 8, attributes=pairs({"note": value})),
        ],
    )
    assert b"canaryword" not in header_bytes(item.header)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.binary(max_size=20)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    | st.sampled_from(
        ['"\x00"', '{"input": 1e400}', "[" * 400, "Infinity", '{"a":', "__REDACTED__"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(
    attributes=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=12),
    times=st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)),
)
def test_whatever_a_known_attribute_holds_the_span_has_a_canonical_header(
    attributes: dict[str, Any], times: tuple[int, int]
) -> None:
    span = build_span(attributes, start_time_unix_nano=times[0], end_time_unix_nano=times[1])
    decoded = decode_traces(build_body(span, resource=attributes), "protobuf")
    assert decoded.received == len(decoded.interactions) + sum(decoded.rejections.values())
    for item in decoded.interactions:
        assert header_bytes(item.header) == canonical_bytes(item.header)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 1967), patch=st.binary(min_size=1, max_size=8), keep=st.integers(0, 1968))
def test_a_damaged_capture_is_read_or_refused_in_the_stated_way(
    at: int, patch: bytes, keep: int
) -> None:
    body = (VECTORS / "langfuse/plain.pb").read_bytes()
    damaged = (body[:at] + patch + body[at + len(patch) :])[: keep or None]
    try:
        decoded = decode_traces(damaged, "protobuf")
    except OtlpDecodeError:
        return
    for item in decoded.interactions:
        assert header_bytes(item.header) == canonical_bytes(item.header)
