"""Errors as RFC 9457 problem documents: the one place where an error becomes a status."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import psycopg
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response

from auditvault.core.crypto.keywrap import KeyProviderError, WrapError
from auditvault.core.errors import AuditvaultError
from auditvault.privacy.requests.importing import ImportRefusedError

log = logging.getLogger("auditvault.api")
RETRY_AFTER_SECONDS = 5
CONTENT_TYPE = "application/problem+json"

_STATUS = {
    "token_invalid": HTTPStatus.UNAUTHORIZED,
    "access_denied": HTTPStatus.FORBIDDEN,
    "region_denied": HTTPStatus.FORBIDDEN,
    "human_required": HTTPStatus.FORBIDDEN,
    "second_factor_required": HTTPStatus.FORBIDDEN,
    "role_own": HTTPStatus.FORBIDDEN,
    "every_region_required": HTTPStatus.FORBIDDEN,
    "role_unknown": HTTPStatus.BAD_REQUEST,
    "role_end_invalid": HTTPStatus.BAD_REQUEST,
    "role_definition_invalid": HTTPStatus.BAD_REQUEST,
    "role_exists": HTTPStatus.CONFLICT,
    "role_not_held": HTTPStatus.NOT_FOUND,
    "role_not_found": HTTPStatus.NOT_FOUND,
    "person_not_found": HTTPStatus.NOT_FOUND,
    "place_unknown": HTTPStatus.NOT_FOUND,
    "token_not_found": HTTPStatus.NOT_FOUND,
    "token_not_live": HTTPStatus.CONFLICT,
    "token_overlap_invalid": HTTPStatus.BAD_REQUEST,
    "reauthentication_required": HTTPStatus.FORBIDDEN,
    "cross_site_refused": HTTPStatus.FORBIDDEN,
    "place_required": HTTPStatus.BAD_REQUEST,
    "token_request_invalid": HTTPStatus.BAD_REQUEST,
    "lookups_limited": HTTPStatus.TOO_MANY_REQUESTS,
    "subject_budget_spent": HTTPStatus.TOO_MANY_REQUESTS,
    "access_not_recorded": HTTPStatus.SERVICE_UNAVAILABLE,
    "region_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "key_provider_failed": HTTPStatus.SERVICE_UNAVAILABLE,
    "restore_pending": HTTPStatus.SERVICE_UNAVAILABLE,
    "concurrent_repeat": HTTPStatus.SERVICE_UNAVAILABLE,
    "content_not_found": HTTPStatus.NOT_FOUND,
    "trace_not_found": HTTPStatus.NOT_FOUND,
    "entry_not_found": HTTPStatus.NOT_FOUND,
    "log_not_found": HTTPStatus.NOT_FOUND,
    "tile_not_found": HTTPStatus.NOT_FOUND,
    "entries_pruned": HTTPStatus.NOT_FOUND,
    "entry_pruned": HTTPStatus.GONE,
    "approval_not_found": HTTPStatus.NOT_FOUND,
    "grant_not_found": HTTPStatus.NOT_FOUND,
    "grant_missing": HTTPStatus.FORBIDDEN,
    "grant_scope_invalid": HTTPStatus.BAD_REQUEST,
    "break_glass_missing": HTTPStatus.FORBIDDEN,
    "break_glass_own": HTTPStatus.FORBIDDEN,
    "break_glass_open": HTTPStatus.CONFLICT,
    "break_glass_over": HTTPStatus.CONFLICT,
    "break_glass_reviewed": HTTPStatus.CONFLICT,
    "break_glass_unreviewed": HTTPStatus.CONFLICT,
    "break_glass_unseen": HTTPStatus.CONFLICT,
    "break_glass_not_found": HTTPStatus.NOT_FOUND,
    "redaction_not_found": HTTPStatus.NOT_FOUND,
    "approval_not_yours": HTTPStatus.FORBIDDEN,
    "operation_denied": HTTPStatus.FORBIDDEN,
    "approval_own": HTTPStatus.FORBIDDEN,
    "approval_missing": HTTPStatus.CONFLICT,
    "approval_not_open": HTTPStatus.CONFLICT,
    "approval_drifted": HTTPStatus.CONFLICT,
    "plan_invalid": HTTPStatus.BAD_REQUEST,
    "case_invalid": HTTPStatus.BAD_REQUEST,
    "transfer_basis_missing": HTTPStatus.CONFLICT,
    "transfer_basis_invalid": HTTPStatus.BAD_REQUEST,
    "transfer_basis_not_found": HTTPStatus.NOT_FOUND,
    "transfer_basis_own": HTTPStatus.FORBIDDEN,
    "transfer_invalid": HTTPStatus.BAD_REQUEST,
    "privacy_request_not_found": HTTPStatus.NOT_FOUND,
    "privacy_request_invalid": HTTPStatus.BAD_REQUEST,
    "privacy_import_invalid": HTTPStatus.UNPROCESSABLE_ENTITY,
    "privacy_request_move": HTTPStatus.CONFLICT,
    "privacy_request_overtaken": HTTPStatus.CONFLICT,
    "manifest_drifted": HTTPStatus.CONFLICT,
    "manifest_not_found": HTTPStatus.NOT_FOUND,
    "manifest_unconfirmed": HTTPStatus.UNPROCESSABLE_ENTITY,
    "request_certificate_not_found": HTTPStatus.NOT_FOUND,
    "package_not_found": HTTPStatus.NOT_FOUND,
    "package_not_ready": HTTPStatus.CONFLICT,
    "extension_refused": HTTPStatus.CONFLICT,
    "regime_unknown": HTTPStatus.BAD_REQUEST,
    "calendar_unknown": HTTPStatus.BAD_REQUEST,
    "calendar_exceeded": HTTPStatus.BAD_REQUEST,
    "period_invalid": HTTPStatus.BAD_REQUEST,
    "words_not_found": HTTPStatus.NOT_FOUND,
    "hold_not_found": HTTPStatus.NOT_FOUND,
    "hold_invalid": HTTPStatus.BAD_REQUEST,
    "hold_scope_invalid": HTTPStatus.BAD_REQUEST,
    "hold_not_open": HTTPStatus.CONFLICT,
    "purpose_invalid": HTTPStatus.UNPROCESSABLE_ENTITY,
    "content_hash_invalid": HTTPStatus.BAD_REQUEST,
    "identifier_invalid": HTTPStatus.BAD_REQUEST,
    "identifier_kind_unknown": HTTPStatus.BAD_REQUEST,
    "cursor_invalid": HTTPStatus.BAD_REQUEST,
    "proof_out_of_range": HTTPStatus.BAD_REQUEST,
    "report_unknown": HTTPStatus.BAD_REQUEST,
    "report_filter_invalid": HTTPStatus.BAD_REQUEST,
    "report_too_large": HTTPStatus.UNPROCESSABLE_ENTITY,
    "review_not_found": HTTPStatus.NOT_FOUND,
    "review_not_independent": HTTPStatus.FORBIDDEN,
    "review_opened_already": HTTPStatus.CONFLICT,
    "review_signed_already": HTTPStatus.CONFLICT,
    "review_quarter_invalid": HTTPStatus.UNPROCESSABLE_ENTITY,
    "review_decisions_invalid": HTTPStatus.UNPROCESSABLE_ENTITY,
    "export_not_found": HTTPStatus.NOT_FOUND,
    "export_certificate_invalid": HTTPStatus.BAD_REQUEST,
    "export_empty": HTTPStatus.UNPROCESSABLE_ENTITY,
    "exports_waiting": HTTPStatus.CONFLICT,
    "export_too_large": HTTPStatus.UNPROCESSABLE_ENTITY,
    "region_required": HTTPStatus.BAD_REQUEST,
    "unsupported_encoding": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "content_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "body_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "otlp_undecodable": HTTPStatus.BAD_REQUEST,
}

# What a database that is down, full, starting or overloaded raises: the caller may come back.
UNAVAILABLE = (DatabaseError, psycopg.Error, OSError)


def status_of(error: AuditvaultError) -> HTTPStatus:
    """The status an error of ours is answered with; an unknown one is our fault, and says to come back."""
    if error.code in _STATUS:
        return _STATUS[error.code]
    for kind in type(error).__mro__:
        code = getattr(kind, "code", None)
        if code in _STATUS:
            return _STATUS[code]
    return HTTPStatus.SERVICE_UNAVAILABLE


def problem(status: HTTPStatus, code: str, detail: str, **extra: Any) -> dict[str, Any]:
    """The members of a problem document."""
    return {
        "type": f"urn:auditvault:problem:{code}",
        "title": status.phrase,
        "status": int(status),
        "code": code,
        "detail": detail,
        **extra,
    }


def headers_for(status: HTTPStatus, error: Exception | None = None) -> dict[str, str]:
    """Headers of a refusal: nobody keeps it, when to come back, which an error may know, how to authenticate."""
    headers = {"Cache-Control": "no-store"}
    retry_after = getattr(error, "retry_after_seconds", None)
    if retry_after is None and status == HTTPStatus.SERVICE_UNAVAILABLE:
        retry_after = RETRY_AFTER_SECONDS
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def problem_response(error: Exception, _context: dict[str, Any]) -> Response | None:
    """Django REST framework's exception handler."""
    found = describe(error)
    if found is None:
        return None
    status, code, detail, extra = found
    body = problem(status, code, detail, **extra)
    return Response(
        body, status=int(status), headers=headers_for(status, error), content_type=CONTENT_TYPE
    )


