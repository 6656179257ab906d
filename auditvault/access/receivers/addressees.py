"""Who is told of an alert, now: receivers and people as the control database has them at this moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from guardian.shortcuts import get_users_with_perms

from auditvault.access.humans import roles_of_account
from auditvault.access.models import TenantRegion, User
from auditvault.access.receivers.models import Receiver
from auditvault.access.receivers.secrets import open_secret

NOBODY = UUID(int=0)
"""The recipient of what goes to no person."""
DEFAULT_RECEIVER = UUID(int=1)
"""Whoever has one of the roles of AUDITVAULT_ALERT_ROLES, where the tenant has no receiver for an alert."""


@dataclass(frozen=True, slots=True)
class Addressee:
    """A webhook, or one person by e-mail; ids only."""

    receiver_id: UUID
    recipient_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """Where to post, and what signs it: the newest secret first."""

    url: str = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False)


def addressees(*, tenant_id: UUID, region: str, kind: str) -> list[Addressee]:
    """Everybody who is to be told of an alert of that kind; each once."""
    rows = [
        row
        for row in Receiver.objects.filter(tenant_id=tenant_id, removed_at=None)
        if region in (row.regions or [region]) and kind in (row.kinds or [kind])
    ]
    found = [Addressee(row.receiver_id, NOBODY) for row in rows if row.url]
    roles = [(row.receiver_id, row.role) for row in rows if row.role]
    if not rows:
        roles = [(DEFAULT_RECEIVER, role) for role in settings.ALERT_ROLES]
    people: dict[UUID, Addressee] = {}
    for receiver_id, role in roles:
        for person in _people(tenant_id, region, role):
            people.setdefault(person.public_id, Addressee(receiver_id, person.public_id))
    return [*found, *people.values()]


def recipients_of_notices(*, tenant_id: UUID, region: str, kind: str) -> list[UUID]:
    """The webhooks that were made for notices of this kind, by name; ascending. One for all kinds is not meant."""
    rows = Receiver.objects.filter(tenant_id=tenant_id, removed_at=None, kinds__contains=[kind])
    return sorted(
        row.receiver_id for row in rows if row.url and region in (row.regions or [region])
    )


def humans_told(*, tenant_id: UUID, region: str, kind: str) -> set[UUID]:
    """The humans who would get an e-mail of an alert of that kind: they have an address."""
    ids = [each.recipient_id for each in addressees(tenant_id=tenant_id, region=region, kind=kind)]
    people = User.objects.filter(public_id__in=ids, is_active=True).exclude(email="")
    return set(people.values_list("human_id", flat=True))


def hook_of(receiver_id: UUID, now: datetime) -> Hook | None:
    """The webhook of that id; None where it was removed. Raises SecretLostError."""
    row = Receiver.objects.filter(receiver_id=receiver_id, removed_at=None).first()
    if row is None or not row.url:
        return None
    sealed = [row.secret]
    if row.before_until is not None and now < row.before_until:
        sealed.append(row.secret_before)
    secrets = (open_secret(bytes(each or b""), receiver_id=receiver_id) for each in sealed)
    return Hook(url=row.url, secrets=tuple(secrets))


def address_of(public_id: UUID) -> str:
    """The person's e-mail address; empty where they have none or left."""
    person = User.objects.filter(public_id=public_id, is_active=True).first()
    return person.email if person else ""


def _people(tenant_id: UUID, region: str, role: str) -> Iterator[User]:
    place = TenantRegion.objects.filter(tenant_id=tenant_id, region=region).first()
    if place is None:
        return
    found: Any = get_users_with_perms(
        place, only_with_perms_in=[role], with_group_users=True, with_superusers=False
    )
    for person in found.filter(is_active=True).order_by("pk"):
        # As rights are read everywhere: a role that has ended is no more.
        if any(
            held.place == place.pk and held.role.value == role
            for held in roles_of_account(person.pk)
        ):
            yield person
