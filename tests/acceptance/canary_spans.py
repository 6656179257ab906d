"""A canary in every slot of an OTLP trace request that can hold something of a person's."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.acceptance.canaries import Canaries
from tests.acceptance.otlp_bodies import key_values, make_request, make_span

MAP = Path(__file__).parents[1] / "vectors" / "otlp" / "attribute_map.csv"
UNKNOWN_KEYS = 200
RESOLVED_KEY = "gen_ai.input.messages"
_PLACEHOLDERS = {"{i}": "0", "{j}": "0", "{name}": "given"}
_IDS = {"traceId", "spanId", "parentSpanId"}


def surveyed_keys(*kinds: str) -> list[str]:
    """The attribute names of the survey that carry content (`yes`), names (`pii`) or neither (`no`)."""
    with MAP.open(encoding="utf-8") as file:
        keys = [row["key"] for row in csv.DictReader(file) if row["carries_content"] in kinds]
    for placeholder, value in _PLACEHOLDERS.items():
        keys = [key.replace(placeholder, value) for key in keys]
    return list(dict.fromkeys(keys))


def surveyed_spans(canaries: Canaries) -> Iterator[Span]:
    """Each known content and each known identifier: as a text, a list and an object, and all at once."""
    keys = surveyed_keys("yes", "pii")
    shapes: dict[str, Callable[[str], object]] = {
        "text": str,
        "list": lambda text: ["first", text],
        "object": lambda text: {"inner": {"deeper": text}},
        "json": lambda text: json.dumps([{"role": "user", "content": text}]),
    }
    for shape, make in shapes.items():
        for key in keys:
            yield _keyed_span(key, make(canaries.new(f"{key} as {shape}")))
    plain = [key for key in keys if "#" not in key]
    yield make_span("all", {key: canaries.new(f"{key} beside all others") for key in plain})


def address_spans(canaries: Canaries) -> Iterator[Span]:
    """Each known header field with an e-mail address, which its check must refuse."""
    for key in surveyed_keys("no"):
        yield _keyed_span(key, canaries.address(f"{key} as an address"))
        yield _keyed_span(key, ["stop", canaries.address(f"{key} as a list with an address")])


def unknown_spans(canaries: Canaries) -> Iterator[Span]:
    """Attributes that nobody has heard of: in the value, and in the name."""
    for number in range(UNKNOWN_KEYS):
        key = f"app.custom{number}.value"
        yield make_span("unknown", {key: canaries.new(key)})
    for number in range(10):
        yield make_span("unknown", {f"app.{canaries.new('a key')}.{number}": "value"})
    yield make_span("unknown", {"app.blob": canaries.new("bytes").encode()})
    chosen = canaries.new("the name of a prompt variable")
    yield make_span("unknown", {f"gen_ai.prompt.variable.{chosen}": "value"})


def structure_spans(canaries: Canaries) -> Iterator[Span]:
    """Everything of a span that is no attribute."""
    for name in _names(canaries):
        yield make_span(name, {"gen_ai.operation.name": "chat"})
    failed = Status(code=Status.STATUS_CODE_ERROR, message=canaries.new("status message"))
    yield make_span("failed", {}, status=failed)
    yield make_span("traced", {}, trace_state=f"vendor={canaries.new('trace state')}")
    yield make_span("events", {}, events=list(_events(canaries)))
    yield make_span("links", {}, links=list(_links(canaries)))
    yield make_span("person", {"user.id": canaries.new("user id"), "session.id": "s-1"})
    yield make_span("person", {"session.id": canaries.new("session id")})
    yield make_span("person", {"user.id": canaries.new("a very long user id") + "x" * 600})
    yield make_span("person", {"user.id": f"[Scrubbed due to {canaries.new('scrubbed user')}]"})
    yield make_span("person", {"user.email": canaries.address("an e-mail address")})
    yield make_span("person", {"user.phone": canaries.new("a phone number")})
    yield make_span("person", {"auditvault.identifier.customer": canaries.new("a customer")})
    yield make_span("claim", {"prompt.hash": canaries.new("a hash that is none")})
    text = canaries.new("a text and its own hash")
    digest = hashlib.sha256(text.encode()).hexdigest()
    yield make_span("claim", {"input.value": text, "prompt.hash": digest, "input.hash": digest})
    absurd = {"start_time_unix_nano": 5, "end_time_unix_nano": 2**64 - 1}
    yield make_span(canaries.address("name of an absurd span"), {}, **absurd)


def refused_spans(canaries: Canaries) -> Iterator[Span]:
    """Spans that are rejected one by one."""
    yield make_span(canaries.new("no trace id"), {}, trace_id=b"")
    yield make_span("short", {"input.value": canaries.new("short span id")}, span_id=b"1234")
    yield make_span("parent", {"input.value": canaries.new("odd parent")}, parent_span_id=b"123")
    deep: object = canaries.new("too deep")
    for _ in range(30):
        deep = {"k": deep}
    yield make_span("deep", {"input.value": deep})


def odd_origins(canaries: Canaries) -> Iterator[ExportTraceServiceRequest]:
    """Requests whose resource or scope holds canaries."""
    unknown = (
        "app.owner",
        "process.command_args",
        "host.name",
        "user.id",
        "session.id",
        "enduser.id",
        "user.email",
        "user.phone",
        "auditvault.identifier.customer",
    )
    for key in unknown:
        resource = {"service.name": "odd", key: canaries.new(f"resource {key}")}
        yield make_request([make_span("odd", {})], resource)
    for key in ("service.name", "service.version", "deployment.environment.name", "tenant.id"):
        resource = {key: canaries.address(f"resource {key} as an address")}
        yield make_request([make_span("odd", {})], resource)
    request = make_request([make_span("odd", {})])
    scope = request.resource_spans[0].scope_spans[0]
    scope.scope.name = canaries.address("scope name")
    scope.scope.version = canaries.address("scope version")
    scope.scope.attributes.extend(key_values({"app.scope": canaries.new("scope attribute")}))
    scope.schema_url = f"https://example.com/{canaries.new('schema url')}"
    request.resource_spans[0].schema_url = f"https://x/{canaries.new('resource schema url')}"
    yield request


def as_json(request: ExportTraceServiceRequest) -> bytes:
    """The request in OTLP's JSON, with ids of its own: hex where protobuf's JSON has base64."""
    for spans in (scope.spans for one in request.resource_spans for scope in one.scope_spans):
        for span in spans:
            span.span_id = os.urandom(len(span.span_id))
    return json.dumps(_hex_ids(MessageToDict(request))).encode()


def _hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(item).hex() if key in _IDS else _hex_ids(item)
        for key, item in value.items()
    }


def _keyed_span(key: str, value: object) -> Span:
    """A span with the value where the survey's notation says: an attribute, an event, the status."""
    if key == "span.status.message":
        return make_span("one", {}, status=Status(message=json.dumps(value)))
    if key.startswith("event:"):
        name, _, attribute = key.removeprefix("event:").partition("#")
        event = Span.Event(name=name, attributes=key_values({attribute: value}))
        return make_span("one", {}, events=[event])
    return make_span("one", {key.partition("#")[0]: value})


