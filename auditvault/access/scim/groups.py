"""Groups that a SCIM client makes, and who is in them. What a group gives is in `rights`.

A change of members is one thing: where a single one of them would get too much, nothing is changed. The order is that
of `granting`: the tenant locked, everybody checked, an entry for each role and member, then the rows change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from django.contrib.auth.models import Group
from django.db.models import QuerySet
from guardian.models import GroupObjectPermission

from auditvault.access.granting import ENTRY_TYPE_GRANTED, ENTRY_TYPE_REVOKED, rights_locked
from auditvault.access.models import User
from auditvault.access.scim.clients import ScimCaller
from auditvault.access.scim.models import ScimGroup, ScimUser
from auditvault.access.scim.rights import check_together, record_given
from auditvault.access.scim.users import MAX_PAGE, ScimNotFoundError, ScimValueError, as_id


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupData:
    """What a client says of a group; members by the ids of its users."""

    display_name: str
    external_id: str = ""
    members: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedGroup:
    """A group as it is kept."""

    scim_id: UUID
    data: GroupData
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPage:
    """Some of a client's groups, and how many there are."""

    total: int
    groups: list[ProvisionedGroup]


def find_groups(
    caller: ScimCaller, *, equal: dict[str, str], first: int = 0, limit: int = MAX_PAGE
) -> GroupPage:
    """The client's groups by creation; those whose `display_name`, `external_id` or `scim_id` is as in `equal`."""
    rows = _own(caller).order_by("pk")
    if "display_name" in equal:
        rows = rows.filter(display_name__iexact=equal["display_name"])
    if "external_id" in equal:
        rows = rows.filter(external_id=equal["external_id"])
    if "scim_id" in equal:
        rows = rows.filter(scim_id=as_id(equal["scim_id"]))
    found = rows[first : first + limit].prefetch_related("members")
    return GroupPage(total=rows.count(), groups=[_provisioned(row) for row in found])


def get_group(caller: ScimCaller, scim_id: UUID) -> ProvisionedGroup:
    """One of the client's groups; raises ScimNotFoundError."""
    return _provisioned(_row(caller, scim_id))


def create_group(caller: ScimCaller, data: GroupData, now: datetime) -> ProvisionedGroup:
    """Make a group. It gives nothing until somebody says so; raises ScimValueError for a member that is none."""
    with rights_locked([], [caller.tenant_id]):
        members = _members(caller, data.members)
        scim_id = uuid4()
        row = ScimGroup(
            scim_id=scim_id,
            client_id=caller.client,
            group=Group.objects.create(name=f"scim-{scim_id.hex}"),
            created_at=now,
        )
        _write(row, data, now)
        _put(row, members)
    return get_group(caller, scim_id)


def replace_group(
    caller: ScimCaller, scim_id: UUID, data: GroupData, now: datetime
) -> ProvisionedGroup:
    """Let a group be as the client says.

    Raises:
        ScimNotFoundError, ScimValueError.
        SeparationError: what the group gives would be too much for one of its new members.
        What a region's database raises. In all cases nothing has changed.
    """
    with rights_locked([], [caller.tenant_id]):
        row = _row(caller, scim_id)
        members = _members(caller, data.members)
        before = set(User.objects.filter(groups=row.group_id))
        after = {member.account for member in members if member.is_active}
        _change(row, coming=after - before, going=before - after, actor=caller.actor)
        _write(row, data, now)
        _put(row, members)
    return get_group(caller, scim_id)


def delete_group(caller: ScimCaller, scim_id: UUID) -> None:
    """Take a group away, and what it gives from everybody. Raises as `replace_group`."""
    with rights_locked([], [caller.tenant_id]):
        row = _row(caller, scim_id)
        members = set(User.objects.filter(groups=row.group_id))
        _change(row, coming=set(), going=members, actor=caller.actor)
        group = row.group
        row.delete()
        GroupObjectPermission.objects.filter(group=group).delete()
        group.delete()


def _own(caller: ScimCaller) -> QuerySet[ScimGroup]:
    return ScimGroup.objects.filter(client_id=caller.client)


def _row(caller: ScimCaller, scim_id: UUID) -> ScimGroup:
    found = _own(caller).select_related("group").filter(scim_id=scim_id).first()
    if found is None:
        raise ScimNotFoundError("There is no such resource.")
    return found


def _members(caller: ScimCaller, wanted: frozenset[UUID]) -> list[ScimUser]:
    """The users of these ids; one that the client did not make is none."""
    rows = ScimUser.objects.filter(client_id=caller.client, deleted_at=None, scim_id__in=wanted)
    found = list(rows.select_related("account"))
    if len(found) != len(wanted):
        raise ScimValueError("A member is not a user of this client.")
    return found


def _change(row: ScimGroup, *, coming: set[User], going: set[User], actor: str) -> None:
    for human in {account.human_id for account in coming}:
        check_together(human, [row])
    record_given(ENTRY_TYPE_REVOKED, row, sorted(going, key=_place), actor)
    record_given(ENTRY_TYPE_GRANTED, row, sorted(coming, key=_place), actor)


def _place(account: User) -> int:
    return account.pk


def _write(row: ScimGroup, data: GroupData, now: datetime) -> None:
    row.display_name, row.external_id, row.changed_at = data.display_name, data.external_id, now
    row.save()


def _put(row: ScimGroup, members: list[ScimUser]) -> None:
    row.members.set(members)
    row.group.user_set.set([member.account for member in members if member.is_active])


def _provisioned(row: ScimGroup) -> ProvisionedGroup:
    members = frozenset(member.scim_id for member in row.members.all())
    return ProvisionedGroup(
        scim_id=row.scim_id,
        data=GroupData(
            display_name=row.display_name,
            external_id=row.external_id,
            members=members,
        ),
        created_at=row.created_at,
        changed_at=row.changed_at,
    )
