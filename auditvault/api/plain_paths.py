"""The paths of this interface that no JSON view serves, as OpenAPI describes them."""

from __future__ import annotations

from typing import Any

from auditvault.api.authentication import REGION_HEADER

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_TEXT = {"schema": {"type": "string"}}
_STATUS = {
    "type": "object",
    "description": "google.rpc.Status in JSON.",
    "properties": {
        "code": {"type": "integer"},
        "message": {"type": "string"},
        "details": {"type": "array", "items": {"type": "object"}},
    },
}
_REGION = {
    "in": "header",
    "name": REGION_HEADER,
    "schema": {"type": "string"},
    "description": "Needed where a token has several.",
}
_TOKEN: list[dict[str, list[str]]] = [{"bearerToken": []}]


def _path_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"in": "path", "name": name, "required": True, "schema": schema}


_LOG = _path_parameter("log", {"type": "string", "format": "uuid"})


def _rpc_refusal(description: str) -> dict[str, Any]:
    """An OTLP error: `google.rpc.Status` in the encoding of the request (OTLP specification, Failures)."""
    return {
        "description": description,
        "content": {"application/json": {"schema": _STATUS}, "application/x-protobuf": _BYTES},
    }


def _read(operation_id: str, summary: str, media_type: str, *parameters: Any) -> dict[str, Any]:
    """A path of C2SP tlog-tiles. Of a log that the operator made public no token is asked for."""
    return {
        "get": {
            "operationId": operation_id,
            "description": summary,
            "tags": ["tlog"],
            "parameters": [_LOG, *parameters, _REGION],
            "security": [*_TOKEN, {}],
            "responses": {
                "200": {
                    "description": summary,
                    "content": {media_type: _TEXT if "text" in media_type else _BYTES},
                }
            },
        }
    }


def _open(operation_id: str, summary: str, answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    responses = {
        status: {"description": summary, "content": content} for status, content in answers.items()
    }
    return {
        "get": {
            "operationId": operation_id,
            "description": summary,
            "tags": ["operation"],
            "responses": responses,
        }
    }


_READY = {
    "application/json": {
        "schema": {
            "type": "object",
            "properties": {
                "ready": {"type": "boolean"},
                "checks": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["ready", "checks"],
        }
    }
}

PLAIN_PATHS: dict[str, dict[str, Any]] = {
    "/v1/traces": {
        "post": {
            "operationId": "v1_traces_create",
            "description": "OTLP/HTTP: an ExportTraceServiceRequest.",
            "tags": ["otlp"],
            "parameters": [_REGION],
            "security": _TOKEN,
            "requestBody": {
                "required": True,
                "content": {
                    "application/x-protobuf": _BYTES,
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "properties": {
                                "resourceSpans": {"type": "array", "items": {"type": "object"}}
                            },
                        }
                    },
                },
            },
            "responses": {
                "200": {
                    "description": "Recorded; an ExportTraceServiceResponse says what was rejected.",
                    "content": {
                        "application/json": {"schema": {"type": "object"}},
                        "application/x-protobuf": _BYTES,
                    },
                },
                **{
                    status: _rpc_refusal(meaning)
                    for status, meaning in {
                        "400": "No ExportTraceServiceRequest, or no region where one is needed.",
                        "401": "No token, or none that is valid.",
                        "403": "The token may not append, or not there.",
                        "413": "Too large, on the wire or unpacked.",
                        "415": "Another type or encoding than OTLP/HTTP has.",
                        "503": "Nothing was recorded; send again after `Retry-After`.",
                    }.items()
                },
            },
        }
    },
    "/tlog/{log}/checkpoint": _read(
        "tlog_checkpoint", "The newest checkpoint: a C2SP signed note.", "text/plain; charset=utf-8"
    ),
    "/tlog/{log}/tile/entries/{bundle}": _read(
        "tlog_entries",
        "Entries: a C2SP tlog-tiles bundle.",
        "application/octet-stream",
        _path_parameter("bundle", {"type": "string"}),
    ),
    "/tlog/{log}/tile/{tile}": _read(
        "tlog_tile",
        "Hashes: a C2SP tlog-tiles tile.",
        "application/octet-stream",
        _path_parameter("tile", {"type": "string"}),
    ),
    "/healthz": _open("healthz", "The process answers.", {"200": {"text/plain": _TEXT}}),
    "/readyz": _open(
        "readyz", "Whether the process can do its work.", {"200": _READY, "503": _READY}
    ),
    "/metrics": _open(
        "metrics", "Prometheus text format; no figure of a person.", {"200": {"text/plain": _TEXT}}
    ),
}