def _names(canaries: Canaries) -> list[str]:
    return [
        canaries.address("span name as an address"),
        f"GET /users/{canaries.address('span name with an address')}/orders",
        f"call +49 40 1234567 {canaries.new('span name with a telephone number')}",
        f"{canaries.new('span name of many words')} asks where the blue lamp is now",
        f"grüße {canaries.new('span name that is not ASCII')}",
        f'"{canaries.new("span name with quotes")}"',
    ]


def _events(canaries: Canaries) -> Iterator[Span.Event]:
    yield Span.Event(name=canaries.new("event name"))
    yield Span.Event(name="log", attributes=key_values({"body": canaries.new("event attribute")}))
    exception = {
        "exception.type": canaries.address("exception type"),
        "exception.message": canaries.new("exception message"),
        "exception.stacktrace": canaries.new("exception stack trace"),
        "exception.escaped": canaries.new("exception escaped"),
    }
    yield Span.Event(name="exception", attributes=key_values(exception))
    for number in range(70):
        text = canaries.new("event beyond the list") if number > 64 else "x"
        yield Span.Event(name="gen_ai.user.message", attributes=key_values({"content": text}))
    named = canaries.new("unknown attribute of a known event")
    yield Span.Event(name="gen_ai.choice", attributes=key_values({"app.note": named}))


def _links(canaries: Canaries) -> Iterator[Span.Link]:
    note = key_values({"note": canaries.new("link attribute")})
    yield Span.Link(trace_id=os.urandom(16), span_id=os.urandom(8), attributes=note)
    state = f"vendor={canaries.new('link trace state')}"
    yield Span.Link(trace_id=os.urandom(16), span_id=os.urandom(8), trace_state=state)
    yield Span.Link(trace_id=canaries.new("link with an odd id").encode(), span_id=b"12")
