"""Who somebody is here, of whom an identity provider says who they are there.

A person is found by issuer and subject and by nothing else. Somebody new gets an account only where their groups give
them a role. Whose address belongs to an account already is sent to sign in to that one and connect the two: an address
proves nothing, and a second account of the same human would be a second pair of hands.
"""

from __future__ import annotations

import hashlib
import logging
import re
from datetime import UTC, datetime
from typing import Any, NoReturn

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from auditvault.access.granting import RoleEndError
from auditvault.access.identity.group_roles import (
    GroupPlaceUnknownError,
    PlaceAndRole,
    apply_groups,
    roles_of_groups,
)
from auditvault.access.models import User
from auditvault.core.policy.separation import SeparationError

log = logging.getLogger("auditvault.access.identity")
_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,100}")
_CONNECT = "connect"


def after_provider(request: HttpRequest, sociallogin: Any) -> None:
    """Find or make the person, and give them what their groups say; raises ImmediateHttpResponse where they may not in.

    Where a signed-in person connects, nothing is made and nothing given; that happens when they next sign in so.
    """
    process = sociallogin.state.get("process")
    if process == _CONNECT:
        return
    provider_id = sociallogin.account.provider
    provider = settings.IDENTITY_PROVIDERS[provider_id]
    claims = sociallogin.claims
    wanted = roles_of_groups(provider["roles"], _groups(claims, provider["groups_claim"]))
    try:
        if not sociallogin.is_existing:
            _make_person(request, sociallogin, claims, wanted)
        if not sociallogin.user.is_active:
            _refuse(request, "closed")
        apply_groups(
            sociallogin.user, provider_id=provider_id, wanted=wanted, now=datetime.now(UTC)
        )
    except SeparationError:
        _refuse(request, "duties")
    except (GroupPlaceUnknownError, RoleEndError) as error:
        log.warning("%s: %s (provider %s)", error.code, error.message, provider_id)
        _refuse(request, "mapping")
    request.auditvault_saw_second_factor = _saw_second_factor(provider, claims)  # type: ignore[attr-defined]


def refuse_sign_up(request: HttpRequest, why: str = "closed") -> HttpResponse:  # noqa: ARG001
    """Where somebody goes who may not come in."""
    return HttpResponseRedirect(f"{reverse('sign_in_refused')}?why={why}")


def _refuse(request: HttpRequest, why: str) -> NoReturn:
    raise ImmediateHttpResponse(refuse_sign_up(request, why))


def _make_person(
    request: HttpRequest, sociallogin: Any, claims: dict[str, Any], wanted: frozenset[PlaceAndRole]
) -> None:
    """An account for somebody new; nothing is left of it where their roles cannot be given."""
    if not wanted:
        _refuse(request, "no-role")
    email = str(claims.get("email") or "") if claims.get("email_verified") is True else ""
    if email and User.objects.filter(email__iexact=email).exists():
        _refuse(request, "connect")
    account = sociallogin.account
    with transaction.atomic():
        person = User(username=_username(claims, account.uid), email=email)
        person.set_unusable_password()
        person.save()
        SocialAccount.objects.create(
            user=person, provider=account.provider, uid=account.uid, extra_data=account.extra_data
        )
        apply_groups(person, provider_id=account.provider, wanted=wanted, now=datetime.now(UTC))
    sociallogin.lookup()


def _username(claims: dict[str, Any], uid: str) -> str:
    """The provider's name for them where it can be one here and nobody has it; else one made from the subject."""
    asked = str(claims.get("preferred_username") or "")
    if _NAME.fullmatch(asked) and not User.objects.filter(username__iexact=asked).exists():
        return asked
    return f"person-{hashlib.sha256(uid.encode()).hexdigest()[:16]}"


def _groups(claims: dict[str, Any], name: str) -> frozenset[str]:
    """The groups in a claim: a list of names, or one name. A claim of another form gives none."""
    found = claims.get(name, [])
    listed = found if isinstance(found, list) else [found]
    return frozenset(group for group in listed if isinstance(group, str))


def _saw_second_factor(provider: dict[str, Any], claims: dict[str, Any]) -> bool:
    """Whether the provider says in the way that the site believes that it saw two factors (RFC 8176; acr)."""
    methods = claims.get("amr")
    used = (
        {method for method in methods if isinstance(method, str)}
        if isinstance(methods, list)
        else set()
    )
    return bool(used & provider["second_factor_amr"]) or (
        claims.get("acr") in provider["second_factor_acr"]
    )
