"""Every operation of the service: from URLs and their demands, with the parameters that the OpenAPI schema names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from auditvault.access.demands import Demand

_CONSOLE = re.compile(r"/(?!api/|v1/|tlog/|healthz|readyz|metrics)")


@dataclass(frozen=True)
class Operation:
    """A method on a path template, what it demands, and what it takes."""

    method: str
    path: str
    demand: Demand
    described: dict[str, Any] | None
    """As in the schema; None for the schema itself and for pages of the console."""

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_page(self) -> bool:
        return bool(_CONSOLE.match(self.path))

    @property
    def path_names(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    @property
    def query_names(self) -> list[str]:
        parameters = (self.described or {}).get("parameters", [])
        return [found["name"] for found in parameters if found["in"] == "query"]

    @property
    def body(self) -> dict[str, Any] | None:
        """The JSON schema of the body; None where there is none, or one that is not JSON."""
        content = (self.described or {}).get("requestBody", {}).get("content", {})
        found: dict[str, Any] | None = content.get("application/json", {}).get("schema")
        return found


@cache
def schema() -> dict[str, Any]:
    """The OpenAPI description that /api/schema/ serves."""
    from drf_spectacular.generators import SchemaGenerator

    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


@cache
def operations() -> tuple[Operation, ...]:
    """All of them, in the order of the URLs."""
    from auditvault.api.schema import declared

    paths = schema()["paths"]
    return tuple(
        Operation(method, path, demand, paths.get(path, {}).get(method.lower()))
        for path, method, demand in declared()
    )


def resolved(form: dict[str, Any]) -> dict[str, Any]:
    """A schema with its reference followed."""
    while "$ref" in form or len(form.get("allOf", ())) == 1:
        if "$ref" in form:
            form = schema()["components"]["schemas"][form["$ref"].rpartition("/")[2]]
        else:
            form = form["allOf"][0]
    return form


def members(form: dict[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The place of every member of a body, nested ones included: `("purpose", "case")`."""
    for name, inner in resolved(form).get("properties", {}).items():
        found = resolved(inner)
        if found.get("type") == "array":
            found = resolved(found["items"])
        yield (*before, name)
        yield from members(found, (*before, name))


def form_at(form: dict[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    """The schema of the member at that place."""
    for name in place:
        form = resolved(resolved(form)["properties"][name])
        if form.get("type") == "array":
            form = resolved(form["items"])
    return form
