"""OTLP requests made by hand, for tests that must know every byte they send."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


def any_value(value: object) -> AnyValue:
    """A string, a list or a mapping as OTLP has it."""
    found = AnyValue()
    if isinstance(value, Mapping):
        found.kvlist_value.values.extend(key_values(value))
    elif isinstance(value, list | tuple):
        found.array_value.values.extend(any_value(item) for item in value)
    elif isinstance(value, bytes):
        found.bytes_value = value
    else:
        found.string_value = str(value)
    return found


def key_values(attributes: Mapping[str, object]) -> list[KeyValue]:
    """Attributes as OTLP has them."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def make_span(name: str, attributes: Mapping[str, object], **fields: Any) -> Span:
    """A span of a trace of its own, which lasted a millisecond and ended now."""
    ended = time.time_ns()
    made: dict[str, Any] = {
        "trace_id": os.urandom(16),
        "span_id": os.urandom(8),
        "start_time_unix_nano": ended - 1_000_000,
        "end_time_unix_nano": ended,
    }
    return Span(name=name, attributes=key_values(attributes), **{**made, **fields})


def make_request(
    spans: Iterable[Span], resource: Mapping[str, object] | None = None
) -> ExportTraceServiceRequest:
    """A request with one resource and one scope."""
    request = ExportTraceServiceRequest()
    batch = request.resource_spans.add()
    batch.resource.attributes.extend(key_values(resource or {"service.name": "by-hand"}))
    batch.scope_spans.add().spans.extend(spans)
    return request
