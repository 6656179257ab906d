"""OTLP answers.

`ExportTraceServiceResponse` for success, `google.rpc.Status` for every error, in the request's
encoding.

`google.rpc.Status` has three fields and its Python package is no dependency of ours, so it is
written by hand here: code (1, varint), message (2, string), details (3, repeated `Any`), as in
googleapis `google/rpc/status.proto`. Which HTTP status goes with which code is left to the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from auditvault.ingest.otlp.framing import Encoding
from auditvault.ingest.otlp.wire import encode_varint

_BAD_REQUEST_TYPE = "type.googleapis.com/google.rpc.BadRequest"


class RpcCode(IntEnum):
    """The codes of `google/rpc/code.proto` that the endpoint answers with."""

    INVALID_ARGUMENT = 3
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


def rejection_message(rejections: Mapping[str, int]) -> str:
    """Say reason and count of each rejection, sorted by reason, and nothing about the spans.

    Empty if there are none.
    """
    return ", ".join(f"{reason}: {count}" for reason, count in sorted(rejections.items()) if count)


def encode_response(rejections: Mapping[str, int], encoding: Encoding) -> bytes:
    """Encode a 200's body; `partial_success` is set only if spans were rejected."""
    rejected = sum(rejections.values())
    message = rejection_message(rejections)
    if encoding == "json":
        partial = {"rejectedSpans": str(rejected), "errorMessage": message}
        return orjson.dumps({"partialSuccess": partial} if rejected else {})
    response = ExportTraceServiceResponse()
    if rejected:
        response.partial_success.CopyFrom(
            ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
        )
    return response.SerializeToString()


def encode_status(
    code: int, message: str, encoding: Encoding, *, bad_field: str | None = None
) -> bytes:
    """Encode an error's body.

    `bad_field` adds a `google.rpc.BadRequest` detail naming what was wrong ("body"), as the OTLP
    specification asks of 400s; its description is the message.
    """
    if encoding == "json":
        status: dict[str, Any] = {"code": code, "message": message}
        if bad_field is not None:
            violation = {"field": bad_field, "description": message}
            status["details"] = [{"@type": _BAD_REQUEST_TYPE, "fieldViolations": [violation]}]
        return orjson.dumps(status)
    encoded = b"\x08" + encode_varint(code) + _string(2, message)
    if bad_field is not None:
        bad_request = _delimited(1, _string(1, bad_field) + _string(2, message))
        encoded += _delimited(3, _string(1, _BAD_REQUEST_TYPE) + _delimited(2, bad_request))
    return encoded


def _string(field: int, text: str) -> bytes:
    return _delimited(field, text.encode()) if text else b""  # proto3 leaves defaults out


def _delimited(field: int, data: bytes) -> bytes:
    return bytes([field << 3 | 2]) + encode_varint(len(data)) + data
