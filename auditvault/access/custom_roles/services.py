"""Making, changing and retiring a tenant's own roles, under the rules that every role is under.

A role is the tenant's, so it is the same in all of the tenant's regions: whoever changes one must be able to give roles
in each of them, and each region's admin log gets the entry. Order and crash outcome are those of `granting`: tenant
locked, everything checked, entries committed, then the control database changes.

A change is checked against every holder, people as well as machines: a conflict must not come in by it. And it must
not be a way round what giving refuses: nobody changes a role of their own, and who changes a role of a machine's token
counts as able to do what it then may, since they may know the token.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from guardian.models import GroupObjectPermission, UserObjectPermission

from auditvault.access.credentials import Credential
from auditvault.access.custom_roles.models import CustomRole as CustomRoleRow
from auditvault.access.granting import Giver, OwnRoleError, giver_in, rights_locked
from auditvault.access.humans import acts_of, named_roles, roles_of_human
from auditvault.access.models import ApiToken, TenantRegion, User
from auditvault.access.rights_log import record_rights_in
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.cases import check_case
from auditvault.core.policy.roles import (
    AccessDeniedError,
    Act,
    AnyRole,
    CustomRole,
    acts_of_roles,
    custom_role,
    is_custom_name,
)
from auditvault.core.policy.separation import check_separation

ENTRY_TYPE_DEFINED = "role.defined"
ENTRY_TYPE_CHANGED = "role.changed"
ENTRY_TYPE_RETIRED = "role.retired"


class RoleExistsError(AuditvaultError):
    """The tenant has, or had, a role of that name."""

    code = "role_exists"


class RightsElsewhereError(AccessDeniedError):
    """The caller gives roles in some of the tenant's regions, and this takes all."""

    code = "every_region_required"


class RoleNotFoundError(AuditvaultError):
    """The tenant has no such role of its own."""

    code = "role_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One of a tenant's own roles."""

    role: CustomRole
    created_at: datetime
    retired_at: datetime | None


def giver_everywhere(credential: Credential, now: datetime) -> Giver:
    """The caller as somebody who gives roles in every region of the tenant.

    Raises:
        RightsElsewhereError: not in all of them; and as `giver_in`.
    """
    giver = giver_in(credential, credential.regions[0], now)
    if not set(regions_of(credential.tenant_id)) <= regions_where_giving(credential):
        raise RightsElsewhereError(
            "This takes the right to give roles in every region of the tenant."
        )
    return giver


def regions_where_giving(credential: Credential) -> set[str]:
    """The regions where the caller's human may give roles; of a token, those that the token is for."""
    if credential.human is None:
        return set()
    by_region = roles_of_human(credential.human, credential.tenant_id)
    may = {region for region, held in by_region.items() if Act.GRANT_ROLES in acts_of_roles(held)}
    # A session is for one place at a time and stands for all of the person's; a token was narrowed on purpose.
    return may & set(credential.regions) if credential.actor.startswith("token:") else may


def regions_of(tenant_id: UUID) -> list[str]:
    """The tenant's regions."""
    rows = TenantRegion.objects.filter(tenant_id=tenant_id).order_by("region")
    return list(rows.values_list("region", flat=True))


def definitions(tenant_id: UUID) -> list[Definition]:
    """The tenant's own roles by name, retired ones too."""
    rows = CustomRoleRow.objects.filter(tenant_id=tenant_id).order_by("name")
    return [
        Definition(role=_role(row), created_at=row.created_at, retired_at=row.retired_at)
        for row in rows
    ]


def define_role(
    *, giver: Giver, tenant_id: UUID, name: str, acts: Collection[str], case: str
) -> CustomRole:
    """Make a role. Nobody holds it yet.

    Raises:
        RoleDefinitionError, CaseError, RoleExistsError: it cannot be made as asked.
        SeparationError: it would put into one hand what must be in two.
        What a region's database raises, where it cannot be recorded. In all cases there is no such role.
    """
    check_case(case)
    made = custom_role(name, acts)
    check_separation((), more=made.acts)
    with rights_locked([], [tenant_id]):
        if CustomRoleRow.objects.filter(tenant_id=tenant_id, name=name).exists():
            raise RoleExistsError(
                "There is, or was, a role of that name. A name is never used again."
            )
        _record(giver, tenant_id, ENTRY_TYPE_DEFINED, made, case)
        permission = Permission.objects.create(
            content_type=ContentType.objects.get_for_model(TenantRegion),
            codename=f"custom_{uuid4().hex}",
            name="A role of a tenant's own",
        )
        CustomRoleRow.objects.create(
            tenant_id=tenant_id, name=name, acts=_texts(made.acts), permission=permission
        )
    return made


