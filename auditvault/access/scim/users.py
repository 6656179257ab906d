"""Users that a SCIM client makes, changes, switches off and deletes.

A client sees the users that it made: every other one does not exist for it, in answers and in refusals. A user has an
account of this service, under a name that nobody chose, so that no name can be taken or guessed.

**Whoever leaves loses everything at once, and no log is waited for.** Order, and what a crash leaves:

1. The account is switched off, its sessions and its human's tokens are dead; committed.       Crash: nobody can do
   anything by it; roles stand there that count for nothing, and are unrecorded.
2. Each role that it held is recorded as revoked, in its region.                               Crash: some are.
3. The roles' rows go; a deletion is marked; committed.                                        Crash: done.

The client is answered after 3, and repeats until then: the same request does what is left. Coming back is the other
way round: the entries are first, and a user whose groups would be too much for their human stays off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet
from guardian.models import GroupObjectPermission, UserObjectPermission

from auditvault.access.granting import (
    ENTRY_TYPE_GRANTED,
    ENTRY_TYPE_REVOKED,
    actor_of,
    rights_locked,
)
from auditvault.access.models import ApiToken, TenantRegion, User
from auditvault.access.rights.models import Member
from auditvault.access.rights_log import record_rights
from auditvault.access.scim.clients import ScimCaller
from auditvault.access.scim.models import ScimGroup, ScimUser
from auditvault.access.scim.rights import check_together, record_given, role_of
from auditvault.core.errors import AuditvaultError

MAX_PAGE = 200


class ScimNotFoundError(AuditvaultError):
    """The client made no such user or group."""

    code = "scim_not_found"


class ScimUniquenessError(AuditvaultError):
    """The client has another user of that name."""

    code = "scim_not_unique"


class ScimValueError(AuditvaultError):
    """A value that a user or group cannot have."""

    code = "scim_value_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserData:
    """What a client says of a user."""

    user_name: str
    external_id: str = ""
    is_active: bool | None = None
    """None: nothing is said of it. A new user is active then, and any other stays as it is."""
    profile: dict[str, Any] = field(default_factory=dict)
    """Name, display name and addresses, as SCIM has them."""
    given_name: str = ""
    family_name: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """A user as it is kept."""

    scim_id: UUID
    data: UserData
    created_at: datetime
    changed_at: datetime
    groups: tuple[tuple[UUID, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of a client's users, and how many there are."""

    total: int
    users: list[Provisioned]


def find_users(
    caller: ScimCaller, *, equal: dict[str, str], first: int = 0, limit: int = MAX_PAGE
) -> Page:
    """The client's users by creation; those alone whose `user_name`, `external_id` or `scim_id` is as in `equal`."""
    rows = _own(caller).order_by("pk")
    if "user_name" in equal:
        rows = rows.filter(user_name_key=name_key(equal["user_name"]))
    if "external_id" in equal:
        rows = rows.filter(external_id=equal["external_id"])
    if "scim_id" in equal:
        rows = rows.filter(scim_id=as_id(equal["scim_id"]))
    found = rows[first : first + limit].prefetch_related("memberships")
    return Page(total=rows.count(), users=[_provisioned(row) for row in found])


def get_user(caller: ScimCaller, scim_id: UUID) -> Provisioned:
    """One of the client's users; raises ScimNotFoundError."""
    return _provisioned(_row(caller, scim_id))


def create_user(caller: ScimCaller, data: UserData, now: datetime) -> Provisioned:
    """Make a user, with an account and a human of its own; one that was deleted gets its account back, and no roles.

    Raises ScimUniquenessError.
    """
    with rights_locked([], [caller.tenant_id]):
        key = name_key(data.user_name)
        known = ScimUser.objects.filter(client_id=caller.client, user_name_key=key).first()
        if known is not None and known.deleted_at is None:
            raise ScimUniquenessError("There is a user of that userName.")
        row = known or ScimUser(client_id=caller.client, account=_account(caller))
        row.scim_id, row.deleted_at, row.created_at = uuid4(), None, now
        _write(row, data, now, is_active=data.is_active is not False)
    return _provisioned(row)


def replace_user(caller: ScimCaller, scim_id: UUID, data: UserData, now: datetime) -> Provisioned:
    """Let a user be as the client says; switched off, it loses everything, and on again it has what its groups give.

    Raises:
        ScimNotFoundError, ScimUniquenessError.
        SeparationError: its groups would be too much for its human now; nothing has changed.
        What a region's database raises: switched off, and unrecorded until the client repeats it; or not on.
    """
    row = _row(caller, scim_id)
    if not (row.is_active if data.is_active is None else data.is_active):
        _write_locked(caller, row, data, now, is_active=False)
        _strip(row, caller.actor, now)
    elif row.is_active:
        _write_locked(caller, row, data, now, is_active=True)
    else:
        _bring_back(caller, row, data, now)
    return get_user(caller, scim_id)


