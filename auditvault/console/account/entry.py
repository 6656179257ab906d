"""Coming in by a link: an invitation, or a reset of the password.

A link's token is taken out of the address at once and kept in the session, so that it stands in no history, log or
`Referer` longer than one request.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from allauth.account.internal import flows
from allauth.account.models import Login
from allauth.core.internal import ratelimit
from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View

from auditvault.access.demands import anybody
from auditvault.access.identity import entry_links
from auditvault.console.account.mail import send_reset_later
from auditvault.console.answers import guarded, private

_TOKEN = "entry_link"  # noqa: S105  # the name of a place
_LONGEST_PASSWORD = 1024


class PasswordForm(forms.Form):
    """A new password, twice."""

    password = forms.CharField(
        label="New password",
        strip=False,
        max_length=_LONGEST_PASSWORD,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    again = forms.CharField(
        label="The same again",
        strip=False,
        max_length=_LONGEST_PASSWORD,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        """Both are the same."""
        given: dict[str, Any] = super().clean() or {}
        if not self.errors and given["password"] != given["again"]:
            self.add_error("again", "The two are not the same.")
        return given


@method_decorator([private, guarded], name="dispatch")
class EntryView(View):
    """Set a password by link; who was invited goes on to their second factor."""

    demands = dict.fromkeys(("GET", "POST"), anybody("Who has the link is let in by it."))

    def get(self, request: HttpRequest, token: str | None = None) -> HttpResponse:
        """Keep the token and show the form."""
        if token is not None:
            request.session[_TOKEN] = token
            return HttpResponseRedirect(reverse("entry"))
        link = entry_links.look_up(self._token(request), now=datetime.now(UTC))
        return self._page(request, link, PasswordForm(label_suffix=""))

    def post(self, request: HttpRequest, token: str | None = None) -> HttpResponse:  # noqa: ARG002
        """Set it."""
        now = datetime.now(UTC)
        link = entry_links.look_up(self._token(request), now=now)
        form = PasswordForm(request.POST, label_suffix="")
        if form.is_valid():
            try:
                link = entry_links.use(
                    self._token(request), password=form.cleaned_data["password"], now=now
                )
            except entry_links.PasswordRefusedError as error:
                form.add_error("password", error.message)
            else:
                return self._in(request, link)
        return self._page(request, link, form, status=400)

    def _token(self, request: HttpRequest) -> str:
        return str(request.session.get(_TOKEN, ""))

    def _in(self, request: HttpRequest, link: Any) -> HttpResponse:
        """An invitation signs in: nobody else has the password. After a reset the person signs in, with all factors."""
        request.session.flush()
        if link.kind == link.Kind.RESET:
            return HttpResponseRedirect(reverse("account_login"))
        flows.login.record_authentication(
            request, link.person, method="password", reauthenticated=True
        )
        login = Login(user=link.person, redirect_url=reverse("mfa_activate_totp"))
        answer: HttpResponse = flows.login.perform_login(request, login)
        request.session.set_expiry(0)
        return answer

    def _page(
        self, request: HttpRequest, link: Any, form: PasswordForm, status: int = 200
    ) -> HttpResponse:
        context = {"form": form, "link": link, "invited": link.kind == link.Kind.INVITATION}
        return render(request, "console/account/entry.html", context, status=status)


class AddressForm(forms.Form):
    """The address of an account."""

    email = forms.EmailField(
        label="E-mail address", widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )


@method_decorator([private, guarded], name="dispatch")
class ResetView(View):
    """Ask for a link by e-mail. The answer is the same, and as fast, whether anybody has that address."""

    demands = dict.fromkeys(("GET", "POST"), anybody("Who forgot their password cannot sign in."))

    def get(self, request: HttpRequest) -> HttpResponse:
        """The form."""
        return render(request, "console/account/reset.html", {"form": AddressForm(label_suffix="")})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Send a link later, if there is anybody to send it to."""
        form = AddressForm(request.POST, label_suffix="")
        if not form.is_valid():
            return render(request, "console/account/reset.html", {"form": form}, status=400)
        email = form.cleaned_data["email"]
        limited = ratelimit.consume_or_429(
            request, app="allauth.account", action="reset_password", key=email.casefold()
        )
        if limited is not None:
            answer: HttpResponse = limited
            return answer
        send_reset_later(email=email, base=request.build_absolute_uri("/"))
        return render(request, "console/account/reset.html", {"sent": True})
