"""Second factors: asked for after a password, added, looked at and removed.

The steps are django-allauth's. What is ours: the pages, without a script inside them, and that a failure of storage is
an answer which says so.
"""

from __future__ import annotations

from typing import Any

from allauth.account.views import ReauthenticateView as FrameworkPasswordAgain
from allauth.core.internal.httpkit import authenticated_user
from allauth.mfa.base.views import AuthenticateView, IndexView, ReauthenticateView
from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView, ViewRecoveryCodesView
from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
from allauth.mfa.webauthn.views import (
    AddWebAuthnView,
    LoginWebAuthnView,
    ReauthenticateWebAuthnView,
    RemoveWebAuthnView,
)
from allauth.socialaccount.adapter import get_adapter as get_provider_adapter
from allauth.socialaccount.models import SocialAccount
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator

from auditvault.access.account_log import (
    ENTRY_TYPE_FACTOR_ADDED,
    ENTRY_TYPE_FACTOR_REMOVED,
    record_account,
)
from auditvault.access.demands import anybody, demanding, signed_in
from auditvault.access.granting import actor_of
from auditvault.access.people import places_of
from auditvault.console.account.frame import Framed, needs_recent_sign_in, options_of
from auditvault.console.answers import guarded, private
from auditvault.core.policy.roles import acts_of_roles
from auditvault.core.policy.second_factor import NEED_SECOND_FACTOR

_HALF_IN = dict.fromkeys(("GET", "POST"), anybody("Who is signing in is nobody yet."))
_IN = dict.fromkeys(("GET", "POST"), signed_in())
_entrance = method_decorator([private, guarded], name="dispatch")


class Recorded:
    """Of a form that changes a person's factors: the change is recorded before it is made."""

    recorded: tuple[str, str]
    """The entry's type, and which factor."""
    request: HttpRequest

    def form_valid(self, form: Any) -> HttpResponse:
        """Record it, then do it."""
        person = authenticated_user(self.request)
        action, factor = self.recorded
        record_account(action, account=person, actor=actor_of(person), factor=factor)
        answer: HttpResponse = super().form_valid(form)  # type: ignore[misc]  # of the framework's view
        return answer


@_entrance
class SecondFactorView(AuthenticateView):  # type: ignore[misc]
    """After the password: a code, a recovery code, or a passkey."""

    demands = _HALF_IN
    template_name = "console/account/second_factor.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The page, with what to ask of a passkey."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | {"options": options_of(context)}


@_entrance
class PasskeySignInView(LoginWebAuthnView):  # type: ignore[misc]
    """A passkey alone, which is two factors: the thing, and the finger or PIN that opens it."""

    demands = _HALF_IN
    template_name = "console/sign_in.html"


@_entrance
class PasswordAgainView(Framed, FrameworkPasswordAgain):  # type: ignore[misc]
    """Say again who you are, by password."""

    demands = _IN
    template_name = "console/account/again.html"


@_entrance
class CodeAgainView(Framed, ReauthenticateView):  # type: ignore[misc]
    """The same by code."""

    demands = _IN
    template_name = "console/account/again.html"


@_entrance
class PasskeyAgainView(Framed, ReauthenticateWebAuthnView):  # type: ignore[misc]
    """The same by passkey."""

    demands = _IN
    template_name = "console/account/again.html"


@_entrance
class AccountView(Framed, IndexView):  # type: ignore[misc]
    """What the person has to prove themselves with, and what they still need."""

    demands = {"GET": signed_in()}
    template_name = "console/account/account.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The factors, and whether a role of the person's takes one."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        person = authenticated_user(self.request)
        acts = acts_of_roles(role for place in places_of(person) for role in place.roles)
        connected = {row.provider: row for row in SocialAccount.objects.filter(user_id=person.pk)}
        return context | {
            "needs_factor": bool(acts & NEED_SECOND_FACTOR),
            "has_factor": {"totp", "webauthn"} & set(context["authenticators"]),
            "has_password": person.has_usable_password(),
            "connections": [
                (app, connected.get(app.provider_id))
                for app in get_provider_adapter().list_apps(self.request)
            ],
        }


@_entrance
@method_decorator(needs_recent_sign_in, name="dispatch")
class AddAppView(Recorded, Framed, ActivateTOTPView):  # type: ignore[misc]
    """A new authenticator app: its secret as a picture and as text, and a first code."""

    recorded = (ENTRY_TYPE_FACTOR_ADDED, "app")
    demands = _IN
    template_name = "console/account/app_add.html"


@_entrance
class RemoveAppView(Recorded, Framed, DeactivateTOTPView):  # type: ignore[misc]
    """Remove the authenticator app."""

    recorded = (ENTRY_TYPE_FACTOR_REMOVED, "app")
    demands = _IN
    template_name = "console/account/remove.html"
    extra_context = {"what": "your authenticator app"}


@_entrance
class RecoveryCodesView(Framed, ViewRecoveryCodesView):  # type: ignore[misc]
    """The codes, once after they were made; after that only how many are left."""

    demands = {"GET": signed_in()}
    template_name = "console/account/recovery_codes.html"


@_entrance
class NewRecoveryCodesView(Recorded, Framed, GenerateRecoveryCodesView):  # type: ignore[misc]
    """Make new ones; the old ones are void."""

    recorded = (ENTRY_TYPE_FACTOR_ADDED, "recovery_codes")
    demands = _IN
    template_name = "console/account/recovery_codes_new.html"


@_entrance
@method_decorator(needs_recent_sign_in, name="dispatch")
class AddPasskeyView(Recorded, Framed, AddWebAuthnView):  # type: ignore[misc]
    """A new passkey or security key."""

    recorded = (ENTRY_TYPE_FACTOR_ADDED, "passkey")
    demands = _IN
    template_name = "console/account/passkey_add.html"


@_entrance
class RemovePasskeyView(Recorded, Framed, RemoveWebAuthnView):  # type: ignore[misc]
    """Remove one."""

    recorded = (ENTRY_TYPE_FACTOR_REMOVED, "passkey")
    demands = _IN
    template_name = "console/account/remove.html"
    extra_context = {"what": "this passkey"}


@private
@demanding(GET=anybody("It leads to a page that asks."))
def to_account(_request: HttpRequest) -> HttpResponse:
    """There is one page about the account."""
    return HttpResponseRedirect(reverse("mfa_index"))
