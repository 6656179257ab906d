"""What both OTLP encodings are read into, and the errors of reading.

Both give the same thing: batches of span messages (`auditvault.ingest.otlp.wire`), so a span means
the same however it was encoded. Attribute values become JSON values. What JSON can't say has one
stated form (`docs/spec/header.md`): NaN and the infinities are strings, bytes are `{"base64": …}`,
an unset value is None.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from auditvault.core.errors import AuditvaultError

Value: TypeAlias = "str | bool | int | float | list[Value] | dict[str, Value] | None"
Attribute: TypeAlias = tuple[str, Value]

MAX_ATTRIBUTES: Final = 4096
"""Of one span, event, link, resource or scope; also the limit of events and of links."""
MAX_NESTING: Final = 24
"""Levels of arrays and key-value lists in one value."""

RejectionReason = Literal[
    "bad_trace_id",
    "bad_span_id",
    "bad_parent_span_id",
    "too_many_attributes",
    "too_many_events",
    "too_many_links",
    "too_deep",
    "malformed_span",
]


class OtlpDecodeError(AuditvaultError):
    """The whole request can't be taken apart; nothing of it was read."""

    code = "otlp_undecodable"


class SpanRejectedError(AuditvaultError):
    """One span is not acceptable; the others of its request are not concerned."""

    code = "span_rejected"

    def __init__(self, reason: RejectionReason) -> None:
        super().__init__(f"span rejected: {reason}")
        self.reason: RejectionReason = reason


class Batch(NamedTuple):
    """Spans that share resource and scope, as `wire` messages."""

    resource_attributes: Sequence[bytes]
    scope: Any
    """`InstrumentationScope`."""
    schema_url: str
    spans: Sequence[Any]
    refused: Mapping[RejectionReason, int]
    """Spans that could not be made messages; they are not in `spans`."""


def float_value(number: float) -> float | str:
    """A float as JSON can hold it: itself, or proto3's word for what JSON has no number for."""
    if math.isfinite(number):
        return number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def bytes_value(data: bytes) -> dict[str, Value]:
    """Bytes as JSON can hold them, and told apart from a string."""
    return {"base64": base64.b64encode(data).decode("ascii")}


def as_object(attributes: list[Attribute]) -> Value:
    """Key-value pairs as an object.

    As a list of pairs where a key is repeated, so that nothing is lost.
    """
    merged = dict(attributes)
    if len(merged) == len(attributes):
        return merged
    return [{"key": key, "value": value} for key, value in attributes]
