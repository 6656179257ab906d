"""The JSON endpoints of v1: each checks, calls one service and answers."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access.demands import anybody, needs
from auditvault.access.disclosure import Look, Redacted, Revealed, resolve
from auditvault.access.log_reading import list_entries, record_proof_read
from auditvault.access.reading import find_headers, receipt, tlog_proof, trace_headers
from auditvault.api import serializers as forms
from auditvault.api.base import REGION, RegionView
from auditvault.api.checking import body_of, query_of
from auditvault.core.policy.access import Act
from auditvault.ledger import selectors as ledger
from auditvault.ledger.logs import LogNotFoundError, LogRef, tenant_logs
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.traces.selectors import Search, SpanNode, TraceNotFoundError

_EQUAL = (
    "operation",
    "status",
    "provider",
    "model",
    "service",
    "environment",
    "feature",
    "error_type",
)
_TRACE_ID_HEX_DIGITS = 32


class SchemaView(SpectacularAPIView):
    """The OpenAPI description of this interface."""

    demands = {"GET": anybody("It says what the program can do, which its source says as well.")}


class TraceSearchView(RegionView):
    """Search headers."""

    demands = {"POST": needs(Act.READ_HEADERS, answers=(429,))}

    @extend_schema(
        request=forms.TraceSearchRequest, responses=forms.TraceSearchResponse, parameters=[REGION]
    )
    def post(self, request: Request) -> Response:
        """Headers that match every filter, newest first."""
        form = forms.TraceSearchRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        found = find_headers(
            credential=self.credential,
            region=self.region,
            query=search_of(given),
            names=form.names(),
            now=datetime.now(UTC),
        )
        return Response({"interactions": found.headers, "next_cursor": found.next_cursor})


class TraceView(RegionView):
    """One trace."""

    demands = {"GET": needs(Act.READ_HEADERS, answers=(404, 429))}

    @extend_schema(responses=forms.TraceResponse, parameters=[REGION])
    def get(self, request: Request, trace_id: str) -> Response:  # noqa: ARG002
        """Every recorded span of the trace, in tree order."""
        nodes = trace_headers(
            credential=self.credential,
            region=self.region,
            trace_id=_trace_id(trace_id),
            now=datetime.now(UTC),
        )
        return Response({"trace_id": trace_id.lower(), "spans": [_span(node) for node in nodes]})


class ResolveView(RegionView):
    """Content behind a hash."""

    demands = {
        "POST": needs(
            Act.RESOLVE_FULL, who="second_factor", in_service=True, answers=(404, 413, 422, 429)
        )
    }

    @extend_schema(
        request=forms.ResolveRequest, responses=forms.ResolveResponse, parameters=[REGION]
    )
    def post(self, request: Request) -> Response:
        """The contents, after the look has been recorded; 503 where it cannot be."""
        given = body_of(forms.ResolveRequest, request)
        resolved = resolve(
            credential=self.credential,
            region=self.region,
            look=Look(
                content_hash=given["content_hash"],
                representation=given["representation"],
                **given["purpose"],
            ),
            now=datetime.now(UTC),
        )
        return Response(
            {
                "access_record": str(resolved.record_id),
                "contents": [
                    *map(revealed_body, resolved.contents),
                    *map(redacted_body, resolved.redacted),
                ],
                "more": resolved.has_more,
            }
        )


class ReceiptView(RegionView):
    """The receipt of an interaction."""

    demands = {"GET": needs(Act.READ_RECEIPT, answers=(404, 410, 429))}

    @extend_schema(
        responses={200: forms.ReceiptResponse, 202: forms.ReceiptResponse}, parameters=[REGION]
    )
    def get(self, request: Request, interaction_id: UUID) -> Response:  # noqa: ARG002
        """Entry, proof and checkpoint; 202 with `Retry-After` until a checkpoint covers the entry."""
        body = receipt(
            credential=self.credential,
            region=self.region,
            record_id=interaction_id,
            now=datetime.now(UTC),
        )
        if body["checkpoint"] is None:
            return Response(body, status=202, headers={"Retry-After": "1"})
        return Response(body)


class TlogProofView(RegionView):
    """The proof of an interaction's entry in the form that other tools read."""

    demands = {"GET": needs(Act.READ_RECEIPT, answers=(404, 410, 429))}

    @extend_schema(
        responses={(200, "text/plain"): str, 202: None},
        parameters=[REGION],
    )
    def get(self, request: Request, interaction_id: UUID) -> HttpResponseBase:  # noqa: ARG002
        """C2SP tlog-proof; 202 with `Retry-After` and no body until a checkpoint covers the entry."""
        text = tlog_proof(
            credential=self.credential,
            region=self.region,
            record_id=interaction_id,
            now=datetime.now(UTC),
        )
        if text is None:
            return HttpResponse(status=202, headers={"Retry-After": "1"})
        return HttpResponse(text, content_type="text/plain; charset=utf-8")


class LogsView(RegionView):
    """The tenant's logs."""

    demands = {"GET": needs(Act.READ_LOG)}

    @extend_schema(responses=forms.LogsResponse, parameters=[REGION])
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """Each log with its size and root."""
        region, tenant_id = self.region, self.credential.tenant_id
        record_proof_read(
            credential=self.credential, region=region, log=None, now=datetime.now(UTC)
        )
        logs = tenant_logs(region=region, tenant_id=tenant_id)
        with tenant_scope(region_alias(region), tenant_id) as connection:
            heads = [(log, ledger.head(connection, log)) for log in logs]
        return Response(
            {
                "logs": [
                    {
                        "id": log.log_id,
                        "origin": log.origin,
                        "kind": log.kind,
                        "size": state.size,
                        "root": state.root.hex(),
                        "last_at": state.last_at,
                    }
                    for log, state in heads
                ]
            }
        )


