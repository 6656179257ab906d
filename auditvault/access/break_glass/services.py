"""Opening break-glass, ending it, reviewing it.

Each is one transaction. Opening writes the sealed reason, the row, the entry `break_glass.opened`, and the alert with
its entry and its way to the receivers: a crash leaves all of it or nothing, and nobody looks under what nobody hears
of. A look under it is `auditvault.access.disclosure`'s.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.access.alerts.services import raise_within
from auditvault.access.break_glass import store
from auditvault.access.break_glass.store import BreakGlassNotFoundError, BreakGlassRecord
from auditvault.access.credentials import Credential
from auditvault.access.events.services import REASON_ROLE
from auditvault.access.humans import human_of_actor
from auditvault.access.receivers.addressees import humans_told
from auditvault.core.ids import uuid7
from auditvault.core.policy.access import AccessDeniedError, PurposeCode, check_purpose
from auditvault.core.policy.alerts import AlertKind
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.break_glass import (
    LASTS,
    BreakGlass,
    BreakGlassOverError,
    BreakGlassReviewedError,
    Review,
    Verdict,
    check_opening,
    check_told,
    due_at,
)
from auditvault.core.policy.cases import check_case
from auditvault.core.policy.roles import Act
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.logs import LogRef
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.services import format_instant
from auditvault.vault.sealing import Sealer
from auditvault.vault.services import make_sealer

ENTRY_TYPE_OPENED = "break_glass.opened"
ENTRY_TYPE_ENDED = "break_glass.ended"
ENTRY_TYPE_REVIEWED = "break_glass.reviewed"


def open_break_glass(
    *, credential: Credential, region: str, case: str, reason: str, now: datetime
) -> BreakGlassRecord:
    """Open one for oneself and a case; two other people are told.

    Raises:
        HumanRequiredError, SecondFactorRequiredError, ReauthenticationRequiredError, AccessDeniedError,
            SeparationError: the caller may not.
        PurposeError: the case is no reference, or the reason says nothing.
        BreakGlassUnseenError: there are not two others who would be told.
        BreakGlassOpenError, BreakGlassUnreviewedError: one's own is open; an earlier one of the tenant's is overdue.
    """
    credential.require_strong(now)
    role = credential.role_for(Act.RESOLVE_FULL)
    human = credential.require_recent(now)
    _check_region(credential, region)
    code = PurposeCode.BREAK_GLASS.value
    purpose = check_purpose(code=code, case=case, reason=reason, role=role)
    tenant_id = credential.tenant_id
    check_told(
        human, humans_told(tenant_id=tenant_id, region=region, kind=AlertKind.BREAK_GLASS.value)
    )
    log = admin_log(region, tenant_id)
    sealer = make_sealer(region=region, tenant_id=tenant_id, subjects=(), at=now)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        store.lock(connection, tenant_id)
        _check_opening(connection, human, now)
        record = BreakGlassRecord(
            opened=_opened(human, purpose.case, now),
            record_id=new_record_id(connection),
            holder=credential.actor,
        )
        sealed = _seal(sealer, purpose.reason, record.record_id)
        sealer.write(connection, now)
        store.insert(connection, tenant_id, record)
        _tell(connection, log, region, record, sealed)
        return store.read(connection, record.opened.break_glass_id)


def end(
    *, credential: Credential, region: str, break_glass_id: UUID, now: datetime
) -> BreakGlassRecord:
    """End one's own early.

    Raises HumanRequiredError, AccessDeniedError, BreakGlassNotFoundError, BreakGlassOverError.
    """
    human = credential.require_human()
    _check_region(credential, region)
    log = admin_log(region, credential.tenant_id)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        record = store.read(connection, break_glass_id)
        if record.opened.human != human:
            raise BreakGlassNotFoundError("There is no such break-glass.")
        record.opened.check_ending(now)
        if not store.end(connection, break_glass_id, now=now):
            raise BreakGlassOverError("It has ended already.")
        details: dict[str, JsonValue] = {
            "break_glass": str(break_glass_id),
            "case": record.opened.case,
            "actor": credential.actor,
        }
        _record(connection, log, ENTRY_TYPE_ENDED, details)
        return store.read(connection, break_glass_id)


def review(
    *,
    credential: Credential,
    region: str,
    break_glass_id: UUID,
    verdict: Verdict,
    case: str,
    now: datetime,
) -> BreakGlassRecord:
    """Say of somebody else's whether it was right to open it; late is better than never.

    Raises:
        HumanRequiredError, SecondFactorRequiredError, AccessDeniedError, SeparationError: the caller may not.
        CaseError, BreakGlassNotFoundError: nothing was reviewed.
        OwnBreakGlassError, BreakGlassOpenError, BreakGlassReviewedError: not by them, not yet, or not again.
    """
    human = credential.require_strong(now)
    credential.role_for(Act.APPROVE_GRANT)
    _check_region(credential, region)
    check_case(case)
    log = admin_log(region, credential.tenant_id)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        record = store.read(connection, break_glass_id)
        # Accounts can be linked after it was opened.
        record.opened.check_review(human=human, opener=human_of_actor(record.holder), now=now)
        said = Review(verdict=verdict, case=case, reviewed_at=now)
        if not store.review(
            connection, break_glass_id, human=human, actor=credential.actor, said=said
        ):
            raise BreakGlassReviewedError("It was reviewed already.")
        details: dict[str, JsonValue] = {
            "break_glass": str(break_glass_id),
            "verdict": verdict.value,
            "case": case,
            "actor": credential.actor,
            "late": record.opened.is_overdue(now),
        }
        _record(connection, log, ENTRY_TYPE_REVIEWED, details)
        return store.read(connection, break_glass_id)


def _check_region(credential: Credential, region: str) -> None:
    if region not in credential.regions:
        raise AccessDeniedError("This credential is not for that region.")


def _check_opening(connection: psycopg.Connection[Any], human: HumanId, now: datetime) -> None:
    """As accounts are linked now: whose account has one open is who has."""
    before = []
    for each in store.unfinished(connection, now):
        linked = human_of_actor(each.holder)
        before.append(replace(each.opened, human=human) if linked == human else each.opened)
    check_opening(before, human=human, now=now)


def _opened(human: HumanId, case: str, now: datetime) -> BreakGlass:
    return BreakGlass(
        break_glass_id=uuid7(now),
        human=human,
        case=case,
        opened_at=now,
        expires_at=now + LASTS,
        due_at=due_at(now),
    )


def _seal(sealer: Sealer, reason: str, record_id: UUID) -> JsonValue:
    """As the reason of a look, with the admin record that names it."""
    body = reason.encode()
    return sealer.seal(
        subject_id=sealer.tenant_subject,
        record_id=record_id.bytes,
        role=REASON_ROLE,
        body=body,
        digest=hashlib.sha256(body).digest(),
    )


def _tell(
    connection: psycopg.Connection[Any],
    log: LogRef,
    region: str,
    record: BreakGlassRecord,
    sealed: JsonValue,
) -> None:
    """The entry, then the alert: both in the admin log, whose head is held from here on."""
    opened = record.opened
    details: dict[str, JsonValue] = {
        "break_glass": str(opened.break_glass_id),
        "case": opened.case,
        "actor": record.holder,
        "expires_at": format_instant(opened.expires_at),
        "due_at": format_instant(opened.due_at),
    }
    record_in(
        connection,
        log,
        record_id=record.record_id,
        action=ENTRY_TYPE_OPENED,
        details={**details, "reason": sealed},
    )
    raise_within(
        connection,
        tenant_id=log.tenant_id,
        region=region,
        kind=AlertKind.BREAK_GLASS,
        details=details,
    )


def _record(
    connection: psycopg.Connection[Any], log: LogRef, action: str, details: dict[str, JsonValue]
) -> None:
    record_in(connection, log, record_id=new_record_id(connection), action=action, details=details)
