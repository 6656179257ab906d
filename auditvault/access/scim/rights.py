"""What a SCIM group gives: permissions of its group on the tenant's regions, set by the operator and by no client.

A client decides who is a member; what that gives is not its to say. Membership and mapping are under the same rules
as giving a role by hand: separation of duties by human, an entry for each role and member before it counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import Permission
from guardian.models import GroupObjectPermission

from auditvault.access.custom_roles.models import CustomRole as CustomRoleRow
from auditvault.access.granting import (
    ENTRY_TYPE_GRANTED,
    ENTRY_TYPE_REVOKED,
    TIME_BOXED,
    RoleEndError,
    actor_of,
    permission_of,
    place_in,
    rights_locked,
    role_named,
)
from auditvault.access.humans import acts_of_human, named_roles
from auditvault.access.models import TenantRegion, User
from auditvault.access.rights_log import OPERATOR_ACTOR, record_rights
from auditvault.access.scim.models import ScimGroup
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.cases import check_case
from auditvault.core.policy.roles import CUSTOM_PREFIX, acts_of_role, acts_of_roles
from auditvault.core.policy.separation import check_separation

ENTRY_TYPE_MAPPED = "scim_group.mapped"
ENTRY_TYPE_UNMAPPED = "scim_group.unmapped"


class GroupUnknownError(AuditvaultError):
    """The tenant has no such group, or it does not give that role."""

    code = "scim_group_unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gift:
    """A role on a place."""

    place: TenantRegion
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownGroup:
    """A group of a tenant's clients, and what it gives."""

    scim_id: UUID
    client: str
    display_name: str
    members: int
    gives: tuple[Gift, ...]


def given_by(group: ScimGroup) -> list[Gift]:
    """What being a member gives."""
    rows = GroupObjectPermission.objects.filter(group_id=group.group_id)
    return [
        Gift(place=TenantRegion.objects.get(pk=row.object_pk), role=role_of(row.permission))
        for row in rows.select_related("permission").order_by("pk")
    ]


def role_of(permission: Permission) -> str:
    """The role that a permission is: a fixed one by its codename, a tenant's own by its row."""
    own = CustomRoleRow.objects.filter(permission=permission).first()
    return f"{CUSTOM_PREFIX}{own.name}" if own else permission.codename


def check_together(human: UUID, groups: Iterable[ScimGroup]) -> None:
    """Refuse that a human gets what the groups give on top of what they have; raises SeparationError."""
    gifts: dict[UUID, list[str]] = {}
    for group in groups:
        for gift in given_by(group):
            gifts.setdefault(gift.place.tenant_id, []).append(gift.role)
    for tenant_id, roles in gifts.items():
        held = acts_of_human(human, tenant_id, with_inactive=True)
        check_separation(held, more=acts_of_roles(named_roles(tenant_id, roles)))


def record_given(action: str, group: ScimGroup, accounts: Collection[User], actor: str) -> None:
    """Record that the accounts get, or lose, what the group gives; an entry each, in the region of each."""
    for gift in given_by(group):
        for account in accounts:
            record_gift(action, group, gift, account, actor)


def record_gift(action: str, group: ScimGroup, gift: Gift, account: User, actor: str) -> None:
    """Record that an account gets, or loses, one role by the group."""
    record_rights(
        region=gift.place.region,
        tenant_id=gift.place.tenant_id,
        action=action,
        details={
            "actor": actor,
            "account": actor_of(account),
            "role": gift.role,
            "group": str(group.scim_id),
        },
    )


def groups_of(tenant_id: UUID) -> list[KnownGroup]:
    """The groups of all of the tenant's clients."""
    rows = ScimGroup.objects.filter(client__tenant_id=tenant_id).select_related("client")
    return [
        KnownGroup(
            scim_id=row.scim_id,
            client=row.client.public_id,
            display_name=row.display_name,
            members=row.members.count(),
            gives=tuple(given_by(row)),
        )
        for row in rows.order_by("pk")
    ]


def map_group(
    *, tenant_id: UUID, group: UUID, region: str, role: str, case: str, actor: str = OPERATOR_ACTOR
) -> bool:
    """Let a group give a role on the tenant's region to all of its members; False where it does already.

    Raises:
        GroupUnknownError, PlaceUnknownError, RoleUnknownError, CaseError.
        RoleEndError: the role has to end, and what a group gives does not.
        SeparationError: it would be too much for a member. In all cases nothing has changed.
    """
    check_case(case)
    row, place = _group(tenant_id, group), place_in(tenant_id, region)
    with rights_locked([], [tenant_id]):
        asked, permission = role_named(tenant_id, role), permission_of(tenant_id, role)
        if asked in TIME_BOXED:
            raise RoleEndError(f"The role {role} has to end, and what a group gives does not.")
        gift = Gift(place=place, role=role)
        if gift in given_by(row):
            return False
        members = list(User.objects.filter(groups=row.group_id))
        for human in {member.human_id for member in members}:
            held = acts_of_human(human, tenant_id, with_inactive=True)
            check_separation(held, more=acts_of_role(asked))
        _record_mapping(ENTRY_TYPE_MAPPED, row, gift, case, actor)
        for member in members:
            record_gift(ENTRY_TYPE_GRANTED, row, gift, member, actor)
        GroupObjectPermission.objects.assign_perm(permission, row.group, place)
    return True


def unmap_group(
    *, tenant_id: UUID, group: UUID, region: str, role: str, case: str, actor: str = OPERATOR_ACTOR
) -> None:
    """Let a group give that role no more; it counts for nothing at once. Raises as `map_group`."""
    check_case(case)
    row, place = _group(tenant_id, group), place_in(tenant_id, region)
    with rights_locked([], [tenant_id]):
        gift = Gift(place=place, role=role)
        if gift not in given_by(row):
            raise GroupUnknownError("The group does not give that role there.")
        _record_mapping(ENTRY_TYPE_UNMAPPED, row, gift, case, actor)
        for member in User.objects.filter(groups=row.group_id):
            record_gift(ENTRY_TYPE_REVOKED, row, gift, member, actor)
        GroupObjectPermission.objects.filter(
            group_id=row.group_id,
            object_pk=str(place.pk),
            permission=permission_of(tenant_id, role),
        ).delete()


def _record_mapping(action: str, row: ScimGroup, gift: Gift, case: str, actor: str) -> None:
    record_rights(
        region=gift.place.region,
        tenant_id=gift.place.tenant_id,
        action=action,
        details={"actor": actor, "case": case, "group": str(row.scim_id), "role": gift.role},
    )


def _group(tenant_id: UUID, scim_id: UUID) -> ScimGroup:
    rows = ScimGroup.objects.filter(client__tenant_id=tenant_id, scim_id=scim_id)
    found = rows.select_related("group").first()
    if found is None:
        raise GroupUnknownError("The tenant has no such group.")
    return found
