"""Roles that come from a person's groups at an identity provider: given at each sign-in, and taken away at each.

Only what was given so is taken away so: a role that somebody gave by hand stays, whatever the groups say. Each change
is recorded as any other (`access.granting`), with the provider as who made it.

Order, and what a crash leaves behind:

1. What the groups no longer give is taken away, each in its turn.     Crash: too little, until the next sign-in.
2. What they newly give is looked at as a whole. Where it would put into one hand what must be in two, nothing of it is
   given, nobody is signed in, and the log says so.
3. It is given, in one transaction of the control database.           Crash: entries of changes that have not come.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from django.db import transaction

from auditvault.access.granting import (
    Giver,
    RoleNotHeldError,
    grant,
    held_itself,
    revoke,
    rights_locked,
)
from auditvault.access.humans import acts_of_human
from auditvault.access.identity.models import ProvidedRole
from auditvault.access.models import TenantRegion, User
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.roles import ALLOWED, Role
from auditvault.core.policy.separation import SeparationError, check_separation

log = logging.getLogger("auditvault.access.identity")
PlaceAndRole = tuple[str, str, str]
"""Tenant's slug, region, role."""


class GroupPlaceUnknownError(AuditvaultError):
    """The mapping of groups to roles names a tenant or region that there is not."""

    code = "group_place_unknown"


def roles_of_groups(
    mapping: Mapping[str, Sequence[PlaceAndRole]], groups: Collection[str]
) -> frozenset[PlaceAndRole]:
    """What membership of these groups gives."""
    return frozenset(given for group in groups for given in mapping.get(group, ()))


def apply_groups(
    person: User, *, provider_id: str, wanted: Collection[PlaceAndRole], now: datetime
) -> None:
    """Make the roles that the provider's groups gave the person those of `wanted`.

    Raises:
        SeparationError: what is new is too much for one human; nothing of it was given.
        GroupPlaceUnknownError: a place is unknown; nothing new was given.
        RoleEndError: a role that needs an end, which a group does not say. What the region's database raises.
    """
    giver = Giver(actor=f"provider:{provider_id}")
    for row in ProvidedRole.objects.filter(person=person, provider_id=provider_id):
        if (row.tenant_slug, row.region, row.role) not in wanted:
            _take_away(person, row, giver)
    new = [given for given in sorted(wanted) if not _is_provided(person, provider_id, given)]
    places = {(slug, region): _place(slug, region) for slug, region, _ in new}
    with rights_locked([person.human_id], {place.tenant_id for place in places.values()}):
        _check(person, [(places[slug, region], role) for slug, region, role in new])
        for slug, region, role in new:
            place = places[slug, region]
            # What somebody gave by hand already is not the groups' to take away.
            if grant(giver=giver, account=person, place=place, role=role, now=now) is not None:
                ProvidedRole.objects.create(
                    person=person,
                    provider_id=provider_id,
                    tenant_slug=slug,
                    region=region,
                    role=role,
                )


def _take_away(person: User, row: ProvidedRole, giver: Giver) -> None:
    place = TenantRegion.objects.filter(tenant__slug=row.tenant_slug, region=row.region).first()
    with transaction.atomic():
        row.delete()
        if place is not None:
            with suppress(RoleNotHeldError):
                revoke(giver=giver, account=person, place=place, role=row.role)


def _is_provided(person: User, provider_id: str, given: PlaceAndRole) -> bool:
    """Whether the provider gave it, and the person has it still: who took it away by hand is not heard for ever."""
    slug, region, role = given
    row = ProvidedRole.objects.filter(
        person=person, provider_id=provider_id, tenant_slug=slug, region=region, role=role
    ).first()
    if row is None:
        return False
    try:
        held_itself(person, _place(slug, region), role)
    except RoleNotHeldError:
        row.delete()
        return False
    return True


def _check(person: User, new: Collection[tuple[TenantRegion, str]]) -> None:
    """Refuse what is too much together, before any of it is given and recorded; raises SeparationError."""
    try:
        for tenant_id in {place.tenant_id for place, _ in new}:
            more = {
                act
                for place, role in new
                if place.tenant_id == tenant_id
                for act in ALLOWED[Role(role)]
            }
            held = acts_of_human(person.human_id, tenant_id, with_inactive=True)
            check_separation(held, more=more)
    except SeparationError as error:
        rules = ", ".join(rule.name for rule in error.broken)
        log.warning("groups give too much to user:%s (%s)", person.public_id.hex, rules)
        raise


def _place(slug: str, region: str) -> TenantRegion:
    place = TenantRegion.objects.filter(tenant__slug=slug, region=region).first()
    if place is None:
        raise GroupPlaceUnknownError("A group gives a role in a tenant's region that there is not.")
    return place
