"""What a signed-in person may see: the places (tenant and region) where somebody gave them a role.

A role is an object permission on a `TenantRegion` (django-guardian), held by the person or by a group of theirs.
Being Django's superuser gives none: who runs the platform reads no headers. What a person may then do with a role
is decided where it is decided for tokens, in `core.policy.access`, from the same `Credential`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from guardian.shortcuts import assign_perm, get_objects_for_user

from auditvault.access.credentials import Credential
from auditvault.access.humans import acts_of_human
from auditvault.access.models import Human, TenantRegion, User
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.roles import ALLOWED, Role
from auditvault.core.policy.separation import check_separation

# Sending is for machines; every other role has a permission of its name.
ROLES_OF_PEOPLE = tuple(role for role in Role if role is not Role.INGEST)


class PlaceDeniedError(AuditvaultError):
    """The person has no role there, or there is no such place; which of these is not said."""

    code = "place_denied"


class GrantError(AuditvaultError):
    """A role cannot be given as asked."""

    code = "grant_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A tenant in one region, as one person sees it."""

    tenant_id: UUID
    tenant_slug: str
    tenant_name: str
    region: str
    roles: frozenset[Role]

    @property
    def key(self) -> str:
        """The place's name in a URL: `<tenant>.<region>`; neither part can hold a dot."""
        return f"{self.tenant_slug}.{self.region}"


def places_of(person: User | AnonymousUser) -> list[Place]:
    """Where the person has a role, by tenant and region; empty for somebody who is not signed in or is disabled."""
    if not isinstance(person, User) or not person.is_active:
        return []
    found: dict[int, TenantRegion] = {}
    roles: dict[int, set[Role]] = {}
    for role in ROLES_OF_PEOPLE:
        for row in _granted(person, role):
            found[row.pk] = row
            roles.setdefault(row.pk, set()).add(role)
    places = [
        Place(
            tenant_id=row.tenant.tenant_id,
            tenant_slug=row.tenant.slug,
            tenant_name=row.tenant.name,
            region=row.region,
            roles=frozenset(roles[key]),
        )
        for key, row in found.items()
    ]
    return sorted(places, key=lambda place: place.key)


def choose_place(places: list[Place], *, asked: str | None, remembered: str | None) -> Place:
    """The place of that key; where none is asked for, the one used last, else the first.

    Raises:
        PlaceDeniedError: the person has no role in the place asked for, or in any.
    """
    by_key = {place.key: place for place in places}
    if asked:
        if asked not in by_key:
            raise PlaceDeniedError(
                "You have no role there. Whoever manages access can give you one."
            )
        return by_key[asked]
    if not places:
        raise PlaceDeniedError("You have no role in any tenant's region yet.")
    return by_key.get(remembered or "", places[0])


def credential_of(person: User, place: Place) -> Credential:
    """The person as a caller of the services; in records they are `user:` and their public id."""
    return Credential(
        actor=f"user:{person.public_id.hex}",
        tenant_id=place.tenant_id,
        regions=(place.region,),
        roles=place.roles,
        human=HumanId(person.human_id),
        held=acts_of_human(person.human_id, place.tenant_id),
    )


def grant_role(*, username: str, tenant_slug: str, region: str, role: str) -> None:
    """Give a person a role on a tenant's region; giving it twice changes nothing.

    Raises:
        GrantError: there is no such person, place or role.
        SeparationError: together with what the person may do on the tenant already, it would be too much for one.
    """
    person = User.objects.filter(username=username).first()
    place = TenantRegion.objects.filter(tenant__slug=tenant_slug, region=region).first()
    if person is None or place is None:
        raise GrantError("There is no such person, or no such tenant's region.")
    if role not in ROLES_OF_PEOPLE:
        raise GrantError(f"People can be given: {', '.join(ROLES_OF_PEOPLE)}.")
    with transaction.atomic():
        # Two grants at once must see each other: each alone may be fine.
        Human.objects.select_for_update().get(pk=person.human_id)
        held = acts_of_human(person.human_id, place.tenant_id)
        check_separation(held, more=ALLOWED[Role(role)])
        assign_perm(f"access.{role}", person, place)


def _granted(person: User, role: Role) -> list[TenantRegion]:
    found: Any = get_objects_for_user(
        person,
        f"access.{role.value}",
        klass=TenantRegion.objects.select_related("tenant"),
        with_superuser=False,
        accept_global_perms=False,
    )
    return list(found)
