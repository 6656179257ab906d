"""Giving roles and taking them away: by whoever may on the tenant's region, or by the operator.

Rules kept: nobody changes roles of their own, by whichever account; nobody is given what must be in two hands; an
examiner's role ends; a change is recorded before it is made.

Order, and what a crash leaves:

1. The human and the tenant are locked in the control database, and everything is checked.   Crash: nothing.
2. The entry is committed in the region (`rights_log`).         Crash: an entry of a change that has not come.
3. The role's row changes, and the control database commits.    Crash: done.

The locks are held throughout, human before tenant: two grants at once must see each other, since each alone may be
fine; and so must a grant and a change of what a tenant's own role allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Permission
from django.db import transaction
from guardian.models import GroupObjectPermission, UserObjectPermission

from auditvault.access.credentials import Credential
from auditvault.access.custom_roles.models import CustomRole as CustomRoleRow
from auditvault.access.humans import acts_of_human, named_roles
from auditvault.access.models import Human, Tenant, TenantRegion, User
from auditvault.access.rights.models import Member, RoleEnd
from auditvault.access.rights_log import OPERATOR_ACTOR, record_rights
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.cases import check_case
from auditvault.core.policy.roles import (
    CUSTOM_PREFIX,
    AccessDeniedError,
    Act,
    AnyRole,
    Role,
    acts_of_role,
    is_custom_name,
)
from auditvault.core.policy.separation import check_separation

ENTRY_TYPE_GRANTED = "role.granted"
ENTRY_TYPE_REVOKED = "role.revoked"
# Sending is for machines; every other role has a permission of its name.
ROLES_OF_PEOPLE = tuple(role for role in Role if role is not Role.INGEST)
TIME_BOXED = frozenset({Role.EXAMINER})
"""Roles that nobody holds for good."""
LONGEST_TERM = timedelta(days=366)


class RoleUnknownError(AuditvaultError):
    """There is no such role that people can be given on that tenant."""

    code = "role_unknown"


class RoleEndError(AuditvaultError):
    """A role is to end when it cannot, or must have an end and has none."""

    code = "role_end_invalid"


class OwnRoleError(AccessDeniedError):
    """Somebody tried to change roles of their own."""

    code = "role_own"


class PersonNotFoundError(AuditvaultError):
    """The tenant knows no such account; whether there is one is not said."""

    code = "person_not_found"


class RoleNotHeldError(AuditvaultError):
    """The account does not hold that role there by itself."""

    code = "role_not_held"


class PlaceUnknownError(AuditvaultError):
    """There is no such tenant, or it has no such region."""

    code = "place_unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Giver:
    """Who changes rights; the operator has no account, and so is nobody's human."""

    actor: str = OPERATOR_ACTOR
    human: HumanId | None = None


OPERATOR = Giver()


def giver_in(credential: Credential, region: str, now: datetime) -> Giver:
    """The caller as somebody who gives roles in the region.

    Raises:
        AccessDeniedError, SeparationError, HumanRequiredError, SecondFactorRequiredError.
    """
    credential.role_for(Act.GRANT_ROLES)
    if region not in credential.regions:
        raise AccessDeniedError(f"None of your roles allows {Act.GRANT_ROLES.value}.")
    return Giver(actor=credential.actor, human=credential.require_strong(now))


def place_in(tenant_id: UUID, region: str) -> TenantRegion:
    """The tenant's region; raises PlaceUnknownError."""
    found = TenantRegion.objects.filter(tenant_id=tenant_id, region=region).first()
    if found is None:
        raise PlaceUnknownError("There is no such tenant, or it is not in that region.")
    return found


def person_of(tenant_id: UUID, public_id: UUID) -> User:
    """An account that the tenant knows; raises PersonNotFoundError, also for another tenant's."""
    account = User.objects.filter(public_id=public_id).first()
    if account is None or not is_known(account, tenant_id):
        raise PersonNotFoundError("This tenant knows no such person.")
    return account