def change_role(
    *,
    giver: Giver,
    held: Collection[Act],
    tenant_id: UUID,
    name: str,
    acts: Collection[str],
    case: str,
) -> CustomRole:
    """Let a role allow other acts, for all who hold it. `held` is what whoever changes it may do on the tenant.

    Raises:
        RoleDefinitionError, CaseError, RoleNotFoundError: it cannot be changed as asked.
        OwnRoleError: whoever changes it holds it.
        SeparationError: somebody who holds it, or whoever changes it, would be able to do what must be in two hands.
        What a region's database raises. In all cases nothing has changed.
    """
    check_case(case)
    changed = custom_role(name, acts)
    check_separation((), more=changed.acts)
    with rights_locked([], [tenant_id]):
        row = _living(tenant_id, name)
        for human in _holders(row):
            _refuse_own(giver, human)
            others = acts_of(_without(human, tenant_id, name))
            check_separation(others, more=changed.acts)
        for token in _machines_of(tenant_id, _role(row)):
            check_separation(held, more=changed.acts)
            others = acts_of_roles(
                role for role in named_roles(tenant_id, token.roles) if role.value != changed.value
            )
            check_separation(others, more=changed.acts)
        _record(giver, tenant_id, ENTRY_TYPE_CHANGED, changed, case)
        row.acts = _texts(changed.acts)
        row.save(update_fields=["acts"])
    return changed


def retire_role(
    *, giver: Giver, tenant_id: UUID, name: str, case: str, now: datetime
) -> CustomRole:
    """Let a role allow nobody anything any more; its name is never used again.

    Raises:
        CaseError, RoleNotFoundError, OwnRoleError, or what a region's database raises; nothing has changed.
    """
    check_case(case)
    with rights_locked([], [tenant_id]):
        row = _living(tenant_id, name)
        for human in _holders(row):
            _refuse_own(giver, human)
        _record(giver, tenant_id, ENTRY_TYPE_RETIRED, _role(row), case)
        row.retired_at = now
        row.save(update_fields=["retired_at"])
        # Each on its own, so that what belongs to it goes with it.
        UserObjectPermission.objects.filter(permission=row.permission).delete()
        GroupObjectPermission.objects.filter(permission=row.permission).delete()
    return _role(row)


def _living(tenant_id: UUID, name: str) -> CustomRoleRow:
    rows = CustomRoleRow.objects.filter(tenant_id=tenant_id, name=name, retired_at=None)
    found = rows.first() if is_custom_name(name) else None
    if found is None:
        raise RoleNotFoundError("The tenant has no such role of its own.")
    return found


def _holders(row: CustomRoleRow) -> Iterator[UUID]:
    """Every human with an account that holds the role, by itself or by a group, switched off or not."""
    itself = UserObjectPermission.objects.filter(permission=row.permission).values("user")
    groups = GroupObjectPermission.objects.filter(permission=row.permission).values("group")
    accounts = User.objects.filter(pk__in=itself) | User.objects.filter(groups__in=groups)
    yield from accounts.values_list("human_id", flat=True).distinct()


def _without(human: UUID, tenant_id: UUID, name: str) -> dict[str, frozenset[AnyRole]]:
    """What the human holds beside that role."""
    held = roles_of_human(human, tenant_id, with_inactive=True)
    return {
        region: frozenset(
            role for role in roles if not (isinstance(role, CustomRole) and role.name == name)
        )
        for region, roles in held.items()
    }


def _machines_of(tenant_id: UUID, role: CustomRole) -> Iterator[ApiToken]:
    """Tokens of machines with that role; those of people follow the people."""
    yield from ApiToken.objects.filter(
        tenant_id=tenant_id, human=None, revoked_at=None, roles__contains=[role.value]
    )


def _refuse_own(giver: Giver, human: UUID) -> None:
    if giver.human is not None and HumanId(human) == giver.human:
        raise OwnRoleError("Somebody else has to change a role of yours.")


def _record(giver: Giver, tenant_id: UUID, action: str, role: CustomRole, case: str) -> None:
    details = {
        "actor": giver.actor,
        "role": role.value,
        "acts": _texts(role.acts),
        "case": case,
    }
    record_rights_in(regions_of(tenant_id), tenant_id=tenant_id, action=action, details=details)


def _role(row: CustomRoleRow) -> CustomRole:
    return CustomRole(name=row.name, acts=frozenset(Act(act) for act in row.acts))


def _texts(acts: Collection[Act]) -> list[str]:
    return sorted(act.value for act in acts)
