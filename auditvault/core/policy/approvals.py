"""Dual control: what is to be done, by its hash, and whether somebody else has approved exactly that.

Rules kept: docs/spec/approvals.md. Pure: who the human behind an account is, storage, and the entries of each change
are left to `auditvault.access`; so is using an approval up in the transaction of the act.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import ClassVar, NewType
from uuid import UUID

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.roles import AccessDeniedError, Act
from auditvault.core.tlog.canonical import (
    CanonicalFormError,
    JsonValue,
    canonical_bytes,
    parse_canonical,
)

PLAN_VERSION = "auditvault/plan/1"
LIFETIME = timedelta(hours=24)
"""How long an approval may wait to be given and used, at most."""

_MEMBERS = frozenset({"v", "operation", "tenant", "region", "parameters"})

HumanId = NewType("HumanId", UUID)
"""A human, however many accounts and tokens they have."""


class Operation(StrEnum):
    """Something that one person alone must not do."""

    CONTENT_GRANT = "content_grant"
    BULK_EXPORT = "bulk_export"
    CROSS_REGION_READ = "cross_region_read"
    RETENTION_SHORTENED = "retention_shortened"
    EARLY_PURGE = "early_purge"
    HOLD_RELEASE = "hold_release"
    KEY_DESTRUCTION = "key_destruction"
    CHECKPOINT_KEY_CHANGE = "checkpoint_key_change"
    TRUST_CHANGE = "trust_change"


APPROVED_BY: dict[Operation, Act] = {
    Operation.CONTENT_GRANT: Act.APPROVE_GRANT,
    Operation.BULK_EXPORT: Act.APPROVE_EXPORT,
    Operation.CROSS_REGION_READ: Act.APPROVE_EXPORT,
    Operation.RETENTION_SHORTENED: Act.APPROVE_POLICY,
    Operation.EARLY_PURGE: Act.APPROVE_POLICY,
    Operation.HOLD_RELEASE: Act.PLACE_HOLD,
    Operation.KEY_DESTRUCTION: Act.MANAGE_KEYS,
    Operation.CHECKPOINT_KEY_CHANGE: Act.MANAGE_KEYS,
    Operation.TRUST_CHANGE: Act.MANAGE_SINKS,
}
"""The act that whoever approves must be allowed to do."""

REQUESTED_BY: dict[Operation, frozenset[Act]] = {
    Operation.CONTENT_GRANT: frozenset({Act.RESOLVE_FULL}),
    Operation.BULK_EXPORT: frozenset({Act.RESOLVE_FULL, Act.READ_ACCESS_LOG}),
    Operation.CROSS_REGION_READ: frozenset({Act.RESOLVE_FULL}),
    Operation.RETENTION_SHORTENED: frozenset({Act.PROPOSE_POLICY}),
    Operation.EARLY_PURGE: frozenset({Act.PROPOSE_POLICY, Act.RUN_PLATFORM}),
    Operation.HOLD_RELEASE: frozenset({Act.PLACE_HOLD}),
    Operation.KEY_DESTRUCTION: frozenset({Act.MANAGE_KEYS, Act.RUN_PLATFORM}),
    Operation.CHECKPOINT_KEY_CHANGE: frozenset({Act.MANAGE_KEYS, Act.RUN_PLATFORM}),
    Operation.TRUST_CHANGE: frozenset({Act.MANAGE_SINKS, Act.RUN_PLATFORM}),
}
"""The acts of which whoever requests must be allowed to do one."""


class State(StrEnum):
    """Where an approval stands; whether it is expired is a matter of the time."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    USED = "used"


_OPEN = frozenset({State.REQUESTED, State.APPROVED})


class PlanError(AuditvaultError):
    """What should be a plan is none."""

    code: ClassVar[str] = "plan_invalid"


class NotAskerError(AccessDeniedError):
    """Somebody tried to take back what another had asked for."""

    code: ClassVar[str] = "approval_not_yours"


class OwnApprovalError(AuditvaultError):
    """Somebody tried to approve what they had asked for."""

    code: ClassVar[str] = "approval_own"


class ApprovalNotOpenError(AuditvaultError):
    """It was refused, withdrawn, used, or is expired."""

    code: ClassVar[str] = "approval_not_open"


class ApprovalMissingError(AuditvaultError):
    """Nobody has approved it yet."""

    code: ClassVar[str] = "approval_missing"