def is_known(account: User, tenant_id: UUID) -> bool:
    """Whether the tenant admitted the account, or it holds a role there."""
    if Member.objects.filter(account=account, tenant_id=tenant_id).exists():
        return True
    return bool(acts_of_account_anywhere(account, tenant_id))


def grant(
    *,
    giver: Giver,
    account: User,
    place: TenantRegion,
    role: str,
    now: datetime,
    case: str | None = None,
    ends_at: datetime | None = None,
) -> UUID | None:
    """Give an account a role on a tenant's region; returns the entry's record id, None where it holds it just so.

    With another `ends_at` than before, the role ends then. `case` refers to what it was decided on.

    Raises:
        RoleUnknownError, RoleEndError, CaseError, OwnRoleError: it cannot be given as asked.
        SeparationError: with what the human may do on the tenant already, it would be too much for one.
        What the region's database raises, where it cannot be recorded. In all cases nothing has changed.
    """
    _check_case(case)
    with rights_locked([account.human_id], [place.tenant_id]):
        _refuse_own(giver, account)
        asked, permission = _role_named(place, role)
        _check_end(asked, ends_at, now)
        if _holds(account, place, permission, ends_at):
            return None
        held = acts_of_human(account.human_id, place.tenant_id, with_inactive=True)
        check_separation(held, more=acts_of_role(asked))
        details = _details(giver, account, role, case) | {"ends_at": ends_at}
        record_id = _record(place, ENTRY_TYPE_GRANTED, details)
        _hold(account, place, permission, ends_at)
    return record_id


def check_grants(
    account: User, asked: Iterable[tuple[TenantRegion, str]], *, now: datetime
) -> None:
    """Whether an account can be given all of these roles for good, one with the others; nothing is written.

    Raises RoleUnknownError, RoleEndError or SeparationError, as `grant`.
    """
    held: dict[UUID, frozenset[Act]] = {}
    for place, named in asked:
        role, _ = _role_named(place, named)
        _check_end(role, None, now)
        before = held.get(place.tenant_id)
        if before is None:
            before = acts_of_human(account.human_id, place.tenant_id, with_inactive=True)
        check_separation(before, more=acts_of_role(role))
        held[place.tenant_id] = before | acts_of_role(role)


def revoke(
    *, giver: Giver, account: User, place: TenantRegion, role: str, case: str | None = None
) -> UUID:
    """Take a role away that the account holds by itself; returns the entry's record id. It counts for nothing at once.

    Raises:
        RoleNotHeldError: it holds no such role there, or by a group alone, which has to be left instead.
        CaseError, OwnRoleError, or what the region's database raises; nothing has changed.
    """
    _check_case(case)
    with rights_locked([account.human_id], [place.tenant_id]):
        _refuse_own(giver, account)
        held = held_itself(account, place, role)
        record_id = _record(place, ENTRY_TYPE_REVOKED, _details(giver, account, role, case))
        held.delete()
    return record_id


@contextmanager
def rights_locked(humans: Iterable[UUID], tenants: Iterable[UUID]) -> Iterator[None]:
    """A transaction of the control database in which nobody else changes rights of these humans or on these tenants.

    Humans come before tenants and each in their order, so that nobody waits in a circle.
    """
    with transaction.atomic():
        list(Human.objects.select_for_update().filter(pk__in=set(humans)).order_by("pk"))
        lock_tenants(tenants)
        yield


def lock_tenants(tenants: Iterable[UUID]) -> None:
    """Lock what everybody locks who changes rights on these tenants, until the transaction ends."""
    found = Tenant.objects.select_for_update(no_key=True).filter(pk__in=set(tenants))
    list(found.order_by("pk"))


def permission_of(tenant_id: UUID, role: str) -> Permission:
    """The permission that a role is held by, also of a tenant's own that is no more; raises RoleUnknownError."""
    if role in ROLES_OF_PEOPLE:
        return Permission.objects.get(
            content_type__app_label="access", content_type__model="tenantregion", codename=role
        )
    name = role.removeprefix(CUSTOM_PREFIX)
    own = CustomRoleRow.objects.filter(tenant_id=tenant_id, name=name).select_related("permission")
    is_own = role.startswith(CUSTOM_PREFIX) and is_custom_name(name)
    found = own.first() if is_own else None
    if found is None:
        raise RoleUnknownError(
            f"There is no such role here. People can be given {', '.join(ROLES_OF_PEOPLE)},"
            f" and the tenant's own, as {CUSTOM_PREFIX}NAME."
        )
    return found.permission


