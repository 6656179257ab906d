"""Span events, errors and links: what is listed and what is sealed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.unit.ingest.conftest import START_NS, pairs

Build = Callable[..., Any]


def event(
    name: str, attributes: dict[str, Any] | None = None, at_ns: int = START_NS + 1
) -> Span.Event:
    return Span.Event(name=name, time_unix_nano=at_ns, attributes=pairs(attributes or {}))


def test_error_texts_are_one_content(normalized: Build, contents: Build) -> None:
    item = normalized(
        {"exception.message": "on the span", "error.message": "old"},
        status=Status(code=Status.STATUS_CODE_ERROR, message="it broke"),
        events=[event("exception", {"exception.type": "ValueError", "exception.message": "no"})],
    )
    assert item.header["status"] == "error"
    assert item.header["error_type"] == "ValueError"
    assert item.header["events"] == [{"name": "exception", "at": str(START_NS + 1)}]
    error = json.loads(contents(item)["error_message"])
    assert error["status_message"] == "it broke"
    assert error["exceptions"] == [{"exception.type": "ValueError", "exception.message": "no"}]
    assert "on the span" in error.values()


def test_events_with_unknown_names_or_attributes_are_sealed(
    normalized: Build, contents: Build
) -> None:
    item = normalized(
        events=[
            event("gen_ai.content.completion.chunk"),
            event("Bob logged in"),
            event("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "helpful"}),
        ]
    )
    names = [listed["name"] for listed in item.header["events"]]
    assert names == ["gen_ai.content.completion.chunk", "gen_ai.evaluation.result"]
    assert item.header["event_count"] == 3
    sealed = [entry["name"] for entry in json.loads(contents(item)["events"])]
    assert sealed == ["Bob logged in", "gen_ai.evaluation.result"]


def test_events_beyond_the_headers_limit_are_sealed(normalized: Build, contents: Build) -> None:
    item = normalized(events=[event("gen_ai.content.completion.chunk")] * 70)
    assert (len(item.header["events"]), item.header["event_count"]) == (64, 70)
    assert len(json.loads(contents(item)["events"])) == 6


def test_the_details_event_is_read_like_the_span(normalized: Build, contents: Build) -> None:
    details = {"gen_ai.input.messages": "hi", "gen_ai.request.model": "gpt-4o"}
    item = normalized(events=[event("gen_ai.client.inference.operation.details", details)])
    assert item.header["model_requested"] == "gpt-4o"
    assert contents(item) == {"input_messages": b"hi"}


def test_message_events_yield_to_messages_on_the_span(normalized: Build, contents: Build) -> None:
    item = normalized(
        {"gen_ai.input.messages": "on the span"},
        events=[event("gen_ai.user.message", {"content": "in an event"})],
    )
    assert contents(item)["input_messages"] == b"on the span"
    assert b"in an event" in contents(item)["events"]


def test_the_first_token_is_timed_from_its_event(normalized: Build) -> None:
    item = normalized(events=[event("First Token Stream Event", at_ns=START_NS + 250_000_000)])
    assert item.header["first_token_seconds"] == "0.25"
    item = normalized(
        {"gen_ai.response.time_to_first_chunk": 1.5},
        events=[event("First Token Stream Event", at_ns=START_NS + 250_000_000)],
    )
    assert item.header["first_token_seconds"] == "1.5"


def test_links_are_ids_in_the_header_and_the_rest_is_sealed(normalized: Build, left: Build) -> None:
    whole = Span.Link(trace_id=b"t" * 16, span_id=b"s" * 8)
    odd = Span.Link(trace_id=b"t", span_id=b"s" * 8, attributes=pairs({"k": "v"}))
    item = normalized(links=[whole, odd])
    ids = {"trace_id": "74" * 16, "span_id": "73" * 8}
    assert item.header["links"] == [ids]
    assert item.header["link_count"] == 2
    assert left(item)["links"] == [
        {"trace_id": "74", "span_id": "73" * 8, "trace_state": "", "attributes": {"k": "v"}}
    ]
