"""What a human may do on a tenant: by all of their accounts together, since duties are separate by human.

A role is an object permission on a `TenantRegion` (django-guardian), held by an account or by a group of its. An
account that is switched off gives nothing, and neither does a role that has ended: by the control database's clock,
which is one for all processes, at every request.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from auditvault.core.policy.roles import (
    CUSTOM_PREFIX,
    Act,
    AnyRole,
    CustomRole,
    Role,
    acts_of_roles,
)
from auditvault.ledger.scope import usable_connection

# Straight from the driver: every request of a person's token asks.
_HELD = """
WITH account AS (SELECT id FROM access_user WHERE {whose}),
held AS (
    SELECT own.permission_id, own.object_pk
    FROM guardian_userobjectpermission own
    LEFT JOIN access_rights_roleend term ON term.held_id = own.id
    WHERE own.user_id IN (SELECT id FROM account)
      AND (term.ends_at IS NULL OR term.ends_at > statement_timestamp())
    UNION
    SELECT g.permission_id, g.object_pk
    FROM guardian_groupobjectpermission g JOIN access_user_groups ug ON ug.group_id = g.group_id
    WHERE ug.user_id IN (SELECT id FROM account)
)
SELECT place.id, place.tenant_id, place.region, permission.codename, custom.name, custom.acts
FROM held
JOIN auth_permission permission ON permission.id = held.permission_id
JOIN django_content_type type ON type.id = permission.content_type_id
JOIN access_tenantregion place ON place.id::text = held.object_pk
LEFT JOIN access_custom_roles_customrole custom ON custom.permission_id = permission.id
WHERE type.app_label = 'access' AND type.model = 'tenantregion'
  AND (custom.role_id IS NULL OR (custom.tenant_id = place.tenant_id AND custom.retired_at IS NULL))
  AND {where}
"""
_OF_ACCOUNT = _HELD.format(whose="id = %(account)s AND is_active", where="true")
_OF_HUMAN = _HELD.format(
    whose="human_id = %(human)s AND (is_active OR %(inactive)s)",
    where="place.tenant_id = %(tenant)s",
)
_CUSTOM_OF_TENANT = (
    "SELECT name, acts FROM access_custom_roles_customrole"
    " WHERE tenant_id = %s AND name = ANY(%s) AND retired_at IS NULL"
)

_HUMAN_OF = {
    "user": "SELECT human_id FROM access_user WHERE replace(public_id::text, '-', '') = %s",
    "token": "SELECT human_id FROM access_apitoken WHERE public_id = %s",
}


class Held(NamedTuple):
    """One role on one place, by the place's row."""

    place: int
    tenant_id: UUID
    region: str
    role: AnyRole


def roles_of_account(account: int) -> Iterator[Held]:
    """Every role that one account holds now, by itself or by a group; none where it is switched off."""
    return _read(_OF_ACCOUNT, {"account": account})


def roles_of_human(
    human: UUID, tenant_id: UUID, *, with_inactive: bool = False
) -> dict[str, frozenset[AnyRole]]:
    """Region -> the roles that the human's accounts hold there, on one tenant; empty where there are none.

    `with_inactive` counts accounts that are switched off, too: for who decides what somebody may be given.
    """
    found: dict[str, set[AnyRole]] = {}
    asked = {"human": human, "tenant": tenant_id, "inactive": with_inactive}
    for held in _read(_OF_HUMAN, asked):
        found.setdefault(held.region, set()).add(held.role)
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


def acts_of(by_region: Mapping[str, Collection[AnyRole]]) -> frozenset[Act]:
    """Everything that these roles allow, in any of the regions: duties are separate across regions too."""
    return acts_of_roles(role for roles in by_region.values() for role in roles)


def acts_of_human(human: UUID, tenant_id: UUID, *, with_inactive: bool = False) -> frozenset[Act]:
    """Everything that the human may do on a tenant, in any of its regions; as `roles_of_human`."""
    return acts_of(roles_of_human(human, tenant_id, with_inactive=with_inactive))


def named_roles(tenant_id: UUID, names: Collection[str]) -> frozenset[AnyRole]:
    """The roles of these names, as tokens name them; one of the tenant's own that is no more is left out."""
    fixed = {Role(name) for name in names if not name.startswith(CUSTOM_PREFIX)}
    own = [name.removeprefix(CUSTOM_PREFIX) for name in names if name.startswith(CUSTOM_PREFIX)]
    if not own:
        return frozenset(fixed)
    rows = usable_connection("default").execute(_CUSTOM_OF_TENANT, (tenant_id, own))
    return frozenset({*fixed, *(_custom(name, acts) for name, acts in rows)})


def _read(statement: str, asked: dict[str, Any]) -> Iterator[Held]:
    rows = usable_connection("default").execute(statement.encode(), asked).fetchall()
    for place, tenant_id, region, codename, name, acts in rows:
        yield Held(place, tenant_id, region, _custom(name, acts) if name else Role(codename))


def _custom(name: str, acts: Collection[str]) -> CustomRole:
    return CustomRole(name=name, acts=frozenset(Act(act) for act in acts))
