"""Reading content of another region than one's own: two people, a transfer basis, and a record in both regions.

A person's place is the region of the role that they call with. Content of another of the tenant's regions is shown to
them there, once, if a basis recorded in the region that it leaves lets it pass now, and somebody there has approved
exactly that read (docs/spec/transfer.md). Steps of a read, and what a crash leaves behind:

1. Approval and basis are looked at in the region of the content.            A refusal is recorded in both regions.
2. The look is recorded in the reader's region.      Crash after: a record of a look that did not happen. The approval
   is not used up: the reader asks again, and is recorded again.
3. It is recorded in the region of the content; the approval is used up in the same transaction, which looks at basis
   and plan once more.       Crash after: records of a look that did not happen, in both, and a new approval is needed.
4. Content is opened, by `disclosure.reveal`.

Where either record cannot be written, nothing is opened. No transaction spans both regions: the reader's is first, so
that nobody has an approval used up that their own region knows nothing of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from django.db import DatabaseError

from auditvault.access.approvals import services as approvals
from auditvault.access.approvals import store as approval_store
from auditvault.access.approvals.store import ApprovalNotFoundError, ApprovalRecord
from auditvault.access.credentials import Credential
from auditvault.access.disclosure import MAX_OBJECTS, Resolved, reveal, tag_of
from auditvault.access.events.services import AccessNotRecordedError, not_recorded, record_act
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.granting import PlaceUnknownError, place_in
from auditvault.access.humans import human_of_actor
from auditvault.access.limits import take_lookup
from auditvault.access.linking import human_now
from auditvault.access.transfers import store as basis_store
from auditvault.access.transfers.store import BasisRecord, TransferBasisNotFoundError
from auditvault.access.usage.recording import record_counted
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import (
    Act,
    Purpose,
    PurposeCode,
    PurposeError,
    check_purpose,
    purposes_of,
)
from auditvault.core.policy.approvals import (
    ApprovalMissingError,
    HumanId,
    Operation,
    OwnApprovalError,
    Plan,
    State,
)
from auditvault.core.policy.roles import AnyRole
from auditvault.core.policy.transfers import (
    MAX_LIFETIME,
    TransferInvalidError,
    TransferTerms,
    named_basis,
    named_contents,
)
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.scope import RegionUnavailableError, region_alias, tenant_scope
from auditvault.ledger.services import format_instant
from auditvault.vault.erasures.pending import refuse_while_restore_pending
from auditvault.vault.opening import StoredObject, objects_by_tag

ACTION = "read_across"


class TransferBasisOwnError(OwnApprovalError):
    """Whoever approved the read had recorded the basis for it: that is one person, not two."""

    code = "transfer_basis_own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody asks to be allowed to read, once, within `lifetime`."""

    region: str
    contents: Sequence[str]
    """Content hashes, `sha256:` or `tag:`."""
    code: str
    case: str
    lifetime: timedelta = MAX_LIFETIME


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedRead:
    """A read that somebody approved, and why it happens now; `reason` is sealed, never logged."""

    region: str
    approval_id: UUID
    code: str
    case: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Allowed:
    """A read that may go on."""

    role: AnyRole
    human: HumanId
    purpose: Purpose
    plan: Plan
    basis_id: UUID
    found: Sequence[StoredObject]
    has_more: bool


def ask(*, credential: Credential, here: str, wanted: Wanted, now: datetime) -> ApprovalRecord:
    """Ask, from the region `here`, to read content of another; somebody there approves it.

    The newest basis that is valid now is written into the plan. It ends with the basis, if that ends first.

    Raises:
        LookupsLimitedError: asking is limited as lookups are, and counted with them.
        HumanRequiredError, SecondFactorRequiredError, AccessDeniedError, SeparationError: the caller may not ask.
        PurposeError, CaseError, ContentHashError, TransferInvalidError: it cannot be asked for so.
        PlaceUnknownError, RegionUnavailableError: the tenant is not in that region, or this process is not.
        TransferBasisMissingError: nothing lets content pass. Each refusal is recorded, in both regions if it can be.
        AccessNotRecordedError: the refusal could not be recorded here.
    """
    details: dict[str, JsonValue] = {"step": "ask"}
    take_lookup(credential=credential, region=here, target="across", now=now, action=ACTION)
    with (
        _refusals_recorded(credential, here, wanted.region, details, now),
        _reached(credential, wanted.region, now),
    ):
        human = _check_asking(credential, here, wanted, now)
        plan, until = _plan_asked(credential, here, wanted, human, now)
        return approvals.request(
            credential=_in_region(credential, wanted.region),
            plan=plan,
            case=wanted.case,
            now=now,
            lifetime=until - now,
        )


