"""Invitations and resets: a link that lets one person set their password, once, within its time.

Nobody makes an account for themselves. A link's token is 256 random bits and stands hashed in the control database.
Using a link is one transaction, in which the row is locked: of two that use it at once, one does.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from auditvault.access.account_log import (
    ENTRY_TYPE_INVITED,
    ENTRY_TYPE_PASSWORD_SET,
    ENTRY_TYPE_RESET_MADE,
    record_account,
)
from auditvault.access.credentials import Credential
from auditvault.access.granting import OPERATOR, actor_of, check_grants, grant
from auditvault.access.identity.models import EntryLink
from auditvault.access.models import Tenant, TenantRegion, User
from auditvault.access.people import GrantError
from auditvault.access.rights_log import OPERATOR_ACTOR
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.roles import Act

_TOKEN_BYTES = 32
RESET_LASTS = timedelta(hours=1)
Place = tuple[str, str, str]
"""Tenant's slug, region, role."""


class InvitationError(AuditvaultError):
    """Nobody can be invited so."""

    code = "invitation_invalid"


class EntryLinkError(AuditvaultError):
    """The link was used, is over, or was never given out; which of these is not said."""

    code = "entry_link_invalid"


class PasswordRefusedError(AuditvaultError):
    """The password is too weak; the message says how."""

    code = "password_refused"


def invite(
    *,
    username: str,
    email: str,
    roles: Collection[Place] = (),
    now: datetime,
    invited_by: Credential | None = None,
) -> str:
    """Make an account that nobody can use yet, with these roles; the token of its invitation, to be shown once.

    `invited_by` is None for an operator at the command line. Anybody else must be able to give roles, by a second
    factor, and can give them on their own tenant and region alone. All roles are looked at before the first entry.

    Raises:
        InvitationError: the name is taken, or it or the address is malformed.
        AccessDeniedError, SecondFactorRequiredError: the inviter may not.
        GrantError, SeparationError: the roles cannot be given; then nobody was invited.
    """
    if invited_by is not None:
        _check_inviter(invited_by, roles, now)
    person = User(username=username, email=email)
    person.set_unusable_password()
    try:
        validate_email(email)
        person.clean_fields(exclude=["human"])
        with transaction.atomic():
            person.save()
            asked = [_place(each) for each in roles]
            check_grants(person, asked, now=now)
            record_account(
                ENTRY_TYPE_INVITED,
                account=person,
                actor=invited_by.actor if invited_by is not None else OPERATOR_ACTOR,
                regions={region for _, region, _ in roles},
            )
            for place, role in asked:
                grant(giver=OPERATOR, account=person, place=place, role=role, now=now)
            return _make(person, EntryLink.Kind.INVITATION, _invitation_lasts(), now)
    except (ValidationError, IntegrityError) as error:
        raise InvitationError(
            "The user name is taken, or it or the e-mail address is malformed."
        ) from error


def make_reset(*, username: str, now: datetime) -> str:
    """A reset's token that the operator makes; raises InvitationError where there is nobody who may sign in so."""
    person = User.objects.filter(username=username, is_active=True).first()
    if person is None:
        raise InvitationError("There is no such person, or their account is closed.")
    record_account(ENTRY_TYPE_RESET_MADE, account=person, actor=OPERATOR_ACTOR)
    return _make(person, EntryLink.Kind.RESET, RESET_LASTS, now)


def reset_for_address(*, email: str, now: datetime) -> tuple[User, str] | None:
    """Person and token for an address; None where none or several have it, or the account is closed."""
    found = list(User.objects.filter(email__iexact=email, is_active=True)[:2])
    if len(found) != 1 or not found[0].has_usable_password():
        return None
    return found[0], _make(found[0], EntryLink.Kind.RESET, RESET_LASTS, now)


def look_up(token: str, *, now: datetime) -> EntryLink:
    """The live link behind a token, unused; raises EntryLinkError."""
    link = (
        EntryLink.objects.select_related("person")
        .filter(token_hash=_hash(token), used_at=None, expires_at__gt=now, person__is_active=True)
        .first()
    )
    if link is None:
        raise EntryLinkError("This link was used, is too old, or is not whole. Ask for a new one.")
    return link


def use(token: str, *, password: str, now: datetime) -> EntryLink:
    """Set the password and use the link up, with every other one of the person; their sessions end.

    Raises EntryLinkError, or PasswordRefusedError, after which the link can still be used.
    """
    with transaction.atomic():
        link = look_up(token, now=now)
        person = User.objects.select_for_update().get(pk=link.person_id)
        links = EntryLink.objects.filter(person=person, used_at=None)
        try:
            validate_password(password, person)
        except ValidationError as error:
            raise PasswordRefusedError(" ".join(error.messages)) from error
        # Counted, so that of two at once one goes on: the other waited for the row above and finds it used.
        if not links.filter(pk=link.pk).exists():
            raise EntryLinkError("This link was used.")
        record_account(
            ENTRY_TYPE_PASSWORD_SET, account=person, actor=actor_of(person), by=str(link.kind)
        )
        links.update(used_at=now)
        person.set_password(password)
        person.save(update_fields=["password"])
    link.person = person
    return link


def _place(asked: Place) -> tuple[TenantRegion, str]:
    slug, region, role = asked
    place = TenantRegion.objects.filter(tenant__slug=slug, region=region).first()
    if place is None:
        raise GrantError("There is no such tenant, or it is not in that region.")
    return place, role


def _check_inviter(inviter: Credential, roles: Collection[Place], now: datetime) -> None:
    inviter.role_for(Act.GRANT_ROLES)
    inviter.require_strong(now)
    slug = Tenant.objects.get(tenant_id=inviter.tenant_id).slug
    if any(place[0] != slug or place[1] not in inviter.regions for place in roles):
        raise InvitationError(
            "Roles can be given on your own tenant, in the region that you are in."
        )


def _make(person: User, kind: EntryLink.Kind, lasts: timedelta, now: datetime) -> str:
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    EntryLink.objects.create(
        token_hash=_hash(token), kind=kind, person=person, created_at=now, expires_at=now + lasts
    )
    return token


def _invitation_lasts() -> timedelta:
    return timedelta(hours=settings.INVITATION_HOURS)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