def role_named(tenant_id: UUID, role: str) -> AnyRole:
    """A role that people can be given on the tenant; raises RoleUnknownError."""
    permission_of(tenant_id, role)
    found = list(named_roles(tenant_id, [role]))
    if not found:
        raise RoleUnknownError("That role was retired.")
    return found[0]


def held_itself(account: User, place: TenantRegion, role: str) -> UserObjectPermission:
    """The row by which the account itself holds the role there; raises RoleNotHeldError."""
    try:
        permission = permission_of(place.tenant_id, role)
    except RoleUnknownError as error:
        raise RoleNotHeldError(_NOT_HELD) from error
    found: UserObjectPermission | None = UserObjectPermission.objects.filter(
        user=account, object_pk=str(place.pk), permission=permission
    ).first()
    if found is None:
        raise RoleNotHeldError(_NOT_HELD)
    return found


def acts_of_account_anywhere(account: User, tenant_id: UUID) -> bool:
    """Whether the account has, by rows, any role on the tenant: ended and switched off or not."""
    places = [
        str(pk)
        for pk in TenantRegion.objects.filter(tenant_id=tenant_id).values_list("pk", flat=True)
    ]
    return bool(
        UserObjectPermission.objects.filter(user=account, object_pk__in=places).exists()
        or GroupObjectPermission.objects.filter(group__user=account, object_pk__in=places).exists()
    )


_NOT_HELD = (
    "That person does not hold this role there by themselves; what a group gives, the group takes."
)


def _role_named(place: TenantRegion, role: str) -> tuple[AnyRole, Permission]:
    return role_named(place.tenant_id, role), permission_of(place.tenant_id, role)


def _refuse_own(giver: Giver, account: User) -> None:
    # Read again under the lock: accounts may have been found to be one human's meanwhile.
    account.refresh_from_db(fields=["human"])
    if giver.human is not None and account.human_id == giver.human:
        raise OwnRoleError(
            "Somebody else has to change roles of yours, whichever account holds them."
        )


def _check_case(case: str | None) -> None:
    if case is not None:
        check_case(case)


def _check_end(role: AnyRole, ends_at: datetime | None, now: datetime) -> None:
    if ends_at is None:
        if role in TIME_BOXED:
            raise RoleEndError(f"The role {role.value} needs an end.")
    elif not now < ends_at <= now + LONGEST_TERM:
        raise RoleEndError("A role ends in the future, within 366 days.")


def _holds(
    account: User, place: TenantRegion, permission: Permission, ends_at: datetime | None
) -> bool:
    held = UserObjectPermission.objects.filter(
        user=account, object_pk=str(place.pk), permission=permission
    ).first()
    if held is None:
        return False
    end = RoleEnd.objects.filter(held=held).first()
    return (end.ends_at if end else None) == ends_at


def _hold(
    account: User, place: TenantRegion, permission: Permission, ends_at: datetime | None
) -> None:
    held: Any = UserObjectPermission.objects.assign_perm(permission, account, place)
    if ends_at is None:
        RoleEnd.objects.filter(held=held).delete()
    else:
        RoleEnd.objects.update_or_create(held=held, defaults={"ends_at": ends_at})
    Member.objects.get_or_create(account=account, tenant_id=place.tenant_id)


def _record(place: TenantRegion, action: str, details: dict[str, Any]) -> UUID:
    return record_rights(
        region=place.region, tenant_id=place.tenant_id, action=action, details=details
    )


def _details(giver: Giver, account: User, role: str, case: str | None) -> dict[str, Any]:
    return {
        "actor": giver.actor,
        "account": actor_of(account),
        "role": role,
        "case": case,
    }


def actor_of(account: User) -> str:
    """The account as it stands in records."""
    return f"user:{account.public_id.hex}"
