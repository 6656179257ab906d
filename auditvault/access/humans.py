"""What a human may do on a tenant: by all of their accounts together, since duties are separate by human.

A role is an object permission on a `TenantRegion` (django-guardian), held by an account or by a group of its. An
account that is switched off gives nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from auditvault.core.policy.roles import ALLOWED, Act, Role
from auditvault.ledger.scope import usable_connection

# Straight from the driver: every request of a person's token asks.
_ROLES_OF_HUMAN = """
WITH account AS (SELECT id FROM access_user WHERE human_id = %(human)s AND is_active),
held AS (
    SELECT permission_id, object_pk FROM guardian_userobjectpermission WHERE user_id IN (SELECT id FROM account)
    UNION
    SELECT g.permission_id, g.object_pk
    FROM guardian_groupobjectpermission g JOIN access_user_groups ug ON ug.group_id = g.group_id
    WHERE ug.user_id IN (SELECT id FROM account)
)
SELECT place.region, permission.codename
FROM held
JOIN auth_permission permission ON permission.id = held.permission_id
JOIN django_content_type type ON type.id = permission.content_type_id
JOIN access_tenantregion place ON place.id::text = held.object_pk
WHERE type.app_label = 'access' AND type.model = 'tenantregion' AND place.tenant_id = %(tenant)s
"""

_HUMAN_OF = {
    "user": "SELECT human_id FROM access_user WHERE replace(public_id::text, '-', '') = %s",
    "token": "SELECT human_id FROM access_apitoken WHERE public_id = %s",
}


def roles_of_human(human: UUID, tenant_id: UUID) -> dict[str, frozenset[Role]]:
    """Region -> the roles that the human's accounts hold there, on one tenant; empty where there are none."""
    found: dict[str, set[Role]] = {}
    rows = usable_connection("default").execute(
        _ROLES_OF_HUMAN, {"human": human, "tenant": tenant_id}
    )
    for region, codename in rows:
        found.setdefault(region, set()).add(Role(codename))
    return {region: frozenset(roles) for region, roles in found.items()}


def human_of_actor(actor: str) -> UUID | None:
    """The human behind an actor of a record, as accounts are linked now; None for a machine, an operator or nobody."""
    kind, _, public_id = actor.partition(":")
    query = _HUMAN_OF.get(kind)
    if query is None:
        return None
    row = usable_connection("default").execute(query, (public_id,)).fetchone()
    found: UUID | None = row[0] if row else None
    return found


def acts_of(by_region: Mapping[str, Collection[Role]]) -> frozenset[Act]:
    """Everything that these roles allow, in any of the regions: duties are separate across regions too."""
    return frozenset(act for roles in by_region.values() for role in roles for act in ALLOWED[role])


def acts_of_human(human: UUID, tenant_id: UUID) -> frozenset[Act]:
    """Everything that the human may do on a tenant, in any of its regions."""
    return acts_of(roles_of_human(human, tenant_id))
