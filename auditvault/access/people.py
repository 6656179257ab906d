"""What a signed-in person may see: the places (tenant and region) where somebody gave them a role.

A role is an object permission on a `TenantRegion` (django-guardian), held by the person or by a group of theirs
(`humans`); how it is given is in `granting`. Being Django's superuser gives none: who runs the platform reads no
headers. What a person may then do with a role is decided where it is decided for tokens, in `core.policy.access`, from
the same `Credential`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.contrib.auth.models import AnonymousUser

from auditvault.access.credentials import Credential
from auditvault.access.granting import OPERATOR, RoleUnknownError, grant
from auditvault.access.humans import acts_of_human, roles_of_account
from auditvault.access.identity.strength import WEAK, Strength, strong_roles
from auditvault.access.models import TenantRegion, User
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.roles import AnyRole, in_order

__all__ = [
    "GrantError",
    "Place",
    "PlaceDeniedError",
    "RoleUnknownError",
    "choose_place",
    "credential_of",
    "grant_role",
    "places_of",
]


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
    roles: frozenset[AnyRole]

    @property
    def roles_in_order(self) -> list[AnyRole]:
        """The roles as a page lists them."""
        return in_order(self.roles)

    @property
    def key(self) -> str:
        """The place's name in a URL: `<tenant>.<region>`; neither part can hold a dot."""
        return f"{self.tenant_slug}.{self.region}"


def places_of(person: User | AnonymousUser) -> list[Place]:
    """Where the person has a role, by tenant and region; empty for somebody who is not signed in or is disabled."""
    if not isinstance(person, User) or not person.is_active:
        return []
    roles: dict[int, set[AnyRole]] = {}
    for held in roles_of_account(person.pk):
        roles.setdefault(held.place, set()).add(held.role)
    rows = TenantRegion.objects.filter(pk__in=roles).select_related("tenant")
    places = [
        Place(
            tenant_id=row.tenant.tenant_id,
            tenant_slug=row.tenant.slug,
            tenant_name=row.tenant.name,
            region=row.region,
            roles=frozenset(roles[row.pk]),
        )
        for row in rows
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


def credential_of(person: User, place: Place, strength: Strength = WEAK) -> Credential:
    """The person as a caller of the services; in records they are `user:` and their public id.

    `strength` is what their session has proved (`identity.strength.strength_of`); nothing where it is not given.
    """
    return Credential(
        actor=f"user:{person.public_id.hex}",
        tenant_id=place.tenant_id,
        regions=(place.region,),
        roles=place.roles,
        human=HumanId(person.human_id),
        held=acts_of_human(person.human_id, place.tenant_id),
        strong_until=strength.strong_until,
        reauthenticated_at=strength.reauthenticated_at,
        strong_roles=strong_roles(),
    )


def grant_role(
    *,
    username: str,
    tenant_slug: str,
    region: str,
    role: str,
    ends_at: datetime | None = None,
) -> None:
    """Give a person a role on a tenant's region, as the operator; giving it twice changes nothing.

    Raises:
        GrantError: there is no such person or place.
        RoleUnknownError, RoleEndError, SeparationError: as `granting.grant`.
    """
    person = User.objects.filter(username=username).first()
    place = TenantRegion.objects.filter(tenant__slug=tenant_slug, region=region).first()
    if person is None or place is None:
        raise GrantError("There is no such person, or no such tenant's region.")
    grant(
        giver=OPERATOR,
        account=person,
        place=place,
        role=role,
        now=datetime.now(UTC),
        ends_at=ends_at,
    )
