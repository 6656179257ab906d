"""Entries of what becomes of accounts and of what proves them, whoever does it.

They are in the operator's log of each region that the account has a role in, since an account belongs to no tenant; of
one that has none, in every region that this process serves. As with rights the entry comes first: a crash leaves an
entry of a change that has not come. Where a log cannot be written, nothing changes.
"""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings

from auditvault.access.granting import actor_of
from auditvault.access.models import User
from auditvault.access.people import places_of
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import record_operation

ENTRY_TYPE_INVITED = "account.invited"
ENTRY_TYPE_RESET_MADE = "account.reset_made"
ENTRY_TYPE_PASSWORD_SET = "account.password_set"  # noqa: S105  # the name of an entry
ENTRY_TYPE_FACTORS_FORGOTTEN = "account.factors_forgotten"
ENTRY_TYPE_FACTOR_ADDED = "account.factor_added"
ENTRY_TYPE_FACTOR_REMOVED = "account.factor_removed"


def record_account(
    action: str,
    *,
    account: User,
    actor: str,
    regions: Collection[str] = (),
    **details: JsonValue,
) -> None:
    """Record it; `regions` are those of roles that the account is about to be given. Raises what a database raises."""
    named = {place.region for place in places_of(account)} | set(regions)
    served = sorted(named & set(settings.REGIONS)) or sorted(settings.REGIONS)
    said: dict[str, JsonValue] = {"account": actor_of(account), "actor": actor, **details}
    for region in served:
        record_operation(region=region, action=action, details=said)
