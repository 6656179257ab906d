"""What the OpenAPI description needs beyond the JSON views: paths whose form is not ours, and every refusal.

Refusals follow from a view's demands, so that a new view describes its own: whoever needs a token may be told 401, 403
and 400, whoever sends a body that it is too large or of another type, and everybody that something here does not work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.urls import get_resolver

from auditvault.access.demands import Demand, demands_of
from auditvault.api.checks import each_view
from auditvault.api.plain_paths import PLAIN_PATHS
from auditvault.api.problems import CONTENT_TYPE

_CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")
_METHODS = ("get", "post", "put", "patch", "delete")
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem document (docs/reference/http-errors.md).",
    "properties": {
        "type": {"type": "string", "pattern": "^urn:auditvault:problem:"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string", "pattern": "^[a-z]+(_[a-z]+)*$"},
        "detail": {"type": "string"},
        "errors": {"description": "Of `request_invalid`: a member for each wrong field."},
        "lines": {
            "description": "Of `privacy_import_invalid`: lines that will not do.",
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "line": {"type": "integer", "minimum": 1},
                    "code": {"type": "string", "pattern": "^[a-z]+(_[a-z]+)*$"},
                },
                "required": ["line", "code"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["type", "title", "status", "code", "detail"],
    "additionalProperties": False,
}
_MEANINGS = {
    400: "The request does not have the documented form, or names no region where it must.",
    401: "No token, or none that is valid.",
    403: "The caller may not do this. Whether there is such a thing is not said.",
    404: "There is no such thing for the caller's tenant, in this region.",
    406: "Another form was asked for than there is.",
    409: "Something else happened meanwhile, or before.",
    410: "It was pruned.",
    413: "The body, or the content, is too large.",
    415: "The body is of another type.",
    422: "What was asked for is not allowed for this purpose.",
    429: "Too much was asked for; come back after `Retry-After`.",
    503: "Something does not work now. Nothing was shown or lost; come back after `Retry-After`.",
}


def declared() -> Iterator[tuple[str, str, Demand]]:
    """Path template, method and demand of every operation of the service, the console's included."""
    for route, view in each_view(get_resolver().url_patterns):
        for method, demand in (demands_of(view) or {}).items():
            yield "/" + _CONVERTER.sub(r"{\1}", route), method, demand


def complete(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Add what is missing; drf-spectacular calls this last."""
    paths = result["paths"]
    paths.update(PLAIN_PATHS)
    result["components"].setdefault("schemas", {})["Problem"] = _PROBLEM
    demands = {(path, method): demand for path, method, demand in declared()}
    for path, item in paths.items():
        for method in _METHODS:
            if method in item:
                _describe(item[method], demands[path, method.upper()])
    return result


def _describe(operation: dict[str, Any], demand: Demand) -> None:
    """Refusals of one operation, and whether it takes a token."""
    if demand.who == "anybody":
        operation["security"] = []
    given = operation["responses"]
    for status in _refusals(operation, demand):
        given.setdefault(str(status), _refusal(status))


def _refusals(operation: Mapping[str, Any], demand: Demand) -> Iterator[int]:
    yield from demand.answers
    yield from (400, 406, 503)
    if demand.who != "anybody":
        yield from (401, 403)
    if "requestBody" in operation:
        yield from (413, 415)
    if any(parameter["in"] == "path" for parameter in operation.get("parameters", ())):
        yield 404


def _refusal(status: int) -> dict[str, Any]:
    form = {"$ref": "#/components/schemas/Problem"}
    return {"description": _MEANINGS[status], "content": {CONTENT_TYPE: {"schema": form}}}