def read(*, credential: Credential, here: str, wanted: ApprovedRead, now: datetime) -> Resolved:
    """The contents of an approved plan, shown in the region `here`, once; with the record's id in their own region.

    Raises:
        LookupsLimitedError, SubjectBudgetError: too much; the approval is not used up.
        HumanRequiredError, SecondFactorRequiredError, AccessDeniedError, SeparationError, PurposeError.
        PlaceUnknownError, RegionUnavailableError: as `ask`.
        ApprovalNotFoundError: there is none that the caller asked for.
        TransferBasisMissingError: the basis is expired or was ended.
        TransferBasisOwnError: who approved had recorded the basis.
        ApprovalMissingError, ApprovalNotOpenError, ApprovalDriftedError: `core.policy.approvals`.
        AccessNotRecordedError: one of the logs cannot be written; nothing was opened.
        ContentNotFoundError, ContentTooLargeError, RestorePendingError.
    """
    tenant_id, region = credential.tenant_id, wanted.region
    details: dict[str, JsonValue] = {"step": "read", "approval": str(wanted.approval_id)}
    take_lookup(
        credential=credential,
        region=here,
        target=f"approval:{wanted.approval_id}",
        now=now,
        action=ACTION,
    )
    with _refusals_recorded(credential, here, region, details, now):
        allowed = _allowed(credential, here, wanted, now)
    record_id, contents = reveal(
        region=region,
        tenant_id=tenant_id,
        found=allowed.found,
        record=lambda: _record(credential, here, wanted, allowed, now),
    )
    return Resolved(record_id=record_id, contents=contents, has_more=allowed.has_more)


def _check_asking(credential: Credential, here: str, wanted: Wanted, now: datetime) -> HumanId:
    role, human = credential.role_for(Act.RESOLVE_FULL), credential.require_strong(now)
    if wanted.code not in {code.value for code in purposes_of(role)}:
        raise PurposeError("This purpose code does not exist or is not allowed for your role.")
    if not timedelta() < wanted.lifetime <= MAX_LIFETIME:
        raise TransferInvalidError("A read happens within 8 hours of being asked for.")
    _check_places(credential, here, wanted.region)
    return human


def _check_places(credential: Credential, here: str, region: str) -> None:
    """Before anything is connected to: two regions, the tenant in the other, and this process serving it."""
    if region == here:
        raise TransferInvalidError("Content of your own region is read with a grant.")
    place_in(credential.tenant_id, region)
    region_alias(region)


def _plan_asked(
    credential: Credential, here: str, wanted: Wanted, human: HumanId, now: datetime
) -> tuple[Plan, datetime]:
    """The plan, and until when it holds."""
    tenant_id, region = credential.tenant_id, wanted.region
    tags = {tag_of(region, tenant_id, each).hex() for each in wanted.contents}
    with tenant_scope(region_alias(region), tenant_id) as connection:
        basis = basis_store.live_to(connection, to_region=here, now=now)
    until = min(now + wanted.lifetime, basis.valid_until)
    terms = TransferTerms(
        contents=sorted(f"tag:{tag}" for tag in tags),
        case=wanted.case,
        code=PurposeCode(wanted.code),
        to_region=here,
        reader=human,
        until=format_instant(until),
        basis_id=basis.basis_id,
        basis_digest=basis.digest(),
    )
    terms.check()
    return terms.plan(tenant_id=tenant_id, region=region), until


def _in_region(credential: Credential, region: str) -> Credential:
    """The caller as somebody who asks in that region: asking is all that a role elsewhere allows there."""
    return replace(credential, regions=(region,))


