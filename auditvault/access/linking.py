"""Accounts that turn out to be one human's, or not to be. The operator says so; it is in the log of every region.

Linking puts together what somebody may do, so it is refused where the union would be too much for one: then a role has
to go first. Unlinking takes a limit away, so it is as much to be looked at.

Order and crash outcome are those of `granting`: humans and tenants locked, everything checked, entries committed in the
operator's log of each region that this process serves, then the control database changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from django.conf import settings

from auditvault.access.granting import OPERATOR, Giver, actor_of, lock_tenants, rights_locked
from auditvault.access.humans import acts_of_human
from auditvault.access.models import ApiToken, Human, TenantRegion, User
from auditvault.access.rights.models import FormerHuman
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.cases import check_case
from auditvault.core.policy.separation import check_separation
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import record_operation
from auditvault.ledger.scope import region_alias

ENTRY_TYPE_LINKED = "account.linked"
ENTRY_TYPE_UNLINKED = "account.unlinked"


class AccountUnknownError(AuditvaultError):
    """There is no such account."""

    code = "account_unknown"


class AccountsLinkedError(AuditvaultError):
    """Two accounts are one human's already, or an account is the only one of its human."""

    code = "accounts_as_asked"


def account_named(username: str) -> User:
    """The account; raises AccountUnknownError."""
    found = User.objects.filter(username=username).first()
    if found is None:
        raise AccountUnknownError("There is no such account.")
    return found


def link_accounts(*, one: User, other: User, case: str, giver: Giver = OPERATOR) -> None:
    """Say that two accounts, and whatever else is either's human's, are one human's; `one`'s human stays.

    Raises:
        AccountsLinkedError, CaseError: nothing to do, or no reference.
        SeparationError: together they may do, on some tenant, what must be in two hands.
        What a region's database raises. In all cases nothing has changed.
    """
    check_case(case)
    with rights_locked([one.human_id, other.human_id], []):
        staying, going = _human(one), _human(other)
        if staying == going:
            raise AccountsLinkedError("These accounts are one human's already.")
        tenants = list(TenantRegion.objects.values_list("tenant_id", flat=True).distinct())
        lock_tenants(tenants)
        for tenant_id in tenants:
            check_separation(
                acts_of_human(staying, tenant_id, with_inactive=True),
                more=acts_of_human(going, tenant_id, with_inactive=True),
            )
        said = {"one": actor_of(one), "other": actor_of(other)}
        _record(ENTRY_TYPE_LINKED, giver, case, said)
        User.objects.filter(human_id=going).update(human_id=staying)
        ApiToken.objects.filter(human_id=going).update(human_id=staying)
        FormerHuman.objects.filter(human_id=going).update(human_id=staying)
        FormerHuman.objects.create(former_id=going, human_id=staying)


def unlink_account(*, account: User, case: str, now: datetime, giver: Giver = OPERATOR) -> None:
    """Say that an account is another human's than those that it was linked with: one of its own.

    Tokens of the human are revoked, since nobody knows whose they are now.

    Raises:
        AccountsLinkedError, CaseError, or what a region's database raises; nothing has changed.
    """
    check_case(case)
    with rights_locked([account.human_id], []):
        human = _human(account)
        if User.objects.filter(human_id=human).count() == 1:
            raise AccountsLinkedError("The account is linked with no other.")
        _record(ENTRY_TYPE_UNLINKED, giver, case, {"account": actor_of(account)})
        ApiToken.objects.filter(human_id=human, revoked_at=None).update(revoked_at=now)
        User.objects.filter(pk=account.pk).update(human=Human.objects.create())


def accounts_with(account: User) -> list[User]:
    """Every account of the account's human, itself included."""
    return list(User.objects.filter(human_id=account.human_id).order_by("pk"))


def human_now(human: HumanId) -> HumanId:
    """The human that a stored id means now: an id from before two humans turned out to be one means that one.

    Whoever compares a stored human with somebody asks this first.
    """
    found = FormerHuman.objects.filter(former_id=human).first()
    return HumanId(found.human_id) if found else human


def _human(account: User) -> UUID:
    account.refresh_from_db(fields=["human"])
    return account.human_id


def _record(action: str, giver: Giver, case: str, said: Mapping[str, JsonValue]) -> None:
    regions: Collection[str] = settings.REGIONS
    for region in regions:
        region_alias(region)
    for region in regions:
        details = {**said, "actor": giver.actor, "case": case}
        record_operation(region=region, action=action, details=details)
