"""Protobuf and JSON mean the same, and each bad part costs what the specification page says."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from auditvault.ingest.header import body_digest
from auditvault.ingest.otlp.reading import MAX_NESTING, OtlpDecodeError
from auditvault.ingest.otlp.traces import DecodedTraces, decode_traces
from auditvault.ingest.otlp.wire import encode_varint
from tests.benchmarks.traces import make_bodies
from tests.unit.ingest.conftest import build_body, build_span

Build = Callable[..., Any]
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

values = st.recursive(
    st.text(max_size=300)
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.binary(max_size=20)
    | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
keys = st.text(max_size=40) | st.sampled_from(
    ["gen_ai.request.model", "gen_ai.prompt", "gen_ai.prompt.0.content", "user.id", "input.value"]
)


WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
MEMBERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    str: ("stringValue", str),
    bool: ("boolValue", bool),
    int: ("intValue", str),
    float: ("doubleValue", lambda value: value if math.isfinite(value) else WORDS[str(value)]),
    bytes: ("bytesValue", lambda value: base64.b64encode(value).decode()),
    list: ("arrayValue", lambda value: {"values": [json_value(item) for item in value]}),
    dict: ("kvlistValue", lambda value: {"values": json_pairs(value)}),
}


def json_value(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    name, convert = MEMBERS[type(value)]
    return {name: convert(value)}


def json_pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": json_value(value)} for key, value in attributes.items()]


def json_body(*spans: Any, **resource_spans: Any) -> bytes:
    return json.dumps(
        {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}], **resource_spans}]}
    ).encode()


def json_span(**members: Any) -> dict[str, Any]:
    times = {"startTimeUnixNano": "1795000000123456789", "endTimeUnixNano": "1795000000123456794"}
    return {"traceId": TRACE_ID, "spanId": SPAN_ID, **times, **members}


def decode_json(*spans: Any) -> DecodedTraces:
    return decode_traces(json_body(*spans), "json")


@given(attributes=st.dictionaries(keys, values, max_size=6), name=st.text(max_size=30))
def test_a_span_means_the_same_in_both_encodings(attributes: dict[str, Any], name: str) -> None:
    ids = {"trace_id": bytes.fromhex(TRACE_ID), "span_id": bytes.fromhex(SPAN_ID)}
    as_protobuf = decode_traces(build_body(build_span(attributes, name=name, **ids)), "protobuf")
    as_json = decode_json(json_span(name=name, attributes=json_pairs(attributes)))
    assert as_protobuf == as_json
    assert as_protobuf.received == 1
    digests = [
        [body_digest(item) for item in decoded.interactions] for decoded in (as_protobuf, as_json)
    ]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_an_empty_request_holds_nothing(encoding: Any) -> None:
    decoded = decode_traces(b"", encoding)
    assert (decoded.interactions, decoded.rejections, decoded.received) == ([], {}, 0)
    assert decode_traces(b"{}", "json").received == 0


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"\xff\xff\xff", "protobuf"),
        (b"{}", "protobuf"),
        (b"not json", "json"),
        (b'{"resourceSpans": [', "json"),
        (b"[]", "json"),
        (b"null", "json"),
        (b'{"resourceSpans": {}}', "json"),
        (b'{"resourceSpans": [1]}', "json"),
        (b'{"resourceSpans": [{"scopeSpans": 1}]}', "json"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": "x"}]}]}', "json"),
        (b'{"a": "\\ud800"}', "json"),
        (b'{"a": NaN}', "json"),
        (b"\x0a\x02\xff", "protobuf"),
        (b"[" * 100_000, "json"),
    ],
)
def test_what_cant_be_taken_apart_is_one_error_without_the_body(body: bytes, encoding: Any) -> None:
    with pytest.raises(OtlpDecodeError) as caught:
        decode_traces(body, encoding)
    assert caught.value.code == "otlp_undecodable"
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_name_that_is_not_utf8_makes_the_request_undecodable(span: Build, body: Build) -> None:
    sent = body(span(name="NAME")).replace(b"NAME", b"NA\xff\xff")
    with pytest.raises(OtlpDecodeError):
        decode_traces(sent, "protobuf")


@pytest.mark.parametrize("key", ["some.key", "gen_ai.request.model", "gen_ai.input.messages"])
@pytest.mark.parametrize("text", ["VALUE", "VALUE" * 50])
def test_an_attribute_that_is_not_utf8_costs_its_span_alone(
    key: str, text: str, span: Build, body: Build
) -> None:
    sent = body(span({key: text}), span({key: "fine"})).replace(b"VALUE", b"VAL\xff\xff")
    decoded = decode_traces(sent, "protobuf")
    assert decoded.rejections == {"malformed_span": 1}
    assert (decoded.received, len(decoded.interactions)) == (2, 1)


def test_a_key_that_is_not_utf8_costs_its_span_alone(span: Build, body: Build) -> None:
    sent = body(span({"KEY": "x"}), span()).replace(b"KEY", b"K\xff\xff")
    assert decode_traces(sent, "protobuf").rejections == {"malformed_span": 1}


@given(rubbish=st.binary(max_size=200), at=st.integers(0, 400))
def test_damaged_protobuf_raises_nothing_but_its_own_error(rubbish: bytes, at: int) -> None:
    (whole,) = make_bodies(1, 1, seed=3)
    damaged = whole[:at] + rubbish + whole[at + len(rubbish) :]
    try:
        decoded = decode_traces(damaged, "protobuf")
    except OtlpDecodeError:
        return
    assert decoded.received == len(decoded.interactions) + sum(decoded.rejections.values())


JSON_MEMBERS = """
    traceId spanId parentSpanId name kind flags attributes events links status traceState
    startTimeUnixNano droppedLinksCount
