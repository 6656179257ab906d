"""Requests that `POST /v1/traces` takes, in both encodings (OTLP specification, section OTLP/HTTP)."""

from __future__ import annotations

import json
import os

import pytest

from tests.integration.ingest.sending import (
    JSON,
    PROTOBUF,
    START_NS,
    chat,
    headers_of,
    json_of,
    protobuf_of,
    rejected,
    send,
    zipped,
)
from tests.integration.ledger.superuser import counts

BUILDERS = {PROTOBUF: protobuf_of, JSON: json_of}
EMPTY = {PROTOBUF: b"", JSON: b"{}"}
both_encodings = pytest.mark.parametrize("content_type", [PROTOBUF, JSON])


@both_encodings
def test_a_request_is_answered_with_an_unset_partial_success(client, tenant, content_type):
    answer = send(client, tenant, BUILDERS[content_type](chat("hello")), content_type)
    assert (answer.status_code, answer.content) == (200, EMPTY[content_type])


@both_encodings
def test_the_answer_has_the_content_type_of_the_request(client, tenant, content_type):
    answer = send(client, tenant, BUILDERS[content_type](chat("hello")), content_type)
    assert answer["Content-Type"] == content_type


@both_encodings
@pytest.mark.parametrize("parameter", ["; charset=utf-8", ';charset="utf-8"', " ; v=1"])
def test_a_parameter_of_the_content_type_is_ignored(client, tenant, content_type, parameter):
    body = BUILDERS[content_type](chat("hello"))
    answer = send(client, tenant, body, content_type + parameter)
    assert (answer.status_code, answer["Content-Type"]) == (200, content_type)


@both_encodings
def test_a_media_type_in_capitals_is_the_same_one(client, tenant, content_type):
    answer = send(client, tenant, BUILDERS[content_type](chat("hello")), content_type.upper())
    assert (answer.status_code, answer["Content-Type"]) == (200, content_type)


@both_encodings
def test_a_gzipped_request_is_recorded(client, tenant, content_type):
    span = chat("hello")
    body = zipped(BUILDERS[content_type](span))
    send(client, tenant, body, content_type, headers={"Content-Encoding": "gzip"})
    assert [header["span_id"] for header in headers_of(client, tenant)] == [span.span_id.hex()]


@both_encodings
@pytest.mark.parametrize("coding", ["identity", "none", ""])
def test_a_request_that_says_it_is_not_compressed_is_recorded(client, tenant, content_type, coding):
    body = BUILDERS[content_type](chat("hello"))
    send(client, tenant, body, content_type, headers={"Content-Encoding": coding})
    assert len(headers_of(client, tenant)) == 1


@both_encodings
@pytest.mark.parametrize("gzipped", [False, True])
def test_an_empty_body_is_answered_with_success(client, tenant, content_type, gzipped):
    headers = {"Content-Encoding": "gzip"} if gzipped else {}
    answer = send(client, tenant, b"", content_type, headers=headers)
    assert (answer.status_code, answer.content) == (200, EMPTY[content_type])


@both_encodings
def test_a_request_without_spans_is_answered_with_success(client, tenant, content_type):
    answer = send(client, tenant, BUILDERS[content_type](), content_type)
    assert (answer.status_code, answer.content) == (200, EMPTY[content_type])


def test_an_empty_request_opens_no_log(client, tenant, cluster):
    send(client, tenant, b"")
    assert set(counts(cluster, tenant.tenant_id).values()) == {0}


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceSpans":null}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":null}]}]}',
        b'{"resourceSpans":[{"resource":null,"scopeSpans":[{"scope":null}]}]}',
        b'{"unknown":{"member":1}}',
    ],
)
def test_null_and_unknown_members_of_json_are_passed_over(client, tenant, body):
    assert send(client, tenant, body, JSON).status_code == 200


@both_encodings
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trace_id": b"short"}, "bad_trace_id"),
        ({"trace_id": bytes(16)}, "bad_trace_id"),
        ({"trace_id": b""}, "bad_trace_id"),
        ({"trace_id": b"x" * 17}, "bad_trace_id"),
        ({"span_id": b"x" * 7}, "bad_span_id"),
        ({"span_id": bytes(8)}, "bad_span_id"),
        ({"span_id": b""}, "bad_span_id"),
        ({"parent_span_id": b"x" * 9}, "bad_parent_span_id"),
    ],
)
def test_a_span_with_a_wrong_id_is_rejected_with_its_reason(
    client, tenant, content_type, fields, reason
):
    answer = send(client, tenant, BUILDERS[content_type](chat("hello", **fields)), content_type)
    assert (answer.status_code, rejected(answer)) == (200, {reason: 1})


