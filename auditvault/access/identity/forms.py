"""Forms that take codes. A code of an authenticator app works once, in all of the time in which it would be right."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.internal import flows
from allauth.account.models import Login
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa import app_settings
from allauth.mfa.adapter import get_adapter as get_factor_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from django import forms
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse

_LONGEST = 150
_LONGEST_PASSWORD = 1024


class SignInForm(forms.Form):
    """User name and password. Unknown, wrong and disabled are one message, at one cost."""

    username = forms.CharField(
        label="User name",
        max_length=_LONGEST,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True}),
    )
    password = forms.CharField(
        label="Password",
        max_length=_LONGEST_PASSWORD,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, request: HttpRequest | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self._request = request
        self._person: Any = None

    def clean(self) -> dict[str, Any]:
        """Check them; what was counted as a failure stands before the password is looked at."""
        given: dict[str, Any] = super().clean() or {}
        if self.errors:
            return given
        adapter = get_adapter(self._request)
        self._person = adapter.authenticate(
            self._request, username=given["username"], password=given["password"]
        )
        if self._person is None:
            raise adapter.validation_error("username_password_mismatch")
        return given

    def login(self, request: HttpRequest, redirect_url: str | None = None) -> HttpResponse:
        """Go on to the second factor, or in."""
        login = Login(user=self._person, redirect_url=redirect_url)
        answer: HttpResponse = flows.login.perform_password_login(request, {}, login)
        request.session.set_expiry(0)
        return answer


class CodeForm(AuthenticateForm):  # type: ignore[misc]
    """A code, after the password."""

    def clean_code(self) -> str:
        """The code; raises ValidationError for a wrong or used one."""
        code: str = super().clean_code()
        _use_once(self.authenticator, code)
        return code


class CodeAgainForm(ReauthenticateForm):  # type: ignore[misc]
    """A code, of somebody who is signed in."""

    def clean_code(self) -> str:
        """The code; raises ValidationError for a wrong or used one."""
        code: str = super().clean_code()
        _use_once(self.authenticator, code)
        return code


class AddAppForm(ActivateTOTPForm):  # type: ignore[misc]
    """The first code of a new authenticator app; it is used up by that."""

    def clean_code(self) -> str:
        """The code; raises ValidationError for a wrong one."""
        code: str = super().clean_code()
        _mark_used(self.user.pk, code)
        return code


def _use_once(authenticator: Authenticator, code: str) -> None:
    """The framework remembers a used code for one period, and accepts it in three (`MFA_TOTP_TOLERANCE`)."""
    if authenticator.type == Authenticator.Type.TOTP and not _mark_used(
        authenticator.user_id, code
    ):
        raise get_factor_adapter().validation_error("incorrect_code")


def _mark_used(account: int, code: str) -> bool:
    periods = 2 * app_settings.TOTP_TOLERANCE + 1
    key = f"auditvault.totp.used:{account}:{normalize_user_code(code)}"
    return bool(cache.add(key, 1, timeout=periods * app_settings.TOTP_PERIOD))
