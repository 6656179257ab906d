"""Placing legal holds, releasing them, and putting records to cases.

Placing is one transaction in the region: sealed reason, row, members, entry. From its commit on no erasure begins that
the hold covers, and no object goes. A crash before it leaves nothing; the keys made for the sealer are swept.

Releasing is one transaction too: the row, the approval that is used up, both entries. Keys that are held because of it
are let go by `enforcing`: a crash in between leaves keys held that need not be, and the next run lets them go.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from math import ceil
from typing import Any
from uuid import UUID

import psycopg

from auditvault.access.approvals.services import use_within
from auditvault.access.credentials import Credential
from auditvault.access.humans import acts_of_human
from auditvault.core.errors import AuditvaultError
from auditvault.core.ids import uuid7
from auditvault.core.policy.access import REASON_MAX_LENGTH, REASON_MIN_LENGTH
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.cases import check_case
from auditvault.core.policy.holds import (
    AnyScope,
    CaseScope,
    Hold,
    HoldNotOpenError,
    PeriodScope,
    RecordScope,
    SubjectScope,
    TraceScope,
    scope_digest,
)
from auditvault.core.policy.roles import Act
from auditvault.core.tlog.canonical import JsonValue, canonical_bytes
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import RegionUnavailableError, region_alias, tenant_scope
from auditvault.privacy.holds.selectors import hold_of
from auditvault.vault.services import make_sealer

ENTRY_TYPE_PLACED = "legal_hold.placed"
ENTRY_TYPE_RELEASED = "legal_hold.released"
REASON_ROLE = "hold_reason"
MOST_PUT = 1000
_EPOCH_BITS = 80  # a UUIDv7 begins with its milliseconds
_PLACE = """
SELECT legal_hold_place(ROW(%s, %s, %s, %s, %s, %s::text[], %s, %s, %s, %s, %s, %s, %s, NULL, NULL, NULL)::legal_hold,
                        %s::uuid[])