def _allowed(credential: Credential, here: str, wanted: ApprovedRead, now: datetime) -> _Allowed:
    role, human = credential.role_for(Act.RESOLVE_FULL), credential.require_strong(now)
    purpose = check_purpose(code=wanted.code, case=wanted.case, reason=wanted.reason, role=role)
    _check_places(credential, here, wanted.region)
    with (
        _reached(credential, wanted.region, now),
        tenant_scope(region_alias(wanted.region), credential.tenant_id) as connection,
    ):
        refuse_while_restore_pending(connection, wanted.region)
        plan, basis_id = _checked_plan(connection, here, wanted, human, purpose, now)
        found = _find(connection, named_contents(plan.parameters))
    return _Allowed(
        role=role,
        human=human,
        purpose=purpose,
        plan=plan,
        basis_id=basis_id,
        found=found[:MAX_OBJECTS],
        has_more=len(found) > MAX_OBJECTS,
    )


def _checked_plan(
    connection: psycopg.Connection[Any],
    here: str,
    wanted: ApprovedRead,
    human: HumanId,
    purpose: Purpose,
    now: datetime,
) -> tuple[Plan, UUID]:
    """What would be done now, as a plan that is approved, and its basis; raises what `read` says of both."""
    approved = _asked_for(connection, wanted.approval_id, human)
    basis = _live_basis(connection, approved, here, now)
    asked = approved.approval
    if asked.expires_at - asked.requested_at > MAX_LIFETIME:
        raise TransferInvalidError("A read happens within 8 hours of being asked for.")
    terms = TransferTerms(
        contents=named_contents(approved.plan.parameters),
        case=purpose.case,
        code=purpose.code,
        to_region=here,
        reader=human,
        until=format_instant(asked.expires_at),
        basis_id=basis.basis.basis_id,
        basis_digest=basis.basis.digest(),
    )
    terms.check()
    plan = terms.plan(tenant_id=approved.plan.tenant_id, region=wanted.region)
    asked.use(plan, now=now)
    _check_two_people(approved, basis)
    return plan, basis.basis.basis_id


def _asked_for(
    connection: psycopg.Connection[Any], approval_id: UUID, human: HumanId
) -> ApprovalRecord:
    """The approval that this human asked for; any other looks as if there were none."""
    found = approval_store.read(connection, approval_id)
    is_read = found.plan.operation is Operation.CROSS_REGION_READ
    if not is_read or found.approval.requested_by != human:
        raise ApprovalNotFoundError("There is no such approval.")
    return found


def _live_basis(
    connection: psycopg.Connection[Any], approved: ApprovalRecord, here: str, now: datetime
) -> BasisRecord:
    try:
        found = basis_store.read(connection, named_basis(approved.plan.parameters))
    except TransferBasisNotFoundError as error:
        raise basis_store.missing() from error
    if found.basis.to_region != here or not found.basis.is_live(now):
        raise basis_store.missing()
    return found


def _check_two_people(approved: ApprovalRecord, basis: BasisRecord) -> None:
    """As accounts are linked now: who approved is neither who asked, by another account, nor who recorded the basis."""
    if approved.approval.state is not State.APPROVED or approved.approver is None:
        raise ApprovalMissingError("Somebody else has to approve this first.")
    approver = _humans(approved.approver, approved.approval.approved_by)
    if approver & _humans(approved.requester, approved.approval.requested_by):
        raise OwnApprovalError("Somebody else has to decide about what you asked for.")
    if approver & _humans(basis.recorder, basis.basis.recorded_by):
        raise TransferBasisOwnError("Who approved this had recorded the basis: ask somebody else.")


def _humans(actor: str, stored: HumanId | None) -> set[UUID]:
    """Who is behind an account now, and who is now whom it was stored for."""
    found = {human_of_actor(actor), human_now(stored) if stored else None}
    return {human for human in found if human is not None}


def _find(connection: psycopg.Connection[Any], contents: Sequence[str]) -> list[StoredObject]:
    """The newest objects under these tags, at most one more than are shown."""
    found: list[StoredObject] = []
    for content in contents:
        tag = bytes.fromhex(content.removeprefix("tag:"))
        found += objects_by_tag(connection, tag, MAX_OBJECTS + 1 - len(found))
        if len(found) > MAX_OBJECTS:
            break
    return found


