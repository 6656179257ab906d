"""Who works on a tenant, and which roles each account has where: what whoever gives roles sees.

Names of staff are personal data: they are in answers to whoever gives roles, and in no entry, log line or URL.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection as control
from django.db.models import Q

from auditvault.access.credentials import Credential
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.access.models import User
from auditvault.core.policy.roles import Act

MAX_PEOPLE = 200

_HELD = """
SELECT held.account, held.region, coalesce('custom:' || custom.name, permission.codename), held.ends_at, held.by_group
FROM (
    SELECT own.user_id AS account, place.region, own.permission_id, term.ends_at, false AS by_group
    FROM guardian_userobjectpermission own
    JOIN access_tenantregion place ON place.id::text = own.object_pk
    LEFT JOIN access_rights_roleend term ON term.held_id = own.id
    WHERE place.tenant_id = %(tenant)s
    UNION ALL
    SELECT member.user_id, place.region, g.permission_id, NULL, true
    FROM guardian_groupobjectpermission g
    JOIN access_user_groups member ON member.group_id = g.group_id
    JOIN access_tenantregion place ON place.id::text = g.object_pk
    WHERE place.tenant_id = %(tenant)s
) held
JOIN auth_permission permission ON permission.id = held.permission_id
JOIN django_content_type type ON type.id = permission.content_type_id
LEFT JOIN access_custom_roles_customrole custom ON custom.permission_id = permission.id
WHERE type.app_label = 'access' AND type.model = 'tenantregion'
ORDER BY 1, 2, 3, 5
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleHeld:
    """One role of an account's on one region of the tenant; it may have ended."""

    region: str
    role: str
    ends_at: datetime | None
    by_group: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Colleague:
    """An account that the tenant knows."""

    public_id: UUID
    username: str
    is_active: bool
    roles: tuple[RoleHeld, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Colleagues:
    """A page of them, by id, and where the next begins."""

    people: list[Colleague]
    next_after: UUID | None


def colleagues(
    *, credential: Credential, region: str, after: UUID | None, limit: int, now: datetime
) -> Colleagues:
    """The accounts that the tenant knows, with their roles in the region, once the look is recorded.

    Raises:
        AccessDeniedError, SeparationError: the caller gives no roles.
        AccessNotRecordedError: the access log could not be written.
    """
    role = credential.role_for(Act.GRANT_ROLES)
    page = colleagues_of(credential.tenant_id, regions={region}, after=after, limit=limit)
    act = RecordedAct(
        actor=credential.actor,
        actor_role=role.value,
        action="list_people",
        outcome="granted",
        details={"rows": len(page.people)},
    )
    record_act(region=region, tenant_id=credential.tenant_id, act=act, now=now)
    return page


def colleagues_of(
    tenant_id: UUID,
    *,
    regions: Iterable[str] | None = None,
    after: UUID | None = None,
    limit: int = MAX_PEOPLE,
) -> Colleagues:
    """The accounts that a tenant knows, by id, from `after` on; with their roles in `regions`, or everywhere."""
    held = _held(tenant_id, None if regions is None else set(regions))
    known = Q(memberships__tenant_id=tenant_id) | Q(pk__in=_holders(tenant_id))
    rows = User.objects.filter(known).distinct().order_by("public_id")
    if after is not None:
        rows = rows.filter(public_id__gt=after)
    found = list(rows[: limit + 1])
    people = [
        Colleague(
            public_id=row.public_id,
            username=row.username,
            is_active=row.is_active,
            roles=tuple(held[row.pk]),
        )
        for row in found[:limit]
    ]
    more = len(found) > limit
    return Colleagues(people=people, next_after=people[-1].public_id if more else None)


def _rows(tenant_id: UUID) -> list[tuple[int, str, str, datetime | None, bool]]:
    with control.cursor() as cursor:
        cursor.execute(_HELD, {"tenant": tenant_id})
        return list(cursor.fetchall())


def _holders(tenant_id: UUID) -> set[int]:
    return {account for account, *_ in _rows(tenant_id)}


def _held(tenant_id: UUID, regions: set[str] | None) -> dict[int, list[RoleHeld]]:
    found: dict[int, list[RoleHeld]] = defaultdict(list)
    for account, region, role, ends_at, by_group in _rows(tenant_id):
        if regions is None or region in regions:
            found[account].append(
                RoleHeld(region=region, role=role, ends_at=ends_at, by_group=by_group)
            )
    return found
