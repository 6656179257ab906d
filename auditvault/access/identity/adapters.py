"""What django-allauth asks its site about: who may sign up (nobody), how factors are kept, which providers exist."""

from __future__ import annotations

import base64
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, _build_apps_from_settings
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

from auditvault.access.identity.outbound import GuardedSession
from auditvault.access.identity.providers import after_provider, refuse_sign_up
from auditvault.core.errors import AuditvaultError

_PURPOSE = b"auditvault second factors v1"


class FactorUnreadableError(AuditvaultError):
    """A stored second factor does not open: the site's secret key is another than when it was stored."""

    code = "factor_unreadable"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts are made by invitation; attempts are counted by name, whatever host they were sent to."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "too_many_login_attempts": "Too many attempts. Try again in five minutes.",
        "username_password_mismatch": "User name and password do not match. Both may be case-sensitive.",
        "incorrect_password": "That is not your password.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Nobody makes an account for themselves."""
        return False

    def _get_login_attempts_cache_key(self, _request: HttpRequest, **credentials: Any) -> str:
        """The name alone. The framework's own key has the request's host in it, and a port is anybody's to choose."""
        return str(credentials.get("username", "")).casefold()

    def add_message(self, *_: Any, **__: Any) -> None:
        """Pages say what happened; nothing is kept in a cookie for later."""

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:  # noqa: ARG002
        """As for anybody who may not come in: which reason it is, is not said."""
        return refuse_sign_up(request)


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Secrets of authenticator apps and recovery codes are encrypted under a key made from the site's secret key."""

    def encrypt(self, text: str) -> str:
        """For the control database."""
        return _factor_key().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Its counterpart; raises FactorUnreadableError."""
        try:
            return _factor_key().decrypt(encrypted_text.encode()).decode()
        except InvalidToken as error:
            raise FactorUnreadableError("A second factor cannot be read.") from error


class ProviderAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Identity providers come from the settings alone, and are spoken to through a guarded session."""

    def list_apps(
        self,
        request: HttpRequest,  # noqa: ARG002  # named by the framework
        provider: Any = None,
        client_id: Any = None,
    ) -> list[Any]:
        """Those of the settings; a row in a database makes no provider."""
        found = _build_apps_from_settings(provider=provider, client_id=client_id)
        return [app for apps in found.values() for app in apps]

    def get_requests_session(self) -> GuardedSession:
        """A session that connects to nothing private."""
        return GuardedSession(seconds=settings.SOCIALACCOUNT_REQUESTS_TIMEOUT)

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:  # noqa: ARG002
        """An account for somebody new is made in `pre_social_login`, or not at all."""
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Find or make the person, and give them what their groups say."""
        after_provider(request, sociallogin)

    def can_authenticate_by_email(self, login: Any, email: str) -> bool:  # noqa: ARG002
        """Never: an address proves nothing about an account."""
        return False

    def validate_disconnect(self, _account: Any, _accounts: Any) -> None:
        """Accounts are disconnected by an administrator."""
        raise ValidationError("Ask whoever manages access.")


def _factor_key() -> Fernet:
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_PURPOSE)
    return Fernet(base64.urlsafe_b64encode(derived.derive(settings.SECRET_KEY.encode())))
