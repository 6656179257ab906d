"""The JSON endpoints of v1: each checks, calls one service and answers."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from auditvault.access.credentials import Credential
from auditvault.access.disclosure import Look, Revealed, resolve
from auditvault.access.reading import find_headers, receipt, tlog_proof, trace_headers
from auditvault.api import serializers as forms
from auditvault.api.authentication import REGION_HEADER, region_of
from auditvault.core.policy.access import Act
from auditvault.ledger import selectors as ledger
from auditvault.ledger.logs import LogNotFoundError, LogRef, tenant_logs
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.traces.selectors import Search, SpanNode, TraceNotFoundError

_REGION = OpenApiParameter(
    REGION_HEADER,
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Needed where a token has several.",
)
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


class RegionView(APIView):
    """A view about one region of the caller's tenant."""

    @property
    def credential(self) -> Credential:
        """Who calls."""
        caller: Any = self.request.user
        found: Credential = caller.credential
        return found

    @property
    def region(self) -> str:
        """Where; raises RegionDeniedError or RegionRequiredError."""
        return region_of(self.credential, self.request.headers.get(REGION_HEADER))

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        """What one person may see is nobody else's to keep."""
        answer: Response = super().finalize_response(request, response, *args, **kwargs)
        answer["Cache-Control"] = "no-store"
        return answer

    def require(self, act: Act) -> None:
        """Raise AccessDeniedError unless one of the caller's roles allows the act."""
        self.credential.role_for(act)


class TraceSearchView(RegionView):
    """Search headers."""

    @extend_schema(
        request=forms.TraceSearchRequest, responses=forms.TraceSearchResponse, parameters=[_REGION]
    )
    def post(self, request: Request) -> Response:
        """Headers that match every filter, newest first."""
        self.require(Act.READ_HEADERS)
        form = forms.TraceSearchRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        found = find_headers(
            credential=self.credential,
            region=self.region,
            query=Search(
                started_from=given.get("started_from"),
                started_before=given.get("started_before"),
                trace_id=bytes.fromhex(given["trace_id"]) if "trace_id" in given else None,
                equal={name: given[name] for name in _EQUAL if name in given},
                min_total_tokens=given.get("min_total_tokens"),
                limit=given["limit"],
                cursor=given.get("cursor"),
            ),
            names=form.names(),
            now=datetime.now(UTC),
        )
        return Response({"interactions": found.headers, "next_cursor": found.next_cursor})


class TraceView(RegionView):
    """One trace."""

    @extend_schema(responses=forms.TraceResponse, parameters=[_REGION])
    def get(self, request: Request, trace_id: str) -> Response:  # noqa: ARG002
        """Every recorded span of the trace, in tree order."""
        self.require(Act.READ_HEADERS)
        nodes = trace_headers(
            credential=self.credential,
            region=self.region,
            trace_id=_trace_id(trace_id),
            now=datetime.now(UTC),
        )
        return Response({"trace_id": trace_id.lower(), "spans": [_span(node) for node in nodes]})


class ResolveView(RegionView):
    """Content behind a hash."""

    @extend_schema(
        request=forms.ResolveRequest, responses=forms.ResolveResponse, parameters=[_REGION]
    )
    def post(self, request: Request) -> Response:
        """The contents, after the look has been recorded; 503 where it cannot be."""
        form = forms.ResolveRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        resolved = resolve(
            credential=self.credential,
            region=self.region,
            look=Look(content_hash=given["content_hash"], **given["purpose"]),
            now=datetime.now(UTC),
        )
        return Response(
            {
                "access_record": str(resolved.record_id),
                "contents": [_revealed(item) for item in resolved.contents],
                "more": resolved.has_more,
            }
        )


class ReceiptView(RegionView):
    """The receipt of an interaction."""

    @extend_schema(
        responses={200: forms.ReceiptResponse, 202: forms.ReceiptResponse}, parameters=[_REGION]
    )
    def get(self, request: Request, interaction_id: UUID) -> Response:  # noqa: ARG002
        """Entry, proof and checkpoint; 202 with `Retry-After` until a checkpoint covers the entry."""
        self.require(Act.READ_RECEIPT)
        body = receipt(credential=self.credential, region=self.region, record_id=interaction_id)
        if body["checkpoint"] is None:
            return Response(body, status=202, headers={"Retry-After": "1"})
        return Response(body)


