"""What SCIM says of a request that is none, of a filter, and of a failure (RFC 7644 section 3.12)."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from pydantic import ValidationError
from scim2_models import Context, Error, ResponseParameters, SCIMException
from scim2_models.path import AttrPath, CompareOperator, Comparison

from auditvault.access.scim.clients import ScimTokenInvalidError
from auditvault.api.problems import RETRY_AFTER_SECONDS, UNAVAILABLE
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.separation import SeparationError

log = logging.getLogger("auditvault.api.scim")
CONTENT_TYPE = "application/scim+json"
MAX_BODY_BYTES = 2**20
_TYPES = frozenset({CONTENT_TYPE, "application/json"})
_FILTERED = {
    "username": "user_name",
    "externalid": "external_id",
    "id": "scim_id",
    "displayname": "display_name",
}
_STATUS: dict[str, tuple[HTTPStatus, str | None]] = {
    "scim_token_invalid": (HTTPStatus.UNAUTHORIZED, None),
    "scim_not_found": (HTTPStatus.NOT_FOUND, None),
    "scim_not_unique": (HTTPStatus.CONFLICT, "uniqueness"),
    "scim_value_invalid": (HTTPStatus.BAD_REQUEST, "invalidValue"),
    "region_unavailable": (HTTPStatus.SERVICE_UNAVAILABLE, None),
}


class RefusedError(Exception):
    """A request that SCIM has an answer for, and that reaches no service of ours."""

    def __init__(self, status: HTTPStatus, detail: str, scim_type: str | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.scim_type = status, detail, scim_type


def bearer_of(request: HttpRequest) -> str:
    """The bearer token of a request; raises ScimTokenInvalidError."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise ScimTokenInvalidError("Send `Authorization: Bearer <token>`.")
    return token.strip()


def parameters_of(request: HttpRequest) -> ResponseParameters[Any]:
    """Which attributes were asked for; raises ValidationError."""
    given = request.GET.dict()
    return ResponseParameters.model_validate(
        {name: given[name] for name in ("attributes", "excludedAttributes") if name in given}
    )


def equality_of(search: Any) -> dict[str, str]:
    """The one comparison that a filter may be: an attribute that is looked up, and a text."""
    if search.filter is None:
        return {}
    node = search.filter.ast
    if (
        isinstance(node, Comparison)
        and isinstance(node.attr_path, AttrPath)
        and node.op == CompareOperator.eq
        and isinstance(node.value, str)
        and node.attr_path.sub_attr is None
        and node.attr_path.attr.lower() in _FILTERED
    ):
        _refuse_unstorable(node.value)
        return {_FILTERED[node.attr_path.attr.lower()]: node.value}
    raise RefusedError(
        HTTPStatus.BAD_REQUEST,
        "A filter is one of userName, displayName, externalId and id, with eq and a text.",
        "invalidFilter",
    )


def body_of(request: HttpRequest) -> Any:
    """The request's JSON; raises RefusedError."""
    if request.content_type not in _TYPES:
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send {CONTENT_TYPE}.")
    raw = request.read(MAX_BODY_BYTES + 1)
    if len(raw) > MAX_BODY_BYTES:
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "At most 1 MiB.")
    try:
        found = json.loads(raw, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, "The body is not JSON.", "invalidSyntax"
        ) from error
    _refuse_unstorable(json.dumps(found, ensure_ascii=False).replace("\\u0000", "\0"))
    return found


def _no_number(_text: str) -> None:
    raise ValueError


def _refuse_unstorable(text: str) -> None:
    """Refuse what no database keeps: NUL, and halves of a pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = "\0"
    if "\0" in text:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "A text that cannot be kept.", "invalidValue")


def json_answer(body: Any, status: HTTPStatus = HTTPStatus.OK) -> HttpResponse:
    """An answer of SCIM's media type."""
    return HttpResponse(json.dumps(body), status=int(status), content_type=CONTENT_TYPE)


def refusal_of(error: Exception) -> HttpResponse:
    """SCIM's error (RFC 7644 section 3.12); nothing of what was sent is logged."""
    described = _describe(error)
    response = json_answer(
        described.model_dump(scim_ctx=Context.DEFAULT), HTTPStatus(described.status or 503)
    )
    if described.status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    if described.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _describe(error: Exception) -> Error:  # noqa: PLR0911  # one line a kind of error
    if isinstance(error, ValidationError):
        return Error.from_validation_errors(error)[0]
    if isinstance(error, SCIMException):
        return error.to_error()
    if isinstance(error, RefusedError):
        return Error(status=int(error.status), scim_type=error.scim_type, detail=error.detail)
    if isinstance(error, SeparationError):
        return Error(status=400, scim_type="invalidValue", detail=error.message)
    if isinstance(error, AuditvaultError) and error.code in _STATUS:
        status, scim_type = _STATUS[error.code]
        return Error(status=int(status), scim_type=scim_type, detail=error.message)
    if isinstance(error, UNAVAILABLE):
        log.warning("a database is unavailable", exc_info=error)
        return Error(status=503, detail="A database cannot be reached or written. Try again later.")
    log.error("unforeseen error", exc_info=error)
    return Error(status=503, detail="Something failed here. Try again later.")