def describe(  # noqa: PLR0911  # one line a kind of error
    error: Exception,
) -> tuple[HTTPStatus, str, str, dict[str, Any]] | None:
    """Status, code, detail and further members of an error; None for one that nobody foresaw."""
    if isinstance(error, (KeyProviderError, WrapError)):
        # Which key service, token or file it is, is the operator's to know.
        log.error("a key cannot be used: %s: %s", error.code, error.message, exc_info=error)
        detail = "A key of this service cannot be used now. Try again later."
        return status_of(error), error.code, detail, {}
    if isinstance(error, ImportRefusedError):
        lines = [{"line": each.line, "code": each.code} for each in error.lines]
        return status_of(error), error.code, error.message, {"lines": lines}
    if isinstance(error, AuditvaultError):
        return status_of(error), error.code, error.message, {}
    if isinstance(error, UNAVAILABLE):
        log.warning("a database is unavailable", exc_info=error)
        detail = "A database of this service cannot be reached or written. Try again later."
        return HTTPStatus.SERVICE_UNAVAILABLE, "storage_unavailable", detail, {}
    if isinstance(error, exceptions.ValidationError):
        detail = "The request does not have the documented form; see `errors`."
        return HTTPStatus.BAD_REQUEST, "request_invalid", detail, {"errors": error.get_codes()}
    if isinstance(error, Http404):
        return HTTPStatus.NOT_FOUND, "not_found", "There is nothing here.", {}
    if isinstance(error, PermissionDenied):
        return HTTPStatus.FORBIDDEN, "access_denied", "You may not do this.", {}
    if isinstance(error, exceptions.APIException):
        status = HTTPStatus(error.status_code)
        code = str(getattr(error, "default_code", "request_refused"))
        return status, code, status.description or status.phrase, {}
    return None


def json_problem(error: Exception) -> JsonResponse:
    """The same for views outside Django REST framework; anything unforeseen is 503, never 500."""
    found = describe(error)
    if found is None:
        log.error("unforeseen error", exc_info=error)
        found = (
            HTTPStatus.SERVICE_UNAVAILABLE,
            "internal_error",
            "Something failed here. Try again later.",
            {},
        )
    status, code, detail, extra = found
    return JsonResponse(
        problem(status, code, detail, **extra),
        status=int(status),
        headers=headers_for(status, error),
        content_type=CONTENT_TYPE,
    )


def server_error(_request: HttpRequest) -> JsonResponse:
    """Django's handler of what no view caught."""
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return JsonResponse(
        problem(status, "internal_error", "Something failed here. Try again later."),
        status=int(status),
        headers=headers_for(status),
        content_type=CONTENT_TYPE,
    )


def not_found(_request: HttpRequest, exception: Exception | None = None) -> JsonResponse:  # noqa: ARG001
    """Django's handler of an unknown path."""
    status = HTTPStatus.NOT_FOUND
    return JsonResponse(
        problem(status, "not_found", "There is nothing here."),
        status=int(status),
        headers=headers_for(status),
        content_type=CONTENT_TYPE,
    )
