"""The idle and the absolute limit of sessions, kept by the server for pages and the API alike.

Like the framework's own middleware it asks no database until somebody asks who the user is, so that a request that
needs nobody costs nothing, and a database that is away is met where errors become answers.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

from auditvault.access.identity.strength import is_over, touch


class SessionLimitsMiddleware:
    """Stands behind `AuthenticationMiddleware`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, with a user who is nobody where the session is over."""
        found: list[Any] = []

        def within_limits() -> Any:
            if not found:
                found.append(_user_within_limits(request))
            return found[0]

        request.user = SimpleLazyObject(within_limits)  # type: ignore[assignment]  # as the framework does
        return self._get_response(request)


def _user_within_limits(request: HttpRequest) -> Any:
    user = get_user(request)
    if not user.is_authenticated:
        return user
    now = datetime.now(UTC)
    if is_over(request.session, now=now):
        request.session.flush()
        return AnonymousUser()
    touch(request.session, now=now)
    return user
