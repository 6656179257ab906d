"""`GET /tlog/{log}/…`: a log for third-party clients, to the letter of C2SP tlog-tiles.

Plain Django views: the paths, the bytes and the headers are the specification's, and nothing is negotiated but gzip of
entry bundles. Errors are problem documents that nobody keeps: a tile that is not there today may be tomorrow.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import MethodNotAllowed

from auditvault.access.admission import admit
from auditvault.access.demands import demanding, needs
from auditvault.access.log_reading import record_proof_read
from auditvault.api.authentication import REGION_HEADER, credential_of
from auditvault.api.base import operation_of, region_for
from auditvault.api.problems import json_problem
from auditvault.core.policy.access import Act
from auditvault.core.tlog.tiles import TileError, parse_entries_path, parse_tile_path
from auditvault.ledger.logs import LogNotFoundError
from auditvault.ledger.publishing import (
    PublishedLog,
    TileNotFoundError,
    checkpoint_note,
    entry_bundle,
    public_log,
    tenants_log,
)
from auditvault.ledger.publishing import tile as read_tile

_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"
_METHODS = ("GET", "HEAD")
_IMMUTABLE = "max-age=31536000, immutable"
_GZIP_LEVEL = 6
_REFUSED_WEIGHT = re.compile(r"q=0(\.0{0,3})?")

# Of a log that the operator made public, nothing is demanded (docs/adr/0010-who-reads-tiles.md).
_READ_LOG = needs(Act.READ_LOG, answers=(404,))
_Read = Callable[[PublishedLog], HttpResponse]


@demanding(GET=_READ_LOG)
@csrf_exempt  # nothing is changed here, and POST is to be answered 405
def checkpoint(request: HttpRequest, log: UUID) -> HttpResponse:
    """The newest signed checkpoint, as a signed note."""
    return _respond(request, log, _checkpoint, "no-cache")


@demanding(GET=_READ_LOG)
@csrf_exempt
def tile(request: HttpRequest, log: UUID, tile: str) -> HttpResponse:
    """A full or partial tile that a signed checkpoint covers."""
    return _respond(request, log, partial(_tile, f"tile/{tile}"), _IMMUTABLE)


@demanding(GET=_READ_LOG)
@csrf_exempt
def entries(request: HttpRequest, log: UUID, bundle: str) -> HttpResponse:
    """The entries under a tile of level 0, in gzip where the client takes it."""
    zipped = _accepts_gzip(request.headers.get("Accept-Encoding", ""))
    read = partial(_entries, f"tile/entries/{bundle}", zipped)
    return _respond(request, log, read, _IMMUTABLE)


def _respond(request: HttpRequest, log: UUID, read: _Read, keep: str) -> HttpResponse:
    try:
        return _answer(request, log, read, keep)
    except Exception as error:  # noqa: BLE001  # every failure gets an answer
        answer = json_problem(error)
        answer["Cache-Control"] = "no-store"
        if isinstance(error, MethodNotAllowed):
            answer["Allow"] = ", ".join(_METHODS)
        return answer


def _answer(request: HttpRequest, log: UUID, read: _Read, keep: str) -> HttpResponse:
    if request.method not in _METHODS:
        raise MethodNotAllowed(request.method or "")
    public = public_log(log)
    answer = read(public or _callers_log(request, log))
    # What a tenant reads with a token is not for a shared cache, which would hand it to anybody.
    answer["Cache-Control"] = f"{'public' if public else 'private'}, {keep}"
    return answer


def _callers_log(request: HttpRequest, log: UUID) -> PublishedLog:
    """The log, for a credential that may read its tenant's logs in its region.

    A client of the specification names no region, and need not: the log is in one of the credential's.
    """
    credential = credential_of(request.headers.get("Authorization"))
    asked = request.headers.get(REGION_HEADER)
    admit(
        credential=credential,
        demand=_READ_LOG,
        operation=operation_of(request),
        region=asked,
        now=datetime.now(UTC),
    )
    regions = (region_for(credential, request),) if asked else credential.regions
    served = [region for region in regions if asked or region in settings.REGIONS]
    for region in served:
        with suppress(LogNotFoundError):
            found = tenants_log(region, credential.tenant_id, log)
            record_proof_read(
                credential=credential, region=region, log=found.log, now=datetime.now(UTC)
            )
            return found
    for region in served[:1]:
        record_proof_read(credential=credential, region=region, log=None, now=datetime.now(UTC))
    raise LogNotFoundError("There is no such log.")


def _checkpoint(found: PublishedLog) -> HttpResponse:
    return HttpResponse(checkpoint_note(found), content_type=_TEXT)


def _tile(path: str, found: PublishedLog) -> HttpResponse:
    try:
        key = parse_tile_path(path)
    except TileError as error:
        raise TileNotFoundError("This is not the path of a tile.") from error
    return HttpResponse(read_tile(found, key), content_type=_BYTES)


def _entries(path: str, zipped: bool, found: PublishedLog) -> HttpResponse:  # noqa: FBT001  # bound by partial
    try:
        key = parse_entries_path(path)
    except TileError as error:
        raise TileNotFoundError("This is not the path of an entry bundle.") from error
    data = entry_bundle(found, key)
    answer = HttpResponse(
        gzip.compress(data, _GZIP_LEVEL, mtime=0) if zipped else data, content_type=_BYTES
    )
    if zipped:
        answer["Content-Encoding"] = "gzip"
    patch_vary_headers(answer, ["Accept-Encoding"])
    return answer


def _accepts_gzip(header: str) -> bool:
    """Whether `Accept-Encoding` names gzip, and not to refuse it (RFC 9110 section 12.5.3)."""
    for part in header.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in {"gzip", "x-gzip"}:
            return not _REFUSED_WEIGHT.fullmatch(weight.strip())
    return False
