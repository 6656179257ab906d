"""What becomes of one record today, and how a policy is replaced by a shorter one.

Pure. The order in which reasons count (docs/spec/retention-policy.md section 5): a hold, then a law's minimum, then
somebody's right to erasure, then the ceiling, then how long it was to be kept. A minimum of another legal order than
the one that gives the right does not refuse it: a person decides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import Operation, Plan
from auditvault.core.policy.retention_policy import (
    Facts,
    Floor,
    RetentionPolicy,
    shortened,
)

SHORTENING_DELAY = timedelta(days=7)
"""From the approval until a policy that lets something go earlier is in force."""


class PolicyLapsedError(AuditvaultError):
    """The policy is not in force any more, so nothing may go under it."""

    code: ClassVar[str] = "retention_policy_lapsed"


class Outcome(StrEnum):
    """What is to be done with a record."""

    KEEP = "keep"
    DESTROY = "destroy"
    DECIDE = "decide"
    """Nothing, before a person has decided."""


class Because(StrEnum):
    """Why; the first that fits, in this order."""

    HOLD = "hold"
    FLOOR = "floor"
    ERASURE = "erasure"
    CEILING = "ceiling"
    DEFAULT = "default"
    NOT_DUE = "not_due"


class Answer(StrEnum):
    """What a person decided where a minimum met an erasure of another legal order."""

    ERASE = "erase"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureAsked:
    """That somebody has a right to have the record erased, found to be so."""

    legal_order: str
    """Of the law that gives the right."""
    decided: Answer | None = None
    """Where a person has looked at the conflict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposal:
    """What is to be done, why, and what is in the way."""

    outcome: Outcome
    because: Because
    until: date | None = None
    """The first day on which the reason may have gone: of a floor that runs, or of what is not due."""
    floors: tuple[Floor, ...] = ()
    """Those that run."""


def dispose(
    policy: RetentionPolicy,
    facts: Facts,
    *,
    recorded_on: date,
    today: date,
    is_held: bool,
    erasure: ErasureAsked | None = None,
) -> Disposal:
    """What becomes of a record; days are those of the tenant's zone.

    Raises:
        PolicyLapsedError: the policy is not in force on that day.
        UnclassifiedError: the policy does not know the record's class.
    """
    if policy.lapses_on is not None and today >= policy.lapses_on:
        raise PolicyLapsedError("The policy has lapsed. Nothing goes before there is another.")
    rule = policy.rule_for(facts)
    if is_held:
        return Disposal(outcome=Outcome.KEEP, because=Because.HOLD)
    running = [
        floor for floor in policy.floors_for(facts) if today < floor.at_least.after(recorded_on)
    ]
    if running:
        return _under_floors(running, recorded_on, erasure)
    if erasure is not None:
        return Disposal(outcome=Outcome.DESTROY, because=Because.ERASURE)
    if today >= rule.ceiling.after(recorded_on):
        return Disposal(outcome=Outcome.DESTROY, because=Because.CEILING)
    due_on = rule.keep.after(recorded_on)
    if today >= due_on:
        return Disposal(outcome=Outcome.DESTROY, because=Because.DEFAULT)
    return Disposal(outcome=Outcome.KEEP, because=Because.NOT_DUE, until=due_on)


def _under_floors(
    running: Collection[Floor], recorded_on: date, erasure: ErasureAsked | None
) -> Disposal:
    """A floor of the right's own legal order refuses it (GDPR Art. 17(3)(b)); any other asks for a person."""
    kept = Disposal(
        outcome=Outcome.KEEP,
        because=Because.FLOOR,
        until=max(floor.at_least.after(recorded_on) for floor in running),
        floors=tuple(running),
    )
    if erasure is None or any(floor.legal_order == erasure.legal_order for floor in running):
        return kept
    if erasure.decided is Answer.KEEP:
        return kept
    if erasure.decided is Answer.ERASE:
        return Disposal(outcome=Outcome.DESTROY, because=Because.ERASURE, floors=tuple(running))
    return Disposal(
        outcome=Outcome.DECIDE, because=Because.FLOOR, until=kept.until, floors=kept.floors
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A policy that is to replace another."""

    sorts: tuple[Facts, ...]
    """Sorts of records that go earlier, or are protected by less."""
    plan: Plan | None
    """What somebody else has to approve; None where nothing goes earlier."""

    def in_force_at(self, approved_at: datetime) -> datetime:
        """From when on the new policy counts; of a change that needs no approval, at once."""
        return approved_at if self.plan is None else approved_at + SHORTENING_DELAY


def change(
    old: RetentionPolicy | None,
    new: RetentionPolicy,
    *,
    tenant_id: UUID,
    region: str,
    preview: Mapping[str, int],
) -> Change:
    """What replacing `old` by `new` takes; `preview` is the count of records by class that would be due at once.

    Both policies were read from bytes, so that the plan names them by their hashes.
    """
    sorts = tuple(shortened(old, new))
    if not sorts:
        return Change(sorts=(), plan=None)
    plan = Plan(
        operation=Operation.RETENTION_SHORTENED,
        tenant_id=tenant_id,
        region=region,
        parameters={
            "old": old.sha256 if old else "",
            "new": new.sha256,
            "due_at_once": dict(preview),
        },
    )
    return Change(sorts=sorts, plan=plan)