"""


class HoldInvalidError(AuditvaultError):
    """The hold's custodian, reason or review day will not do; nothing was placed."""

    code = "hold_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHold:
    """What somebody wants to have held."""

    scope: AnyScope
    reference: str
    """Of the matter, in the tenant's own system: such as CASE-2026-7."""
    reason: str
    """In words; sealed."""
    custodian: HumanId
    review_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A hold that is in force."""

    hold_id: UUID
    record_id: UUID
    """Of its admin record."""
    already_erased: int
    """Subjects that it names whose erasure had begun before. They stay erased."""


def place_hold(*, region: str, credential: Credential, wanted: NewHold, now: datetime) -> Placed:
    """Place a hold; it is in force when this returns.

    Raises:
        AccessDeniedError, SeparationError, HumanRequiredError: the caller may not.
        CaseError, HoldInvalidError: nothing was placed.
    """
    human = _allowed(region, credential)
    tenant_id = credential.tenant_id
    check_case(wanted.reference)
    reason = _check(wanted, tenant_id, now)
    log = admin_log(region, tenant_id)
    sealer = make_sealer(region=region, tenant_id=tenant_id, subjects=(), at=now)
    hold_id = uuid7(now)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        record_id = new_record_id(connection)
        sealed = sealer.seal(
            subject_id=sealer.tenant_subject,
            record_id=record_id.bytes,
            role=REASON_ROLE,
            body=reason,
            digest=hashlib.sha256(reason).digest(),
        )
        sealer.write(connection, now)
        erased = _place(connection, tenant_id, hold_id, human, wanted, UUID(str(sealed["object"])))
        details: dict[str, JsonValue] = {
            "hold": str(hold_id),
            "kind": _kind(wanted.scope),
            "scope": scope_digest(wanted.scope).hex(),
            "reference": wanted.reference,
            "review_on": wanted.review_on.isoformat(),
            "reason": sealed,
            "already_erased": erased,
            "actor": credential.actor,
        }
        record_in(connection, log, record_id=record_id, action=ENTRY_TYPE_PLACED, details=details)
    return Placed(hold_id=hold_id, record_id=record_id, already_erased=erased)


def release_hold(
    *, region: str, credential: Credential, hold_id: UUID, approval_id: UUID, now: datetime
) -> UUID:
    """Release a hold that somebody else has approved the release of; returns the id of its admin record.

    The approval is of `Hold.release_plan`. Keys are let go by the next `enforcing.enforce`.

    Raises:
        AccessDeniedError, SeparationError, HumanRequiredError: the caller may not.
        HoldNotFoundError, HoldNotOpenError: there is none, or it was released.
        ApprovalNotFoundError, ApprovalMissingError, ApprovalDriftedError, ApprovalNotOpenError: nothing was released.
    """
    human = _allowed(region, credential)
    log = admin_log(region, credential.tenant_id)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        hold = hold_of(connection, region, hold_id, locked=True)
        plan = release_plan(hold)
        row = connection.execute("SELECT legal_hold_release(%s, %s)", (hold_id, human)).fetchone()
        if row != (True,):
            raise HoldNotOpenError("It was released already.")
        use_within(
            connection,
            plan=plan,
            approval_id=approval_id,
            human=human,
            actor=credential.actor,
            now=now,
        )
        record_id = new_record_id(connection)
        details: dict[str, JsonValue] = {
            "hold": str(hold_id),
            "scope": scope_digest(hold.scope).hex(),
            "approval": str(approval_id),
            "actor": credential.actor,
        }
        record_in(connection, log, record_id=record_id, action=ENTRY_TYPE_RELEASED, details=details)
    return record_id


def release_plan(hold: Hold) -> Any:
    """What an approval of the hold's release is asked for; raises HoldNotOpenError.

    Nothing in this version deletes by retention, so nothing waits for a release but requests, which look themselves.
    """
    return hold.release_plan(waiting=0)


def put_to_case(*, region: str, credential: Credential, case: str, record_ids: list[UUID]) -> None:
    """Put records to a case: a hold on it covers them from now on.

    Raises AccessDeniedError, SeparationError, HumanRequiredError, CaseError, HoldInvalidError.
    """
    _allowed(region, credential)
    check_case(case)
    if not 1 <= len(record_ids) <= MOST_PUT:
        raise HoldInvalidError(f"1 to {MOST_PUT} records are put to a case at once.")
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        connection.execute(
            "INSERT INTO legal_case_record (tenant_id, case_ref, record_id)"
            " SELECT %s, %s, record FROM unnest(%s::uuid[]) AS record ON CONFLICT DO NOTHING",
            (credential.tenant_id, case, record_ids),
        )


def _allowed(region: str, credential: Credential) -> HumanId:
    credential.role_for(Act.PLACE_HOLD)
    if region not in credential.regions:
        raise RegionUnavailableError("The caller has no rights in that region.")
    return credential.require_human()


def _check(wanted: NewHold, tenant_id: UUID, now: datetime) -> bytes:
    """The reason's bytes."""
    words = " ".join(wanted.reason.split())
    if not REASON_MIN_LENGTH <= len(words) <= REASON_MAX_LENGTH:
        raise HoldInvalidError(
            f"The reason must have {REASON_MIN_LENGTH} to {REASON_MAX_LENGTH} characters."
        )
    if wanted.review_on <= now.date():
        raise HoldInvalidError("A hold is looked at again on a day to come.")
    if Act.PLACE_HOLD not in acts_of_human(wanted.custodian, tenant_id):
        raise HoldInvalidError("The custodian must be somebody who may place holds.")
    return words.encode()


def _place(
    connection: psycopg.Connection[Any],
    tenant_id: UUID,
    hold_id: UUID,
    human: HumanId,
    wanted: NewHold,
    reason_object: UUID,
) -> int:
    scope = wanted.scope
    first, end = _period(scope)
    row = connection.execute(
        _PLACE,
        (
            tenant_id,
            hold_id,
            _kind(scope),
            canonical_bytes(scope.parameters()),
            scope_digest(scope),
            sorted(scope.cases) if isinstance(scope, CaseScope) else None,
            first,
            end,
            wanted.reference,
            human,
            wanted.custodian,
            wanted.review_on,
            reason_object,
            _members(scope),
        ),
    ).fetchone()
    return int(row[0]) if row else 0


def _kind(scope: AnyScope) -> str:
    return str(scope.parameters()["kind"])


def _members(scope: AnyScope) -> list[UUID]:
    if isinstance(scope, SubjectScope):
        return sorted(scope.subject_ids)
    if isinstance(scope, RecordScope):
        return sorted(scope.record_ids)
    if isinstance(scope, TraceScope):
        return [UUID(bytes=trace_id) for trace_id in sorted(scope.trace_ids)]
    return []


def _period(scope: AnyScope) -> tuple[UUID | None, UUID | None]:
    """The ids between which the records of a period lie: ids begin with the record's whole milliseconds."""
    if not isinstance(scope, PeriodScope):
        return None, None
    return _first_id(scope.recorded_from), _first_id(scope.recorded_before)


def _first_id(instant: datetime | None) -> UUID | None:
    if instant is None:
        return None
    return UUID(int=ceil(instant.timestamp() * 1000) << _EPOCH_BITS)