@both_encodings
def test_the_spans_beside_a_rejected_one_are_recorded(client, tenant, content_type):
    spans = [chat("one"), chat("two", span_id=b"short"), chat("three", trace_id=b"x"), chat("four")]
    answer = send(client, tenant, BUILDERS[content_type](*spans), content_type)
    assert rejected(answer) == {"bad_span_id": 1, "bad_trace_id": 1}
    recorded = {header["span_id"] for header in headers_of(client, tenant)}
    assert recorded == {spans[0].span_id.hex(), spans[3].span_id.hex()}


def test_a_request_of_rejected_spans_alone_writes_nothing(client, tenant, cluster):
    send(client, tenant, protobuf_of(chat("hello", trace_id=b"x")))
    assert set(counts(cluster, tenant.tenant_id).values()) == {0}


@both_encodings
@pytest.mark.parametrize(
    ("started", "ended", "said"),
    [
        (0, 0, "absurd_times"),
        (2**64 - 1, 2**64 - 1, "absurd_times"),
        (1, START_NS, "absurd_start"),
        (START_NS, 2**63, "absurd_end"),
        (START_NS, START_NS - 1, "end_before_start"),
    ],
)
def test_a_span_with_absurd_times_is_recorded_and_says_so(
    client, tenant, content_type, started, ended, said
):
    span = chat("hello", start_time_unix_nano=started, end_time_unix_nano=ended)
    send(client, tenant, BUILDERS[content_type](span), content_type)
    assert [header["clock"] for header in headers_of(client, tenant)] == [said]


def test_a_span_without_its_parent_stands_at_the_top_and_says_so(client, tenant):
    span = chat("hello", parent_span_id=os.urandom(8))
    send(client, tenant, protobuf_of(span))
    path = f"/api/v1/traces/{span.trace_id.hex()}"
    (found,) = client.get(path, headers=tenant.headers("engineer")).json()["spans"]
    assert (found["depth"], found["missing_parent"]) == (0, True)


def test_a_trace_that_is_a_circle_is_shown_with_every_span_once(client, tenant):
    trace, one, two = os.urandom(16), os.urandom(8), os.urandom(8)
    circle = [
        chat("a", trace_id=trace, span_id=one, parent_span_id=two),
        chat("b", trace_id=trace, span_id=two, parent_span_id=one),
        chat("c", trace_id=trace, span_id=b"c" * 8, parent_span_id=b"c" * 8),
    ]
    send(client, tenant, protobuf_of(*circle))
    answer = client.get(f"/api/v1/traces/{trace.hex()}", headers=tenant.headers("engineer"))
    assert len(answer.json()["spans"]) == 3


def test_hex_ids_in_capitals_name_the_same_span(client, tenant):
    body = json.loads(json_of(chat("hello")))
    span = body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    send(client, tenant, json.dumps(body).encode(), JSON)
    span["traceId"], span["spanId"] = span["traceId"].upper(), span["spanId"].upper()
    send(client, tenant, json.dumps(body).encode(), JSON)
    assert len(headers_of(client, tenant)) == 1


def test_an_enum_by_name_rejects_its_span(client, tenant):
    body = json.loads(json_of(chat("hello")))
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["kind"] = "SPAN_KIND_CLIENT"
    assert rejected(send(client, tenant, json.dumps(body).encode(), JSON)) == {"malformed_span": 1}


def test_times_as_numbers_and_as_strings_mean_the_same(client, tenant):
    body = json.loads(json_of(chat("hello")))
    span = body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    for times in ((str(START_NS), str(START_NS + 5)), (START_NS, START_NS + 5)):
        span["startTimeUnixNano"], span["endTimeUnixNano"] = times
        send(client, tenant, json.dumps(body).encode(), JSON)
    assert len(headers_of(client, tenant)) == 1


def test_a_token_for_two_regions_records_where_the_header_says(client, tenant, cluster):
    headers = tenant.headers("ingest", regions=("eu", "us")) | {"Auditvault-Region": "us"}
    send(client, tenant, protobuf_of(chat("hello")), headers=headers)
    found = [
        counts(cluster, tenant.tenant_id, database)["traces_header"]
        for database in ("region_eu", "region_us")
    ]
    assert found == [0, 1]
