"""What a retention run is to destroy, as a plan with a digest, and whether the clock allows it.

Pure; the format is that of docs/spec/retention-run.md. Whoever runs it finds the candidates, reads the clocks, and
makes the plan twice: drift shows in the digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from auditvault.core.policy.calendar import Period
from auditvault.core.policy.retention import PolicyLapsedError
from auditvault.core.policy.retention_policy import Facts, RecordClass, RetentionPolicy
from auditvault.core.tlog.canonical import JsonValue, canonical_bytes
from auditvault.core.tlog.entry import leaf_hash
from auditvault.core.tlog.merkle import CompactRange

VERSION = "auditvault/retention-plan/1"
MOST_APART = timedelta(minutes=5)
"""By which the host's and the database's clock may differ, and a witnessed time may lie ahead of them."""
MOST_SILENT = timedelta(days=7)
"""After which the newest witnessed time is too old to say that the clock was not set forward."""


class RunOutcome(StrEnum):
    """How a run ended; of its record."""

    DONE = "done"
    NOTHING_DUE = "nothing_due"
    DRIFTED = "drifted"
    CLOCK_UNTRUSTED = "clock_untrusted"
    POLICY_LAPSED = "policy_lapsed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """What says what time it is; all aware. Whoever was not asked, or says nothing, is left out."""

    host_at: datetime
    database_at: datetime
    recorded: Mapping[str, datetime]
    """Times that this machine's clock showed before, by where: such as the last entry. They refute, never confirm:
    what is appended after the clock was set forward bears its time."""
    witnessed: Mapping[str, datetime]
    """Times that somebody with a clock of their own said, by who: such as a time stamp or a witness."""


def distrust(clocks: Clocks) -> str | None:
    """Name what contradicts the clock; None where nothing does and somebody has confirmed it lately.

    A time that was recorded or witnessed has passed, so a clock behind it was set back. One far ahead of every
    witness may have been set forward, and nothing tells that from a service that was off: a run waits for a fresh one.
    """
    if abs(clocks.host_at - clocks.database_at) > MOST_APART:
        return "database"
    earliest, latest = sorted((clocks.host_at, clocks.database_at))
    for name, at in (*sorted(clocks.recorded.items()), *sorted(clocks.witnessed.items())):
        if at > earliest + MOST_APART:
            return name
    if not clocks.witnessed or latest - max(clocks.witnessed.values()) > MOST_SILENT:
        return "silence"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCounts:
    """Records of one class that are past their time."""

    due: int = 0
    """Held ones are among them: whether a hold covers a record is looked at when it is its turn."""
    shared: int = 0
    """Not to be destroyed, since later records are of them, too."""
    undecided: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """Exactly what a run is to destroy."""

    tenant_id: UUID
    region: str
    policy: str
    """SHA-256 of the document, hex."""
    as_of: date
    """The day in the tenant's zone."""
    candidates: bytes
    """The root of `candidates_root`."""
    counts: Mapping[RecordClass, ClassCounts]

    def body(self) -> bytes:
        """The canonical form that is stored."""
        counts: dict[str, JsonValue] = {
            each.value: {
                "due": count.due,
                "shared": count.shared,
                "undecided": count.undecided,
            }
            for each, count in self.counts.items()
        }
        return canonical_bytes(
            {
                "v": VERSION,
                "tenant": str(self.tenant_id),
                "region": self.region,
                "policy": self.policy,
                "as_of": self.as_of.isoformat(),
                "candidates": self.candidates.hex(),
                "counts": counts,
            }
        )

    def digest(self) -> bytes:
        """What a plan that is made again must have, too."""
        return hashlib.sha256(VERSION.encode() + b"\x00" + self.body()).digest()


def candidates_root(candidates: Iterable[tuple[UUID, RecordClass]]) -> bytes:
    """The root over what is due, ascending by record id and then class; raises ValueError for any other order."""
    tree, last = CompactRange(), None
    for record_id, record_class in candidates:
        key = (record_id.bytes, record_class.value)
        if last is not None and key <= last:
            raise ValueError("Candidates come in ascending order, each once.")
        last = key
        tree.extend([leaf_hash(hashlib.sha256(key[0] + key[1].encode()).digest())])
    return tree.root()


def due_before(policy: RetentionPolicy, facts: Facts, *, today: date) -> date:
    """The first day of which such records are not due today; those of every earlier one are. Holds are not looked at.

    As `retention.dispose`, for all days at once. Raises PolicyLapsedError, UnclassifiedError.
    """
    if policy.lapses_on is not None and today >= policy.lapses_on:
        raise PolicyLapsedError("The policy has lapsed. Nothing goes before there is another.")
    periods = [policy.rule_for(facts).keep]
    periods += [floor.at_least for floor in policy.floors_for(facts)]
    return min(_first_kept(period, today) for period in periods)


def _first_kept(period: Period, today: date) -> date:
    day = today - timedelta(days=period.days_at_most())
    while period.after(day) <= today:
        day += timedelta(days=1)
    return day
