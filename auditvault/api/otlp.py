"""`POST /v1/traces`: OTLP/HTTP to the letter (OTLP specification 1.x, section OTLP/HTTP).

A plain Django view: the wire format is not ours, and neither are its errors. Every answer is in the request's
encoding. A 5xx other than 503 would make senders drop data, so there is none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from auditvault.access.admission import admit
from auditvault.access.demands import demanding, needs
from auditvault.api import problems
from auditvault.api.authentication import REGION_HEADER, credential_of
from auditvault.api.base import operation_of, region_for
from auditvault.core.policy.access import Act
from auditvault.ingest.otlp.framing import CONTENT_TYPES, Encoding, Framing, negotiate, read_body
from auditvault.ingest.otlp.status import RpcCode, encode_response, encode_status
from auditvault.ingest.otlp.traces import decode_traces
from auditvault.ingest.services import ingest

log = logging.getLogger("auditvault.api.otlp")
_CHUNK_BYTES = 256 * 1024
_RPC_CODES = {
    HTTPStatus.BAD_REQUEST: RpcCode.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: RpcCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: RpcCode.PERMISSION_DENIED,
    HTTPStatus.METHOD_NOT_ALLOWED: RpcCode.UNIMPLEMENTED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: RpcCode.RESOURCE_EXHAUSTED,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: RpcCode.INVALID_ARGUMENT,
    HTTPStatus.SERVICE_UNAVAILABLE: RpcCode.UNAVAILABLE,
}


_APPEND = needs(Act.APPEND)


@demanding(POST=_APPEND)
@csrf_exempt
def traces(request: HttpRequest) -> HttpResponse:
    """Record the spans of an ExportTraceServiceRequest, and answer once they are durable."""
    encoding: Encoding = "json" if "json" in (request.content_type or "") else "protobuf"
    if request.method != "POST":
        answer = _error(HTTPStatus.METHOD_NOT_ALLOWED, "Send traces with POST.", encoding)
        answer["Allow"] = "POST"
        return answer
    try:
        return _record(request)
    except Exception as error:  # every failure gets an answer a sender can act on
        found = problems.describe(error)
        if found is None:
            log.exception("unforeseen error")
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, "Something failed here.", encoding)
        status, _, detail, _ = found
        return _error(status, detail, encoding)


def _record(request: HttpRequest) -> HttpResponse:
    credential = credential_of(request.headers.get("Authorization"))
    admit(
        credential=credential,
        demand=_APPEND,
        operation=operation_of(request),
        region=request.headers.get(REGION_HEADER),
        now=datetime.now(UTC),
    )
    region = region_for(credential, request)
    framing = negotiate(
        request.headers.get("Content-Type"), request.headers.get("Content-Encoding")
    )
    body = read_body(
        _chunks(request), gzipped=framing.gzipped, limit_bytes=settings.OTLP_MAX_BODY_BYTES
    )
    decoded = decode_traces(body, framing.encoding)
    if decoded.interactions:
        ingest(
            region=region,
            tenant_id=credential.tenant_id,
            source=credential.actor,
            interactions=decoded.interactions,
            received_at=datetime.now(UTC),
        )
    return _success(encode_response(decoded.rejections, framing.encoding), framing)


def _chunks(request: HttpRequest) -> Iterator[bytes]:
    while chunk := request.read(_CHUNK_BYTES):
        yield chunk


def _success(body: bytes, framing: Framing) -> HttpResponse:
    return HttpResponse(body, content_type=framing.content_type)


def _error(status: HTTPStatus, message: str, encoding: Encoding) -> HttpResponse:
    field = "body" if status == HTTPStatus.BAD_REQUEST else None
    body = encode_status(
        _RPC_CODES.get(status, RpcCode.UNAVAILABLE), message, encoding, bad_field=field
    )
    return HttpResponse(
        body,
        status=int(status),
        content_type=CONTENT_TYPES[encoding],
        headers=problems.headers_for(status),
    )
