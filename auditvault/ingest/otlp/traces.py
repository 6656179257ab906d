"""The entry point of OTLP traces.

The bytes of one request in, interactions and counted rejections out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from auditvault.core.interaction import Interaction
from auditvault.ingest.normalize.memo import RequestMemo
from auditvault.ingest.normalize.origin import normalize_origin
from auditvault.ingest.normalize.span import normalize_span
from auditvault.ingest.otlp import json, protobuf
from auditvault.ingest.otlp.framing import Encoding
from auditvault.ingest.otlp.reading import Batch, SpanRejectedError

_READERS: Final = {"protobuf": protobuf.read_batches, "json": json.read_batches}


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedTraces:
    """What one request held."""

    interactions: list[Interaction]
    """In the order sent; duplicates are not looked for."""
    rejections: dict[str, int]
    """Reason code -> spans refused for it."""
    received: int
    """Spans in the request: the interactions and the rejections."""


def decode_traces(body: bytes, encoding: Encoding) -> DecodedTraces:
    """Decode and normalise one `ExportTraceServiceRequest`, already unpacked.

    An empty body is an empty request.

    Raises OtlpDecodeError if the body can't be taken apart; a span that is not acceptable is
    counted and refuses no other.
    """
    interactions: list[Interaction] = []
    rejections: Counter[str] = Counter()
    received = 0
    memo = RequestMemo()
    for batch in _READERS[encoding](body) if body else ():
        received += len(batch.spans) + sum(batch.refused.values())
        rejections.update(batch.refused)
        _decode_batch(batch, memo, interactions, rejections)
    return DecodedTraces(interactions=interactions, rejections=dict(rejections), received=received)


def _decode_batch(
    batch: Batch,
    memo: RequestMemo,
    interactions: list[Interaction],
    rejections: Counter[str],
) -> None:
    try:
        origin = normalize_origin(batch.resource_attributes, batch.scope, batch.schema_url)
    except SpanRejectedError as error:
        rejections[error.reason] += len(batch.spans)
        return
    for span in batch.spans:
        try:
            interactions.append(normalize_span(span, origin, memo))
        except SpanRejectedError as error:
            rejections[error.reason] += 1