class ApprovalDriftedError(AuditvaultError):
    """What would be done is not what was approved."""

    code: ClassVar[str] = "approval_drifted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Exactly what will be done."""

    operation: Operation
    tenant_id: UUID
    """The nil UUID where no tenant is meant more than another."""
    region: str
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    """Everything that decides what will happen; nothing personal."""

    def members(self) -> dict[str, JsonValue]:
        """Everything that the digest binds."""
        return {
            "v": PLAN_VERSION,
            "operation": self.operation.value,
            "tenant": str(self.tenant_id),
            "region": self.region,
            "parameters": dict(self.parameters),
        }

    def body(self) -> bytes:
        """Those in canonical form; raises PlanError for parameters that have none."""
        try:
            return canonical_bytes(self.members())
        except CanonicalFormError as error:
            raise PlanError(f"The parameters have no canonical form: {error.message}") from error

    def digest(self) -> bytes:
        """Return the 32 bytes that an approval binds; raises as `body`."""
        return plan_digest(self.body())

    @classmethod
    def parse(cls, body: bytes) -> Plan:
        """The plan of these canonical bytes; raises PlanError."""
        try:
            found = parse_canonical(body)
        except CanonicalFormError as error:
            raise PlanError("A plan is an object in canonical form.") from error
        if not isinstance(found, dict) or found.get("v") != PLAN_VERSION:
            raise PlanError(f"A plan says that it is {PLAN_VERSION}.")
        parameters = found.get("parameters")
        if set(found) != _MEMBERS or not isinstance(parameters, dict):
            raise PlanError(f"A plan has the members {', '.join(sorted(_MEMBERS))}.")
        try:
            return cls(
                operation=Operation(str(found["operation"])),
                tenant_id=UUID(str(found["tenant"])),
                region=str(found["region"]),
                parameters=parameters,
            )
        except ValueError as error:
            raise PlanError("A plan names a known operation and a tenant's id.") from error


def plan_digest(body: bytes) -> bytes:
    """The 32 bytes that an approval of a plan in canonical form binds."""
    return sha256(PLAN_VERSION.encode() + b"\0" + body).digest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """A plan that somebody asked to have approved, and how far that has come."""

    operation: Operation
    plan_digest: bytes
    requested_by: HumanId
    requested_at: datetime
    expires_at: datetime
    state: State = State.REQUESTED
    approved_by: HumanId | None = None

    def approve(self, *, human: HumanId, acts: Collection[Act], now: datetime) -> Approval:
        """Return it approved by `human`, who may do `acts`.

        Raises OwnApprovalError, AccessDeniedError or ApprovalNotOpenError.
        """
        self._check_decision(human, acts, now)
        if self.state is not State.REQUESTED:
            raise ApprovalNotOpenError(f"It is {self.state.value} already.")
        return replace(self, state=State.APPROVED, approved_by=human)

    def refuse(self, *, human: HumanId, acts: Collection[Act], now: datetime) -> Approval:
        """Return it refused; also one that somebody else has approved. Raises as `approve`."""
        self._check_decision(human, acts, now)
        return replace(self, state=State.REFUSED)

    def withdraw(self, *, human: HumanId, now: datetime) -> Approval:
        """Return it withdrawn by who asked; raises AccessDeniedError or ApprovalNotOpenError."""
        if human != self.requested_by:
            raise NotAskerError("Only who asked for it can withdraw it.")
        self._check_open(now)
        return replace(self, state=State.WITHDRAWN)

    def use(self, plan: Plan, *, now: datetime) -> Approval:
        """Return it used up for `plan`; to be stored in the transaction of the act itself.

        Raises:
            ApprovalDriftedError: the plan is not the approved one.
            ApprovalMissingError: nobody has approved it yet.
            ApprovalNotOpenError: it was refused, withdrawn, used, or is expired.
        """
        self._check_open(now)
        if self.state is not State.APPROVED:
            raise ApprovalMissingError("Somebody else has to approve this first.")
        if plan.operation is not self.operation or plan.digest() != self.plan_digest:
            raise ApprovalDriftedError(
                "What would be done now is not what was approved. Ask again: the new plan has to be looked at."
            )
        return replace(self, state=State.USED)

    def _check_decision(self, human: HumanId, acts: Collection[Act], now: datetime) -> None:
        if human == self.requested_by:
            raise OwnApprovalError("Somebody else has to decide about what you asked for.")
        needed = APPROVED_BY[self.operation]
        if needed not in acts:
            raise AccessDeniedError(f"None of your roles allows {needed.value}.")
        self._check_open(now)

    def _check_open(self, now: datetime) -> None:
        if self.state not in _OPEN:
            raise ApprovalNotOpenError(f"It is {self.state.value} already.")
        if now >= self.expires_at:
            raise ApprovalNotOpenError("It is expired. Ask again.")


def request_approval(
    plan: Plan, *, human: HumanId, now: datetime, lifetime: timedelta = LIFETIME
) -> Approval:
    """Return the request of `human` to have `plan` approved; `lifetime` is cut to LIFETIME."""
    if lifetime <= timedelta():
        raise ApprovalNotOpenError("An approval that is expired at once is none.")
    return Approval(
        operation=plan.operation,
        plan_digest=plan.digest(),
        requested_by=human,
        requested_at=now,
        expires_at=now + min(lifetime, LIFETIME),
    )