def delete_user(caller: ScimCaller, scim_id: UUID, now: datetime) -> None:
    """Switch a user off for good; for the client it does not exist any more. Raises as `replace_user`."""
    row = _row(caller, scim_id)
    _strip(row, caller.actor, now)
    with rights_locked([row.account.human_id], [caller.tenant_id]):
        for group in row.memberships.all():
            group.members.remove(row)
        ScimUser.objects.filter(pk=row.pk).update(deleted_at=now, changed_at=now, external_id="")


def name_key(user_name: str) -> str:
    """A userName as it is compared."""
    return user_name.casefold()


def as_id(text: str) -> UUID:
    """The id that a client sent; what is none is the id of nothing."""
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)


def _own(caller: ScimCaller) -> QuerySet[ScimUser]:
    return ScimUser.objects.filter(client_id=caller.client, deleted_at=None)


def _row(caller: ScimCaller, scim_id: UUID) -> ScimUser:
    found = _own(caller).select_related("account").filter(scim_id=scim_id).first()
    if found is None:
        raise ScimNotFoundError("There is no such resource.")
    return found


def _account(caller: ScimCaller) -> User:
    account = User(username=f"scim-{uuid4().hex}", is_active=False)
    account.set_unusable_password()
    account.save()
    Member.objects.create(account=account, tenant_id=caller.tenant_id)
    return account


def _write_locked(
    caller: ScimCaller, row: ScimUser, data: UserData, now: datetime, *, is_active: bool
) -> None:
    with rights_locked([row.account.human_id], [caller.tenant_id]):
        _write(row, data, now, is_active=is_active)


def _write(row: ScimUser, data: UserData, now: datetime, *, is_active: bool) -> None:
    key = name_key(data.user_name)
    others = ScimUser.objects.filter(client_id=row.client_id, user_name_key=key).exclude(pk=row.pk)
    if others.exists():
        raise ScimUniquenessError("There is a user of that userName.")
    row.user_name, row.user_name_key = data.user_name, key
    row.external_id, row.profile = data.external_id, data.profile
    row.is_active, row.changed_at = is_active, now
    row.save()
    User.objects.filter(pk=row.account_id).update(
        is_active=is_active,
        first_name=data.given_name[:150],
        last_name=data.family_name[:150],
        email=data.email,
    )


def _strip(row: ScimUser, actor: str, now: datetime) -> None:
    """The three steps of leaving; does nothing where nothing is left."""
    account = row.account
    with transaction.atomic():
        ScimUser.objects.filter(pk=row.pk).update(is_active=False)
        # Another unusable password ends every session, also for the time after a return.
        account.set_unusable_password()
        User.objects.filter(pk=account.pk).update(is_active=False, password=account.password)
        ApiToken.objects.filter(human_id=account.human_id, revoked_at=None).update(revoked_at=now)
    with rights_locked([account.human_id], _tenants_of(account)):
        for held in UserObjectPermission.objects.filter(user=account).select_related("permission"):
            _record_lost(account, held, actor)
        groups = ScimGroup.objects.filter(group__user=account)
        for group in groups:
            record_given(ENTRY_TYPE_REVOKED, group, [account], actor)
        UserObjectPermission.objects.filter(user=account).delete()
        account.groups.clear()


def _bring_back(caller: ScimCaller, row: ScimUser, data: UserData, now: datetime) -> None:
    account = row.account
    with rights_locked([account.human_id], [caller.tenant_id]):
        account.refresh_from_db(fields=["human"])
        groups = list(row.memberships.select_related("group"))
        check_together(account.human_id, groups)
        for group in groups:
            record_given(ENTRY_TYPE_GRANTED, group, [account], caller.actor)
        _write(row, data, now, is_active=True)
        account.groups.set([group.group for group in groups])


def _tenants_of(account: User) -> set[UUID]:
    itself = UserObjectPermission.objects.filter(user=account).values_list("object_pk", flat=True)
    by_group = GroupObjectPermission.objects.filter(group__in=Group.objects.filter(user=account))
    places = {*itself, *by_group.values_list("object_pk", flat=True)}
    rows = TenantRegion.objects.filter(pk__in=places)
    return set(rows.values_list("tenant_id", flat=True))


def _record_lost(account: User, held: UserObjectPermission, actor: str) -> None:
    place = TenantRegion.objects.get(pk=held.object_pk)
    details = {
        "actor": actor,
        "account": actor_of(account),
        "role": role_of(held.permission),
    }
    record_rights(
        region=place.region,
        tenant_id=place.tenant_id,
        action=ENTRY_TYPE_REVOKED,
        details=details,
    )


def _provisioned(row: ScimUser) -> Provisioned:
    groups = sorted((group.scim_id, group.display_name) for group in row.memberships.all())
    return Provisioned(
        scim_id=row.scim_id,
        data=UserData(
            user_name=row.user_name,
            external_id=row.external_id,
            is_active=row.is_active,
            profile=row.profile,
        ),
        created_at=row.created_at,
        changed_at=row.changed_at,
        groups=tuple(groups),
    )