def _record(
    credential: Credential, here: str, wanted: ApprovedRead, allowed: _Allowed, now: datetime
) -> UUID:
    """Commit that the look goes on, here and then there; returns the id of the record there."""
    told = record_act(
        region=here,
        tenant_id=credential.tenant_id,
        act=RecordedAct(
            actor=credential.actor,
            actor_role=allowed.role.value,
            action="read_across",
            outcome="granted",
            details={
                "region": wanted.region,
                "approval": str(wanted.approval_id),
                "plan": allowed.plan.digest().hex(),
                "basis": str(allowed.basis_id),
                "objects": len(allowed.found),
            },
            purpose=allowed.purpose,
        ),
        now=now,
    )
    details: dict[str, JsonValue] = {"step": "read", "approval": str(wanted.approval_id)}
    with _refusals_recorded(credential, here, wanted.region, details, now):
        return _record_there(credential, here, wanted, allowed, told, now)


def _record_there(
    credential: Credential,
    here: str,
    wanted: ApprovedRead,
    allowed: _Allowed,
    told: UUID,
    now: datetime,
) -> UUID:
    """A look like any other of that region, for its counts and reports; the approval is used up with it."""

    def use(connection: psycopg.Connection[Any], record_id: UUID) -> None:  # noqa: ARG001
        plan, _ = _checked_plan(connection, here, wanted, allowed.human, allowed.purpose, now)
        approvals.use_within(
            connection,
            plan=plan,
            approval_id=wanted.approval_id,
            human=allowed.human,
            actor=credential.actor,
            now=now,
        )

    target = f"approval:{wanted.approval_id}"
    return record_counted(
        credential=credential,
        region=wanted.region,
        act=RecordedAct(
            actor=credential.actor,
            actor_role=allowed.role.value,
            action="resolve",
            outcome="granted",
            details={
                "target": target,
                "representation": "full",
                "objects": [str(one.object_id) for one in allowed.found],
                "approval": str(wanted.approval_id),
                "plan": allowed.plan.digest().hex(),
                "basis": str(allowed.basis_id),
                "to_region": here,
                "to_record": str(told),
            },
            purpose=allowed.purpose,
        ),
        subjects=[one.subject_id for one in allowed.found],
        target={"target": target, "representation": "full"},
        now=now,
        also=use,
    )


@contextmanager
def _reached(credential: Credential, region: str, now: datetime) -> Iterator[None]:
    """What a database of the other region fails with is a look that was not recorded there."""
    try:
        yield
    except (DatabaseError, psycopg.Error) as error:
        raise not_recorded(region=region, tenant_id=credential.tenant_id, now=now) from error


@contextmanager
def _refusals_recorded(
    credential: Credential, here: str, region: str, details: dict[str, JsonValue], now: datetime
) -> Iterator[None]:
    """Record a refusal here, and in the other region where it can be reached; raises AccessNotRecordedError too."""
    try:
        yield
    except AccessNotRecordedError:
        raise
    except AuditvaultError as error:
        details = {**details, "code": error.code}
        # What the caller named is no region until the tenant is found to be in it: it may be anybody's words.
        is_ours = _is_ours(credential, region)
        named = {"region": region} if is_ours else {}
        _record_refusal(credential, here, {**details, **named}, now)
        if is_ours and region != here:
            with suppress(RegionUnavailableError, AccessNotRecordedError):
                region_alias(region)
                _record_refusal(credential, region, {**details, "to_region": here}, now)
        raise


def _is_ours(credential: Credential, region: str) -> bool:
    try:
        place_in(credential.tenant_id, region)
    except PlaceUnknownError:
        return False
    return True


def _record_refusal(
    credential: Credential, region: str, details: dict[str, JsonValue], now: datetime
) -> None:
    act = RecordedAct(
        actor=credential.actor,
        actor_role=None,
        action="read_across",
        outcome="denied",
        details=dict(details),
    )
    record_act(region=region, tenant_id=credential.tenant_id, act=act, now=now)
