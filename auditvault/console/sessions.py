"""Signing in and out.

One message for every failure: an unknown name, a wrong password and a disabled person look the same, and take the
same time (Django hashes a password for an unknown name too). Slowing down repeated attempts is left to a later version.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest
from django.utils.decorators import method_decorator

from auditvault.access.demands import anybody, signed_in
from auditvault.console.answers import guarded, private


class SignInForm(AuthenticationForm):
    """User name and password."""

    error_messages = {  # Django's own shape
        "invalid_login": "User name and password do not match. Both may be case-sensitive.",
        "inactive": "User name and password do not match. Both may be case-sensitive.",
    }

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.label_suffix = ""
        for name, label in (("username", "User name"), ("password", "Password")):
            self.fields[name].label = label
            self.fields[name].widget.attrs["class"] = "form-control"


@method_decorator([private, guarded], name="dispatch")
class SignInView(LoginView):
    """The form, and the session that it starts."""

    demands = dict.fromkeys(("GET", "POST"), anybody("Nobody is signed in yet."))
    template_name = "console/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True


@method_decorator([private, guarded], name="dispatch")
class SignOutView(LogoutView):
    """Ends the session; by POST only, so that no link of somebody else's can."""

    demands = {"POST": signed_in()}
    next_page = "console:sign-in"
