"""OTLP/JSON in: the same messages as `protobuf`, made from what orjson parsed.

The rules of the OTLP specification's JSON Protobuf Encoding: lowerCamelCase names, ids in hex of
any case, enums as integers, 64-bit integers as numbers or decimal strings, unknown members ignored.
A member of the wrong type rejects its span alone; only when the list of spans itself can't be
reached is the whole request undecodable.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import orjson
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    KeyValue,
    KeyValueList,
)

from auditvault.ingest.otlp.reading import (
    MAX_ATTRIBUTES,
    MAX_NESTING,
    Batch,
    OtlpDecodeError,
    RejectionReason,
    SpanRejectedError,
)
from auditvault.ingest.otlp.wire import Scope, Span, Status

_Item = TypeVar("_Item")
_UINT64: Final = (0, 2**64 - 1)
_UINT32: Final = (0, 2**32 - 1)
_INT64: Final = (-(2**63), 2**63 - 1)
_INT32: Final = (-(2**31), 2**31 - 1)
_MAX_DECIMAL_DIGITS: Final = 20


def read_batches(body: bytes) -> Iterator[Batch]:
    """Take a request apart; raises OtlpDecodeError before the first batch if it is not one."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise OtlpDecodeError("the body is not JSON") from None  # the cause holds the body
    found = []
    for resource_spans in _members(_object(request), "resourceSpans"):
        for scope_spans in _members(_object(resource_spans), "scopeSpans"):
            spans = _members(_object(scope_spans), "spans")
            found.append((resource_spans, scope_spans, spans))
    for resource_spans, scope_spans, spans in found:
        yield _batch(resource_spans, scope_spans, spans)


def _batch(resource_spans: dict[str, Any], scope_spans: dict[str, Any], spans: list[Any]) -> Batch:
    refused: Counter[RejectionReason] = Counter()
    try:
        resource_attributes = _attributes(_dict(resource_spans, "resource"))
        scope = _scope(_dict(scope_spans, "scope"))
        schema_url = _text(scope_spans, "schemaUrl") or _text(resource_spans, "schemaUrl")
    except SpanRejectedError as error:  # holds for all that share it
        refused[error.reason] += len(spans)
        return Batch([], Scope(), "", [], refused)
    messages = []
    for span in spans:
        try:
            messages.append(_span(span))
        except SpanRejectedError as error:
            refused[error.reason] += 1
    return Batch(resource_attributes, scope, schema_url, messages, refused)


def _object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise OtlpDecodeError("the body is not an ExportTraceServiceRequest in JSON")
    return value


def _members(parent: dict[str, Any], name: str) -> list[Any]:
    members = parent.get(name)
    if members is None:
        return []
    if type(members) is not list:
        raise OtlpDecodeError(f"{name} is not an array")
    return members


def _scope(scope: dict[str, Any]) -> Any:
    return Scope(
        name=_text(scope, "name"), version=_text(scope, "version"), attributes=_attributes(scope)
    )


def _span(span: Any) -> Any:
    if type(span) is not dict:
        raise SpanRejectedError("malformed_span")
    status = _dict(span, "status")
    return Span(
        trace_id=_hex(span, "traceId", "bad_trace_id"),
        span_id=_hex(span, "spanId", "bad_span_id"),
        parent_span_id=_hex(span, "parentSpanId", "bad_parent_span_id"),
        trace_state=_text(span, "traceState"),
        flags=_integer(span.get("flags"), _UINT32),
        name=_text(span, "name"),
        kind=_integer(span.get("kind"), _INT32, strings=False),
        start_time_unix_nano=_integer(span.get("startTimeUnixNano"), _UINT64),
        end_time_unix_nano=_integer(span.get("endTimeUnixNano"), _UINT64),
        attributes=_attributes(span),
        events=_list(span, "events", _event, "too_many_events"),
        links=_list(span, "links", _link, "too_many_links"),
        status=Status(
            code=_integer(status.get("code"), _INT32, strings=False),
            message=_text(status, "message"),
        ),
        dropped_attributes_count=_integer(span.get("droppedAttributesCount"), _UINT32),
        dropped_events_count=_integer(span.get("droppedEventsCount"), _UINT32),
        dropped_links_count=_integer(span.get("droppedLinksCount"), _UINT32),
    )


def _event(event: dict[str, Any]) -> Any:
    return Span.Event(
        name=_text(event, "name"),
        time_unix_nano=_integer(event.get("timeUnixNano"), _UINT64),
        attributes=_attributes(event),
    )