"""
json_members = st.sampled_from(JSON_MEMBERS.split())
json_things = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["key", "value", "values", "stringValue", "intValue", "arrayValue", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(member=json_members, thing=json_things)
def test_a_json_member_of_any_type_rejects_at_most_its_span(member: str, thing: Any) -> None:
    decoded = decode_json(json_span(**{member: thing}), json_span(), thing)
    assert decoded.received == 3
    assert decoded.received == len(decoded.interactions) + sum(decoded.rejections.values())


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trace_id": b""}, "bad_trace_id"),
        ({"trace_id": b"x" * 15}, "bad_trace_id"),
        ({"trace_id": bytes(16)}, "bad_trace_id"),
        ({"span_id": b""}, "bad_span_id"),
        ({"span_id": b"x" * 9}, "bad_span_id"),
        ({"span_id": bytes(8)}, "bad_span_id"),
        ({"parent_span_id": b"x" * 7}, "bad_parent_span_id"),
        ({"events": [Span.Event()] * 4097}, "too_many_events"),
        ({"links": [Span.Link()] * 4097}, "too_many_links"),
    ],
)
def test_a_bad_span_is_counted_by_its_reason_and_the_others_stay(
    fields: dict[str, Any], reason: str, span: Build, body: Build
) -> None:
    decoded = decode_traces(body(span(), span(**fields), span()), "protobuf")
    assert decoded.rejections == {reason: 1}
    assert (decoded.received, len(decoded.interactions)) == (3, 2)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"traceId": "xyz"}, "bad_trace_id"),
        ({"traceId": TRACE_ID[:-2] + " 9"}, "bad_trace_id"),
        ({"traceId": "00" * 16}, "bad_trace_id"),
        ({"spanId": "not hex at all!!"}, "bad_span_id"),
        ({"parentSpanId": "b7"}, "bad_parent_span_id"),
        ({"kind": "SPAN_KIND_CLIENT"}, "malformed_span"),
        ({"startTimeUnixNano": -1}, "malformed_span"),
        ({"startTimeUnixNano": "1e9"}, "malformed_span"),
        ({"startTimeUnixNano": str(2**64)}, "malformed_span"),
        ({"attributes": [{"key": "a", "value": {"intValue": str(2**63)}}]}, "malformed_span"),
        ({"attributes": [{"key": "a", "value": {"bytesValue": "*"}}]}, "malformed_span"),
        ({"attributes": [{"key": "a", "value": {"doubleValue": "x"}}]}, "malformed_span"),
        ({"attributes": {}}, "malformed_span"),
        ({"events": [3]}, "malformed_span"),
        ({"attributes": [{"key": "a", "value": {}}] * 4097}, "too_many_attributes"),
    ],
)
def test_a_bad_json_span_is_counted_by_its_reason(members: dict[str, Any], reason: str) -> None:
    assert decode_json(json_span(**members)).rejections == {reason: 1}


def test_json_ids_have_any_case_and_integers_any_form() -> None:
    sent = json_span(traceId=TRACE_ID.upper(), startTimeUnixNano=1795000000123456789)
    (interaction,) = decode_json(sent).interactions
    assert interaction.trace_id == bytes.fromhex(TRACE_ID)
    assert interaction.started_at_ns == 1795000000123456789


def test_unknown_json_members_are_ignored() -> None:
    assert decode_json(json_span(trace_id="snake", future={"x": 1})).rejections == {}


def nested(levels: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = "leaf"
    for _ in range(levels):
        value = wrap(value)
    return value


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"k": inner}])
def test_nesting_has_one_limit_in_both_encodings(
    wrap: Callable[[Any], Any], span: Build, body: Build
) -> None:
    for levels, rejections in ((MAX_NESTING, {}), (MAX_NESTING + 1, {"too_deep": 1})):
        attributes = {"deep": nested(levels, wrap)}
        assert decode_traces(body(span(attributes)), "protobuf").rejections == rejections
        sent = json_span(attributes=json_pairs(attributes))
        assert decode_json(sent).rejections == rejections


def delimited(field: int, data: bytes) -> bytes:
    return bytes([field << 3 | 2]) + encode_varint(len(data)) + data


def wire_body(*attributes: bytes) -> bytes:
    """A request of one span for each pair, written byte by byte."""
    ids = delimited(1, bytes(range(16))) + delimited(2, bytes(range(8)))
    spans = b"".join(delimited(2, ids + delimited(9, pair)) for pair in attributes)
    return delimited(1, delimited(2, spans))


def test_nesting_beyond_the_protobuf_parser_costs_its_span_alone() -> None:
    value = delimited(1, b"leaf")
    for _ in range(60):
        value = delimited(5, delimited(1, value))
    deep = delimited(1, b"deep") + delimited(2, value)
    decoded = decode_traces(wire_body(deep, delimited(1, b"fine")), "protobuf")
    assert (decoded.rejections, len(decoded.interactions)) == ({"malformed_span": 1}, 1)


@pytest.mark.parametrize(("count", "rejections"), [(4096, {}), (4097, {"too_many_attributes": 1})])
def test_attributes_have_a_limit(
    count: int, rejections: dict[str, int], span: Build, body: Build
) -> None:
    attributes = {f"key{number}": number for number in range(count)}
    assert decode_traces(body(span(attributes)), "protobuf").rejections == rejections


def test_a_bad_resource_rejects_all_spans_that_share_it(span: Build, body: Build) -> None:
    resource = {f"key{number}": 1 for number in range(4097)}
    decoded = decode_traces(body(span(), span(), resource=resource), "protobuf")
    assert (decoded.rejections, decoded.received) == ({"too_many_attributes": 2}, 2)
    sent = json_body(json_span(), json_span(), resource={"attributes": 3})
    assert decode_traces(sent, "json").rejections == {"malformed_span": 2}


def test_unusual_but_valid_wire_forms_are_read() -> None:
    # The value before the key, and a string value written twice: the last one counts.
    value = delimited(1, b"old") + delimited(1, b"new")
    pair = delimited(2, value) + delimited(1, b"key")
    (interaction,) = decode_traces(wire_body(pair), "protobuf").interactions
    sealed = {content.role: json.loads(content.body) for content in interaction.contents}
    assert sealed == {"attributes": {"span": {"key": "new"}}}


@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, 128, 129, 16_379, 16_384, 100_000])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_texts_of_every_length_are_sealed_as_sent(
    size: int, letter: str, normalized: Build, contents: Build
) -> None:
    sealed = contents(normalized({"gen_ai.input.messages": letter * size, "k": letter * size}))
    assert sealed.get("input_messages", b"") == (letter * size).encode()
    assert json.loads(sealed["attributes"])["span"]["k"] == letter * size
