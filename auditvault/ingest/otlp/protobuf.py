"""Protobuf in: `ExportTraceServiceRequest`, parsed by upb, handed on as it is."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import DecodeError

from auditvault.ingest.otlp.reading import Batch, OtlpDecodeError
from auditvault.ingest.otlp.wire import Request


def read_batches(body: bytes) -> Iterator[Batch]:
    """Take a request apart; raises OtlpDecodeError before the first batch if it is not one."""
    try:
        request = Request.FromString(body)
    except DecodeError:
        # The cause could quote the body.
        raise OtlpDecodeError("the body is not an ExportTraceServiceRequest in protobuf") from None
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            yield Batch(
                resource_attributes=resource_spans.resource.attributes,
                scope=scope_spans.scope,
                schema_url=scope_spans.schema_url or resource_spans.schema_url,
                spans=scope_spans.spans,
                refused={},
            )
