"""Signing in and out.

One message for every failure: an unknown name, a wrong password and a disabled person look the same, and take the same
time (Django hashes a password for an unknown name too). Repeated failures are slowed down by name and by address, known
or not, in counters that all processes share.
"""

from __future__ import annotations

from typing import Any

from allauth.account.views import LoginView
from allauth.socialaccount.adapter import get_adapter as get_provider_adapter
from django.contrib.auth.views import LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator

from auditvault.access.demands import anybody, demanding, signed_in
from auditvault.access.identity.forms import SignInForm
from auditvault.console.answers import guarded, private

_WHY = {
    "closed": "This account is closed.",
    "no-role": "Your organisation's sign-in knows you, but none of your groups has a role here.",
    "connect": "There is an account with your address here. Sign in to it with its password, then connect the two on"
    " the page about your account.",
    "duties": "Your groups together would let you do what must be in two hands, so nothing was given.",
    "mapping": "Your groups give a role in a place that is not here.",
    "provider": "Your organisation's sign-in did not work.",
}


@method_decorator([private, guarded], name="dispatch")
class SignInView(LoginView):  # type: ignore[misc]
    """The form, and what comes after it: the second factor, or the session."""

    demands = dict.fromkeys(("GET", "POST"), anybody("Nobody is signed in yet."))
    template_name = "console/sign_in.html"
    form_class = SignInForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The page, with the organisations that people can come from."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        apps = get_provider_adapter().list_apps(self.request)
        asked = self.request.POST.get("next") or self.request.GET.get("next") or ""
        return context | {"providers": apps, "next": asked}


@method_decorator([private, guarded], name="dispatch")
class SignOutView(LogoutView):
    """Ends the session; by POST only, so that no link of somebody else's can."""

    demands = {"POST": signed_in()}
    next_page = "console:sign-in"


@demanding(GET=anybody("Whoever was not let in."))
@private
@guarded
def refused(request: HttpRequest) -> HttpResponse:
    """Who may not come in learns why, as far as it is theirs to know."""
    why = _WHY.get(request.GET.get("why", ""), _WHY["provider"])
    return render(request, "console/account/refused.html", {"why": why}, status=403)