class OneLogView(RegionView):
    """Something about one log of the tenant; entries and proofs hold no content."""

    demands = {"GET": needs(Act.READ_LOG, answers=(404,))}
    records_each: ClassVar[bool] = False

    def log(self, log_id: int) -> LogRef:
        """The log; raises LogNotFoundError, also for another tenant's, once that somebody asked is recorded."""
        logs = tenant_logs(region=self.region, tenant_id=self.credential.tenant_id)
        found = next((log for log in logs if log.log_id == log_id), None)
        if found is None or not self.records_each:
            record_proof_read(
                credential=self.credential, region=self.region, log=found, now=datetime.now(UTC)
            )
        if found is None:
            raise LogNotFoundError("There is no such log.")
        return found


class CheckpointView(OneLogView):
    """The newest checkpoint of a log."""

    @extend_schema(responses=forms.CheckpointResponse, parameters=[REGION])
    def get(self, request: Request, log_id: int) -> Response:  # noqa: ARG002
        """The signed note."""
        log = self.log(log_id)
        with tenant_scope(region_alias(self.region), log.tenant_id) as connection:
            newest = ledger.latest_checkpoint(connection, log)
        if newest is None:
            raise LogNotFoundError("This log has no checkpoint yet.")
        return Response(
            {
                "size": newest.size,
                "root": newest.root.hex(),
                "note": newest.note,
                "signed_at": newest.signed_at,
            }
        )


class EntriesView(OneLogView):
    """Entries of a log."""

    demands = {"GET": needs(Act.READ_LOG, answers=(404, 410))}
    records_each = True

    @extend_schema(responses=forms.EntriesResponse, parameters=[REGION, forms.EntriesQuery])
    def get(self, request: Request, log_id: int) -> Response:
        """Up to 1,000 entries from `start`."""
        log = self.log(log_id)
        query = query_of(forms.EntriesQuery, request)
        found = list_entries(
            credential=self.credential,
            region=self.region,
            log=log,
            start=query["start"],
            end=query["end"],
            now=datetime.now(UTC),
        )
        return Response(
            {
                "entries": [
                    {
                        "index": index,
                        "record_id": str(record_id),
                        "entry": base64.b64encode(entry).decode(),
                    }
                    for index, record_id, entry in found
                ]
            }
        )


class InclusionProofView(OneLogView):
    """Proof that an entry is in the log."""

    @extend_schema(responses=forms.ProofResponse, parameters=[REGION, forms.InclusionQuery])
    def get(self, request: Request, log_id: int) -> Response:
        """The proof of entry `index` in the tree of `size`."""
        log = self.log(log_id)
        query = query_of(forms.InclusionQuery, request)
        with tenant_scope(region_alias(self.region), log.tenant_id) as connection:
            proof = ledger.inclusion(connection, log, index=query["index"], size=query["size"])
        return Response({"hashes": [value.hex() for value in proof]})


class ConsistencyProofView(OneLogView):
    """Proof that a log only grew."""

    @extend_schema(responses=forms.ProofResponse, parameters=[REGION, forms.ConsistencyQuery])
    def get(self, request: Request, log_id: int) -> Response:
        """The proof from size `from` to size `to`."""
        log = self.log(log_id)
        query = query_of(forms.ConsistencyQuery, request)
        with tenant_scope(region_alias(self.region), log.tenant_id) as connection:
            proof = ledger.consistency(
                connection, log, old_size=query["from"], new_size=query["to"]
            )
        return Response({"hashes": [value.hex() for value in proof]})


def search_of(given: dict[str, Any]) -> Search:
    """The search that validated members of a request ask for, without what names somebody."""
    return Search(
        started_from=given.get("started_from"),
        started_before=given.get("started_before"),
        trace_id=bytes.fromhex(given["trace_id"]) if "trace_id" in given else None,
        equal={name: given[name] for name in _EQUAL if name in given},
        min_total_tokens=given.get("min_total_tokens"),
        limit=given["limit"],
        cursor=given.get("cursor"),
    )


def _trace_id(text: str) -> bytes:
    if len(text) != _TRACE_ID_HEX_DIGITS:
        raise TraceNotFoundError("There is no such trace.")
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise TraceNotFoundError("There is no such trace.") from error


def _span(node: SpanNode) -> dict[str, Any]:
    return {"header": node.header, "depth": node.depth, "missing_parent": node.missing_parent}


def revealed_body(item: Revealed) -> dict[str, Any]:
    """A content as it is answered."""
    encoding, content = _encoded(item.content)
    return {
        "object_id": str(item.object_id),
        "interaction_id": str(item.interaction_id),
        "role": item.role,
        "state": "hash_only" if item.content is None else "sealed",
        "encoding": encoding,
        "content": content,
        "size_bytes": item.size_bytes,
        "sha256": item.sha256.hex(),
        "opening": item.opening.hex(),
    }


def redacted_body(item: Redacted) -> dict[str, Any]:
    """A redacted text as it is answered: without hash and opening, which would prove guesses at the original."""
    return {
        "object_id": str(item.object_id),
        "interaction_id": str(item.interaction_id),
        "role": item.role,
        "state": "redacted",
        "encoding": "utf-8",
        "content": item.content.decode(),
        "size_bytes": len(item.content),
        "sha256": None,
        "opening": None,
        "detector": item.detector,
    }


def _encoded(content: bytes | None) -> tuple[str | None, str | None]:
    if content is None:
        return None, None
    try:
        return "utf-8", content.decode()
    except UnicodeDecodeError:
        return "base64", base64.b64encode(content).decode()
