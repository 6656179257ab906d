"""The console's frame around a page about the account, which belongs to no tenant."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from auditvault.access.credentials import REAUTHENTICATION_LASTS
from auditvault.access.identity.strength import strength_of


class Framed:
    """A view whose page says who is signed in."""

    request: HttpRequest

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The page's context, with the person's name."""
        context: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]
        return context | {
            "person": self.request.user.get_username(),
            "section": "account",
            "options": options_of(context),
            "asked": self.request.POST.get("next") or self.request.GET.get("next") or "",
        }


def options_of(context: dict[str, Any]) -> str:
    """What a browser's credential store is asked, as JSON for a `data-` attribute; empty where it is not."""
    given = context.get("js_data") or {}
    asked = given.get("request_options") or given.get("creation_options")
    return json.dumps(asked) if asked else ""


def needs_recent_sign_in(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """For who has neither password nor factor here and came through a provider: only just after that.

    The framework asks everybody else to say again who they are, and lets these through.
    """

    @wraps(view)
    def only_recently(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        person = request.user
        if person.is_authenticated and not get_reauthentication_flows(person):
            now = datetime.now(UTC)
            at = strength_of(request.session, account=str(person.pk), now=now).reauthenticated_at
            if at is None or now - at > REAUTHENTICATION_LASTS:
                return redirect_to_login(request.get_full_path())
        return view(request, *args, **kwargs)

    return only_recently
