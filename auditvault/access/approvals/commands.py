"""Approvals of what a command on the service's own machine does (docs/adr/0032-operator-approvals.md).

Somebody runs the command with `--plan`, which does nothing but print exactly what it would do; a person asks for that
plan to be approved, another approves it, and the command is run again with the approval's id. It makes the plan anew
from what is then: where that is another by now, the approval is for nothing.

The approval is used up in the transaction of the act's entry. What the act does elsewhere, such as in the keyring's
database or at a key's provider, comes after that commit. A crash in between leaves an entry and an approval that was
used up, and an act that was not done: somebody asks again, which is the safe side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings

from auditvault.access.approvals.services import use_within
from auditvault.access.approvals.store import ApprovalNotFoundError, ApprovalRecord, read
from auditvault.access.rights_log import OPERATOR_ACTOR
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import Plan
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import region_alias, tenant_scope


class CommandApprovalError(AuditvaultError):
    """A command that takes two people was run by one."""

    code = "command_approval_missing"


def check_approved(plan: Plan, approval_ids: Sequence[UUID], *, now: datetime) -> None:
    """Look whether `use_for_command` would go through now; nothing is written. Raises as it."""
    _refuse_without(approval_ids)
    if not approval_ids:
        return
    with tenant_scope(region_alias(plan.region), plan.tenant_id) as connection:
        _of_here(connection, plan, approval_ids).approval.use(plan, now=now)


def use_for_command(
    connection: psycopg.Connection[Any],
    plan: Plan,
    approval_ids: Sequence[UUID],
    *,
    now: datetime,
) -> dict[str, JsonValue]:
    """Use that one of the approvals up which stands where the plan does; what the act's entry says of it.

    For the transaction of the act's entry, in the plan's tenant and region, just before that entry. Without an
    approval, where the site does without (AUDITVAULT_COMMANDS_WITHOUT_APPROVAL), the entry says that there is none.

    Raises:
        CommandApprovalError: none is given, and the site does not do without.
        ApprovalNotFoundError: the plan's tenant has none of them in its region.
        ApprovalDriftedError, ApprovalMissingError, ApprovalNotOpenError: `core.policy.approvals`.
    """
    _refuse_without(approval_ids)
    if not approval_ids:
        return {"approval": None}
    approval_id = _of_here(connection, plan, approval_ids).approval_id
    use_within(
        connection,
        plan=plan,
        approval_id=approval_id,
        human=None,
        actor=OPERATOR_ACTOR,
        now=now,
    )
    return {"approval": str(approval_id)}


def record_approved(
    plan: Plan,
    approval_ids: Sequence[UUID],
    *,
    action: str,
    details: Mapping[str, JsonValue],
    now: datetime,
) -> None:
    """Commit that an act begins which is done elsewhere, and the use of its approval. Raises as `use_for_command`."""
    log = admin_log(plan.region, plan.tenant_id)
    with tenant_scope(region_alias(plan.region), plan.tenant_id) as connection:
        said = use_for_command(connection, plan, approval_ids, now=now)
        record_in(
            connection,
            log,
            record_id=new_record_id(connection),
            action=action,
            details={"plan": plan.digest().hex(), **details, **said},
        )


def _refuse_without(approval_ids: Sequence[UUID]) -> None:
    if not approval_ids and not settings.COMMANDS_WITHOUT_APPROVAL:
        raise CommandApprovalError(
            "This takes two people. Run it with --plan, have that plan approved, and run it with --approval."
        )


def _of_here(
    connection: psycopg.Connection[Any], plan: Plan, approval_ids: Sequence[UUID]
) -> ApprovalRecord:
    """The approval of this plan, or else the first that stands here, which then says what is wrong with it."""
    found = []
    for approval_id in approval_ids:
        try:
            found.append(read(connection, approval_id))
        except ApprovalNotFoundError:
            continue
    if not found:
        raise ApprovalNotFoundError("There is no such approval for this tenant and region.")
    digest = plan.digest()
    return next((each for each in found if each.approval.plan_digest == digest), found[0])
