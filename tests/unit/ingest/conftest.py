"""Builders for OTLP requests, in protobuf and in JSON, and the captured vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from auditvault.core.interaction import Interaction
from auditvault.ingest.otlp.traces import decode_traces

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "otlp"
START_NS = 1_795_000_000_123_456_789


MEMBERS = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}


def any_value(value: Any) -> AnyValue:
    if value is None:
        return AnyValue()
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
    if isinstance(value, dict):
        return AnyValue(kvlist_value=KeyValueList(values=pairs(value)))
    return AnyValue(**{MEMBERS.get(type(value), "bytes_value"): value})


def pairs(attributes: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def build_span(attributes: dict[str, Any] | None = None, **fields: Any) -> Span:
    values: dict[str, Any] = {
        "trace_id": bytes(range(16)),
        "span_id": bytes(range(8)),
        "start_time_unix_nano": START_NS,
        "end_time_unix_nano": START_NS + 5,
        "attributes": pairs(attributes or {}),
        **fields,
    }
    return Span(**values)


def build_body(*spans: Span, resource: dict[str, Any] | None = None) -> bytes:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.extend(pairs(resource or {}))
    resource_spans.scope_spans.add(spans=spans)
    return request.SerializeToString()


@pytest.fixture
def span() -> Callable[..., Span]:
    """Builds a span that is accepted unless a field says otherwise."""
    return build_span


@pytest.fixture
def body() -> Callable[..., bytes]:
    """Builds a request of spans."""
    return build_body


@pytest.fixture
def normalized() -> Callable[..., Interaction]:
    """Sends one span and gives back its interaction."""

    def send(
        attributes: dict[str, Any] | None = None,
        *,
        resource: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Interaction:
        decoded = decode_traces(
            build_body(build_span(attributes, **fields), resource=resource), "protobuf"
        )
        assert decoded.rejections == {}
        (interaction,) = decoded.interactions
        return interaction

    return send


@pytest.fixture
def contents() -> Callable[[Interaction], dict[str, bytes]]:
    """Role to body; fails if a role occurs twice."""

    def by_role(interaction: Interaction) -> dict[str, bytes]:
        roles = [content.role for content in interaction.contents]
        assert len(set(roles)) == len(roles)
        return {content.role: content.body for content in interaction.contents}

    return by_role


@pytest.fixture
def left(contents: Callable[[Interaction], dict[str, bytes]]) -> Callable[[Interaction], Any]:
    """The `attributes` content as an object; empty if there is none."""
    return lambda interaction: json.loads(contents(interaction).get("attributes", b"{}"))


@pytest.fixture
def capture() -> Callable[[str], bytes]:
    """Reads a captured file by its path below the vectors."""
    return lambda name: (VECTORS / name).read_bytes()


@pytest.fixture(scope="session")
def facts() -> dict[str, Any]:
    """What the sending scripts and the fake server recorded, by client/scenario."""
    found: dict[str, Any] = json.loads((VECTORS / "facts.json").read_text())
    return found