class TlogProofView(RegionView):
    """The proof of an interaction's entry in the form that other tools read."""

    @extend_schema(
        responses={(200, "text/plain"): str, 202: None},
        parameters=[_REGION],
    )
    def get(self, request: Request, interaction_id: UUID) -> HttpResponseBase:  # noqa: ARG002
        """C2SP tlog-proof; 202 with `Retry-After` and no body until a checkpoint covers the entry."""
        self.require(Act.READ_RECEIPT)
        text = tlog_proof(credential=self.credential, region=self.region, record_id=interaction_id)
        if text is None:
            return HttpResponse(status=202, headers={"Retry-After": "1"})
        return HttpResponse(text, content_type="text/plain; charset=utf-8")


class LogsView(RegionView):
    """The tenant's logs."""

    @extend_schema(responses=forms.LogsResponse, parameters=[_REGION])
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """Each log with its size and root."""
        self.require(Act.READ_LOG)
        region, tenant_id = self.region, self.credential.tenant_id
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
    """Something about one log of the tenant."""

    def log(self, log_id: int) -> LogRef:
        """The log; raises LogNotFoundError, also for another tenant's."""
        self.require(Act.READ_LOG)
        for found in tenant_logs(region=self.region, tenant_id=self.credential.tenant_id):
            if found.log_id == log_id:
                return found
        raise LogNotFoundError("There is no such log.")


class CheckpointView(OneLogView):
    """The newest checkpoint of a log."""

    @extend_schema(responses=forms.CheckpointResponse, parameters=[_REGION])
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

    @extend_schema(responses=forms.EntriesResponse, parameters=[_REGION, forms.EntriesQuery])
    def get(self, request: Request, log_id: int) -> Response:
        """Up to 1,000 entries from `start`."""
        log = self.log(log_id)
        query = _query(forms.EntriesQuery, request)
        with tenant_scope(region_alias(self.region), log.tenant_id) as connection:
            found = ledger.entries(connection, log, start=query["start"], end=query["end"])
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

    @extend_schema(responses=forms.ProofResponse, parameters=[_REGION, forms.InclusionQuery])
    def get(self, request: Request, log_id: int) -> Response:
        """The proof of entry `index` in the tree of `size`."""
        log = self.log(log_id)
        query = _query(forms.InclusionQuery, request)
        with tenant_scope(region_alias(self.region), log.tenant_id) as connection:
            proof = ledger.inclusion(connection, log, index=query["index"], size=query["size"])
        return Response({"hashes": [value.hex() for value in proof]})


class ConsistencyProofView(OneLogView):
    """Proof that a log only grew."""

    @extend_schema(responses=forms.ProofResponse, parameters=[_REGION, forms.ConsistencyQuery])
    def get(self, request: Request, log_id: int) -> Response:
        """The proof from size `from` to size `to`."""
        log = self.log(log_id)
        query = _query(forms.ConsistencyQuery, request)
        with tenant_scope(region_alias(self.region), log.tenant_id) as connection:
            proof = ledger.consistency(
                connection, log, old_size=query["from"], new_size=query["to"]
            )
        return Response({"hashes": [value.hex() for value in proof]})


def _query(form_class: type[forms.StrictSerializer], request: Request) -> dict[str, Any]:
    form = form_class(data=request.query_params.dict())
    form.is_valid(raise_exception=True)
    found: dict[str, Any] = form.validated_data
    return found


def _trace_id(text: str) -> bytes:
    if len(text) != _TRACE_ID_HEX_DIGITS:
        raise TraceNotFoundError("There is no such trace.")
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise TraceNotFoundError("There is no such trace.") from error


def _span(node: SpanNode) -> dict[str, Any]:
    return {"header": node.header, "depth": node.depth, "missing_parent": node.missing_parent}


def _revealed(item: Revealed) -> dict[str, Any]:
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


def _encoded(content: bytes | None) -> tuple[str | None, str | None]:
    if content is None:
        return None, None
    try:
        return "utf-8", content.decode()
    except UnicodeDecodeError:
        return "base64", base64.b64encode(content).decode()
