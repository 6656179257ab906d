"""What the spans of one batch share.

Resource and scope, normalised once and merged into each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from auditvault.core.interaction import Content
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ingest.normalize.checks import check_id, check_word
from auditvault.ingest.normalize.draft import Draft, dumps
from auditvault.ingest.normalize.handlers import RESOURCE_HANDLERS
from auditvault.ingest.otlp.reading import Value, as_object
from auditvault.ingest.otlp.wire import read_attributes, split_pairs

_SCHEMAS: Final = "https://opentelemetry.io/schemas/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The normalised share of a batch's spans."""

    header: dict[str, JsonValue]
    """Fields from resource and scope; copied into each span's header."""
    identifiers: tuple[tuple[str, str], ...]
    withheld: frozenset[str]
    redacted: frozenset[str]
    left: dict[str, bytes]
    """Members `resource` and `scope` of the `attributes` content, as JSON.

    Absent where nothing was left.
    """
    head: bytes
    """The same as the beginning of the object, for the common case that only `span` follows."""
    content: Content | None
    """The `attributes` content of a span that adds nothing; one object for all of them."""


def normalize_origin(resource_attributes: Sequence[bytes], scope: Any, schema_url: str) -> Origin:
    """Normalise what a batch shares.

    Raises SpanRejectedError, which then holds for all of its spans.
    """
    draft = Draft({}, {})
    for key, raw in split_pairs(resource_attributes):
        RESOURCE_HANDLERS[key](draft, key, raw)
    for handler, key, raw in draft.weak or ():
        handler(draft, key, raw)
    left = {"resource": _left(draft)} if draft.left else {}
    scope_left = _scope(draft, scope, schema_url)
    if scope_left:
        left["scope"] = dumps(scope_left)
    members = b",".join(b'"%s":%s' % (name.encode(), body) for name, body in sorted(left.items()))
    return Origin(
        header=draft.header,
        identifiers=tuple(draft.identifiers),
        withheld=frozenset(draft.withheld or ()),
        redacted=frozenset(draft.redacted or ()),
        left=left,
        head=b"{" + members + b"," if left else b"{",
        content=Content("attributes", b"{" + members + b"}") if left else None,
    )


def _left(draft: Draft) -> bytes:
    if draft.repeated is not None:
        return dumps({**draft.left, "repeated": draft.repeated})
    return dumps(draft.left)


def _scope(draft: Draft, scope: Any, schema_url: str) -> dict[str, Value]:
    """Fill the scope's header fields; gives back what has no place there."""
    left: dict[str, Value] = {}
    if scope.attributes:
        left["attributes"] = as_object(read_attributes(scope.attributes))
    checked = {
        "scope_name": (scope.name, check_word(scope.name)),
        "scope_version": (scope.version, check_id(scope.version)),
        "semconv": (schema_url, _semconv(schema_url)),
    }
    for field, (sent, accepted) in checked.items():
        if accepted is not None:
            draft.header[field] = accepted
        elif sent:
            draft.mark_withheld(field)
            left[field] = sent
    return left


def _semconv(schema_url: str) -> str | None:
    return check_id(schema_url[len(_SCHEMAS) :]) if schema_url.startswith(_SCHEMAS) else None
