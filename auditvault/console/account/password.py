"""Changing one's password. Other sessions of the person end, since the password is in what they are signed with."""

from __future__ import annotations

from typing import Any

from allauth.account.decorators import reauthentication_required
from allauth.account.views import PasswordChangeView
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator

from auditvault.access.demands import signed_in
from auditvault.console.account.frame import Framed
from auditvault.console.answers import guarded, private


@method_decorator(
    [private, guarded, login_required, reauthentication_required(app="allauth.mfa")],
    name="dispatch",
)
class PasswordView(Framed, PasswordChangeView):  # type: ignore[misc]
    """The form."""

    demands = dict.fromkeys(("GET", "POST"), signed_in())
    template_name = "console/account/password.html"
    success_url = "/account"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Who signs in without one, by a provider or a passkey, has none to change."""
        if request.user.is_authenticated and not request.user.has_usable_password():
            return HttpResponseRedirect(self.success_url)
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return answer
