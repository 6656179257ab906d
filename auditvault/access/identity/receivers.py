"""What happens beside signing in and adding or removing a factor, wherever that is done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from allauth.account.internal.flows.login import (
    AUTHENTICATION_METHODS_SESSION_KEY,
    record_authentication,
)
from allauth.account.signals import authentication_step_completed
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest

from auditvault.access.identity import strength
from auditvault.access.models import User


def connect() -> None:
    """Called once, when the app is ready."""
    user_logged_in.connect(_begin_session, dispatch_uid="access_identity.session")
    authentication_step_completed.connect(
        _believe_provider, dispatch_uid="access_identity.provider"
    )
    authenticator_added.connect(_count_new_factor, dispatch_uid="access_identity.factor")


def _begin_session(*, request: HttpRequest, **_: Any) -> None:
    strength.begin(request.session, now=datetime.now(UTC))


def _count_new_factor(
    *, request: HttpRequest, user: User, authenticator: Authenticator, **_: Any
) -> None:
    """Who adds a factor has just used it, and had to say before who they are."""
    if authenticator.type != Authenticator.Type.RECOVERY_CODES:
        record_authentication(
            request, user, "mfa", id=authenticator.pk, type=authenticator.type, added=True
        )


def _believe_provider(*, request: HttpRequest, method: str, **_: Any) -> None:
    """A provider's word that it saw two factors counts as a second factor, where the site believes it."""
    if method == "socialaccount" and getattr(request, "auditvault_saw_second_factor", False):
        records = request.session[AUTHENTICATION_METHODS_SESSION_KEY]
        request.session[AUTHENTICATION_METHODS_SESSION_KEY] = [
            *records[:-1],
            {**records[-1], "saw_second_factor": True},
        ]
