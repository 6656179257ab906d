"""Builds OTLP requests with ids of their own, sends them, and says what the service answered."""

from __future__ import annotations

import gzip
import json
import os
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
START_NS = 1_795_000_000_123_456_789
_MEMBERS = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}


def chat(
    prompt: str | None = None,
    *,
    user: str | None = None,
    session: str | None = None,
    system: str | None = None,
    attributes: dict[str, Any] | None = None,
    **fields: Any,
) -> Span:
    """A chat span with ids of its own; `fields` are the span's, such as trace_id."""
    found: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.input.messages": prompt,
        "gen_ai.system_instructions": system,
        "user.id": user,
        "session.id": session,
        **(attributes or {}),
    }
    values: dict[str, Any] = {
        "trace_id": os.urandom(16),
        "span_id": os.urandom(8),
        "name": "chat gpt-4o",
        "start_time_unix_nano": START_NS,
        "end_time_unix_nano": START_NS + 1_000_000,
        **fields,
    }
    span = Span(**values)
    for key, value in found.items():
        if value is not None:
            member = {_MEMBERS[type(value)]: value}
            span.attributes.append(KeyValue(key=key, value=AnyValue(**member)))
    return span


def request_of(*spans: Span) -> ExportTraceServiceRequest:
    """One request that holds these spans."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add(spans=spans)
    return request


def protobuf_of(*spans: Span) -> bytes:
    """The request in protobuf."""
    return request_of(*spans).SerializeToString()


def json_of(*spans: Span) -> bytes:
    """The request in OTLP's JSON: ids in hex, not in proto3's base64."""
    found = json_format.MessageToDict(request_of(*spans), use_integers_for_enums=True)
    members = found["resourceSpans"][0]["scopeSpans"][0].get("spans", [])
    for member, span in zip(members, spans, strict=True):
        member["traceId"] = span.trace_id.hex()
        member["spanId"] = span.span_id.hex()
        if span.parent_span_id:
            member["parentSpanId"] = span.parent_span_id.hex()
    return json.dumps(found).encode()


def send(
    client: Any,
    tenant: Any,
    body: bytes,
    content_type: str = PROTOBUF,
    *,
    headers: dict[str, str] | None = None,
) -> Any:
    """POST to /v1/traces as a sender of the tenant; `headers` add to the token or replace it."""
    # Django's client leaves the content type of an empty body out unless it is given as a header.
    given = tenant.headers("ingest") | {"Content-Type": content_type} | (headers or {})
    return client.post("/v1/traces", data=body, content_type=content_type, headers=given)


def record(client: Any, tenant: Any, *spans: Span) -> None:
    """Send spans that must be recorded."""
    answer = send(client, tenant, protobuf_of(*spans))
    assert answer.status_code == 200
    assert rejected(answer) == {}


def zipped(body: bytes) -> bytes:
    """The body in gzip."""
    return gzip.compress(body)


def rejected(answer: Any) -> dict[str, int]:
    """Reason -> count of a 200's partial success; empty if nothing was rejected."""
    if answer["Content-Type"] == JSON:
        partial = json.loads(answer.content).get("partialSuccess", {})
        total, message = int(partial.get("rejectedSpans", 0)), partial.get("errorMessage", "")
    else:
        success = ExportTraceServiceResponse.FromString(answer.content).partial_success
        total, message = success.rejected_spans, success.error_message
    pairs = (part.split(": ") for part in message.split(", ") if part)
    found = {reason: int(count) for reason, count in pairs}
    assert sum(found.values()) == total
    return found


def post(client: Any, path: str, body: Any, headers: dict[str, str]) -> Any:
    """POST a JSON body."""
    return client.post(path, data=json.dumps(body), content_type=JSON, headers=headers)


def headers_of(client: Any, tenant: Any, **filters: Any) -> list[dict[str, Any]]:
    """The tenant's headers that match, newest first, as an engineer finds them."""
    answer = post(client, "/api/v1/traces/search", filters, tenant.headers("engineer"))
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["interactions"]
    return found