def _link(link: dict[str, Any]) -> Any:
    return Span.Link(
        trace_id=_hex(link, "traceId", "malformed_span"),
        span_id=_hex(link, "spanId", "malformed_span"),
        trace_state=_text(link, "traceState"),
        attributes=_attributes(link),
    )


def _attributes(parent: dict[str, Any]) -> list[bytes]:
    return _list(parent, "attributes", _attribute, "too_many_attributes")


def _attribute(item: dict[str, Any]) -> bytes:
    return _pair(item, 0).SerializeToString()


def _list(
    parent: dict[str, Any],
    name: str,
    read: Callable[[dict[str, Any]], _Item],
    too_many: RejectionReason | None = None,
) -> list[_Item]:
    items = parent.get(name)
    if items is None:
        return []
    if type(items) is not list or any(type(item) is not dict for item in items):
        raise SpanRejectedError("malformed_span")
    if too_many is not None and len(items) > MAX_ATTRIBUTES:
        raise SpanRejectedError(too_many)
    return [read(item) for item in items]


def _value(value: dict[str, Any], depth: int) -> AnyValue:
    if "stringValue" in value:
        return AnyValue(string_value=_text(value, "stringValue"))
    for name, read in _SCALARS.items():
        if name in value:
            return read(value[name])
    if "arrayValue" not in value and "kvlistValue" not in value:
        return AnyValue()
    if depth == MAX_NESTING:
        raise SpanRejectedError("too_deep")
    return _structured(value, depth + 1)


def _structured(value: dict[str, Any], depth: int) -> AnyValue:
    if "arrayValue" in value:
        items = _list(_dict(value, "arrayValue"), "values", lambda item: _value(item, depth))
        return AnyValue(array_value=ArrayValue(values=items))
    pairs = _list(_dict(value, "kvlistValue"), "values", lambda item: _pair(item, depth))
    return AnyValue(kvlist_value=KeyValueList(values=pairs))


def _pair(item: dict[str, Any], depth: int) -> KeyValue:
    return KeyValue(key=_text(item, "key"), value=_value(_dict(item, "value"), depth))


def _dict(parent: dict[str, Any], name: str) -> dict[str, Any]:
    member = parent.get(name)
    if member is None:
        return {}
    if type(member) is not dict:
        raise SpanRejectedError("malformed_span")
    return member


def _text(parent: dict[str, Any], name: str) -> str:
    member = parent.get(name)
    if member is None:
        return ""
    if type(member) is not str:
        raise SpanRejectedError("malformed_span")
    return member


def _integer(value: Any, bounds: tuple[int, int], *, strings: bool = True) -> int:
    if value is None:
        return 0
    if strings and type(value) is str and len(value) <= _MAX_DECIMAL_DIGITS:
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal()):
            raise SpanRejectedError("malformed_span")
        value = int(value)
    if type(value) is not int or not bounds[0] <= value <= bounds[1]:
        raise SpanRejectedError("malformed_span")
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise SpanRejectedError("malformed_span")
    return value


def _double(value: Any) -> float:
    if type(value) is str:
        try:  # also proto3's NaN, Infinity and -Infinity
            return float(value)
        except ValueError:
            raise SpanRejectedError("malformed_span") from None
    if type(value) not in {int, float}:
        raise SpanRejectedError("malformed_span")
    return float(value)


def _bytes(value: Any) -> bytes:
    if type(value) is not str:
        raise SpanRejectedError("malformed_span")
    try:  # proto3's JSON mapping takes the standard and the URL-safe alphabet, padded or not
        standard = value.replace("-", "+").replace("_", "/").rstrip("=")
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise SpanRejectedError("malformed_span") from None


def _hex(parent: dict[str, Any], name: str, reason: RejectionReason) -> bytes:
    text = _text(parent, name)
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise SpanRejectedError(reason) from None
    if len(data) * 2 != len(text):  # bytes.fromhex skips white space
        raise SpanRejectedError(reason)
    return data


_SCALARS: Final[dict[str, Callable[[Any], AnyValue]]] = {
    "intValue": lambda value: AnyValue(int_value=_integer(value, _INT64)),
    "boolValue": lambda value: AnyValue(bool_value=_boolean(value)),
    "doubleValue": lambda value: AnyValue(double_value=_double(value)),
    "bytesValue": lambda value: AnyValue(bytes_value=_bytes(value)),
}
