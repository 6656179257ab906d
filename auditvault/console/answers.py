"""What every answer of the console has in common: who may keep it, and how an error reads."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any

import psycopg
from allauth.account.middleware import AccountMiddleware
from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.response import SimpleTemplateResponse

from auditvault.core.errors import AuditvaultError

log = logging.getLogger("auditvault.console")
RETRY_AFTER_SECONDS = 5
_View = Callable[..., HttpResponseBase]
_STORAGE = (DatabaseError, psycopg.Error, OSError)
# Any other error of ours means that something here does not work now: 503, and come back.
_STATUS = {
    "access_denied": HTTPStatus.FORBIDDEN,
    "duties_not_separate": HTTPStatus.FORBIDDEN,
    "place_denied": HTTPStatus.FORBIDDEN,
    "second_factor_required": HTTPStatus.FORBIDDEN,
    "reauthentication_required": HTTPStatus.FORBIDDEN,
    "human_required": HTTPStatus.FORBIDDEN,
    "entry_link_invalid": HTTPStatus.NOT_FOUND,
    "trace_not_found": HTTPStatus.NOT_FOUND,
    "entry_not_found": HTTPStatus.NOT_FOUND,
    "cursor_invalid": HTTPStatus.BAD_REQUEST,
    "lookups_limited": HTTPStatus.TOO_MANY_REQUESTS,
    "subject_budget_spent": HTTPStatus.TOO_MANY_REQUESTS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What the person is told: nothing here names a data subject or repeats what was typed."""

    status: HTTPStatus
    title: str
    detail: str
    advice: str


# For what the framework answers to exceptions of its own; it handles no request.
_FRAMEWORK: Any = AccountMiddleware(lambda _request: HttpResponse())


def private(view: _View) -> _View:
    """Answers are kept by nobody, and the address of a page goes to no other site.

    `same-origin`, not the site's `no-referrer`: under the latter a browser sends `Origin: null` with a form, and
    Django's check against cross-site requests refuses it.
    """

    @wraps(view)
    def kept_by_nobody(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        response["Referrer-Policy"] = "same-origin"
        return response

    return kept_by_nobody


def guarded(view: _View) -> _View:
    """An error becomes a page: for views that know nothing of the person yet."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            response = view(request, *args, **kwargs)
            # Rendered here and not later, so that what fails while rendering is a page, too.
            return response.render() if isinstance(response, SimpleTemplateResponse) else response
        except (ImmediateHttpResponse, ReauthenticationRequired) as error:
            # Given here and not by its middleware, so that this answer is private like every other.
            answer: HttpResponseBase = _FRAMEWORK.process_exception(request, error)
            return answer
        except Exception as error:  # noqa: BLE001  # the edge: everything becomes a page
            return trouble_page(request, trouble_of(error))

    return answered


def trouble_of(error: Exception) -> Trouble:
    """How an error reads; whatever nobody foresaw is logged, and is answered as ours to repair."""
    if isinstance(error, AuditvaultError):
        status = _STATUS.get(error.code, HTTPStatus.SERVICE_UNAVAILABLE)
        return _titled(status, error.message)
    if isinstance(error, Http404):
        return _titled(HTTPStatus.NOT_FOUND, "There is nothing here.")
    if isinstance(error, PermissionDenied):
        return _titled(HTTPStatus.FORBIDDEN, "You may not do this.")
    if isinstance(error, _STORAGE):
        log.warning("a database is unavailable", exc_info=error)
        return _titled(HTTPStatus.SERVICE_UNAVAILABLE, "A database cannot be reached or written.")
    log.error("unforeseen error", exc_info=error)
    return _titled(HTTPStatus.SERVICE_UNAVAILABLE, "Something failed here.")


def trouble_page(request: HttpRequest, trouble: Trouble, **context: Any) -> HttpResponse:
    """The page that says so; it asks no database. For htmx it takes the place of the whole main part."""
    response = render(
        request, "console/trouble.html", {"trouble": trouble, **context}, status=int(trouble.status)
    )
    if trouble.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if request.headers.get("HX-Request") == "true":
        response["HX-Retarget"] = response["HX-Reselect"] = "#page"
        response["HX-Reswap"] = "outerHTML"
    return response


def _titled(status: HTTPStatus, detail: str) -> Trouble:
    title, advice = {
        HTTPStatus.FORBIDDEN: (
            "Not permitted",
            "Nothing was shown. Ask whoever manages access to your tenant, and name what you need and why.",
        ),
        HTTPStatus.NOT_FOUND: (
            "Not found here",
            "It may belong to another tenant or region, or it was never recorded. Check the identifier.",
        ),
        HTTPStatus.BAD_REQUEST: ("That link does not work", "Start again from the first page."),
    }.get(status, ("Not available now", "Nothing was lost or shown. Try again in a few seconds."))
    return Trouble(status=status, title=title, detail=detail, advice=advice)
