"""Runs the steps of a receipt's verification and keeps what became of each.

Rules kept: docs/spec/receipt.md sections 3 and 4. A step that fails never hides the ones that do
not depend on it, and a step that could not run says why. How the outcome looks is left to
`report`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.entry import Entry
from auditvault.core.tlog.proof import Receipt
from auditvault.core.tlog.trust import TrustStore

_T = TypeVar("_T")


class Outcome(Enum):
    """What became of a step, or of the whole; the value stands in the JSON report."""

    HOLDS = "holds"
    DOES_NOT_HOLD = "does_not_hold"
    NOT_CHECKED = "not_checked"

    @property
    def exit_code(self) -> int:
        """What a command that came to this ends with."""
        return {Outcome.HOLDS: 0, Outcome.DOES_NOT_HOLD: 1, Outcome.NOT_CHECKED: 2}[self]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One step."""

    name: str
    """Its short name: entry, leaf hash, checkpoint, inclusion, header."""
    outcome: Outcome
    detail: str
    """One line for people: what was checked, or why it failed or was not checked."""
    code: str | None = None
    """Stable error code of a failure."""
    needed: bool = True
    """Whether the whole can hold only if this step does."""


@dataclass(kw_only=True, slots=True)
class Checklist:
    """The steps in order."""

    checks: list[Check] = field(default_factory=list)

    def run(self, name: str, step: Callable[[], _T], detail: Callable[[_T], str]) -> _T | None:
        """Run a step that returns a value or raises; None when it did not hold."""
        try:
            value = step()
        except AuditvaultError as error:
            self.fail(name, error)
            return None
        self.hold(name, detail(value))
        return value

    def hold(self, name: str, detail: str) -> None:
        """Note a step that held."""
        self.checks.append(Check(name=name, outcome=Outcome.HOLDS, detail=detail))

    def fail(self, name: str, error: AuditvaultError) -> None:
        """Note a step that did not hold, and why."""
        outcome = Outcome.DOES_NOT_HOLD
        self.checks.append(Check(name=name, outcome=outcome, detail=error.message, code=error.code))

    def skip(self, name: str, reason: str, *, needed: bool = True) -> None:
        """Note a step that could not run."""
        outcome = Outcome.NOT_CHECKED
        self.checks.append(Check(name=name, outcome=outcome, detail=reason, needed=needed))

    def result(self) -> Outcome:
        """Return the whole's outcome: one failure decides, then one missing step."""
        needed = {check.outcome for check in self.checks if check.needed}
        for outcome in (Outcome.DOES_NOT_HOLD, Outcome.NOT_CHECKED):
            if outcome in needed:
                return outcome
        return Outcome.HOLDS


def check_receipt(receipt: Receipt, trust: TrustStore) -> Checklist:
    """Run all steps that can be run; never raises for a receipt that does not hold."""
    checklist = Checklist()
    entry = checklist.run("entry", receipt.check_entry, _entry_detail)
    checklist.run(
        "leaf hash",
        receipt.check_leaf_hash,
        lambda computed: f"{computed.hex()[:16]}... is the entry's",
    )
    checkpoint = _check_checkpoint(checklist, receipt, trust)
    _check_inclusion(checklist, receipt, checkpoint)
    _check_header(checklist, receipt, entry)
    return checklist


def _check_checkpoint(
    checklist: Checklist, receipt: Receipt, trust: TrustStore
) -> Checkpoint | None:
    verifiers = trust.verifiers_for(receipt.log)
    if receipt.checkpoint is None:
        checklist.skip("checkpoint", "pending: the receipt was made before a checkpoint covered it")
        return None
    if not verifiers:
        checklist.skip("checkpoint", "the trust file has no key for this log")
        return None
    return checklist.run(
        "checkpoint",
        lambda: receipt.check_checkpoint(verifiers),
        lambda checkpoint: f"{checkpoint.size} entries, signed by a key of the trust file",
    )


def _check_inclusion(checklist: Checklist, receipt: Receipt, checkpoint: Checkpoint | None) -> None:
    if checkpoint is None:
        checklist.skip("inclusion", "needs a checkpoint that holds")
        return
    checklist.run(
        "inclusion",
        lambda: receipt.check_inclusion(checkpoint),
        lambda _: f"the proof leads from the entry to the root {checkpoint.root.hex()[:16]}...",
    )


def _check_header(checklist: Checklist, receipt: Receipt, entry: Entry | None) -> None:
    if receipt.header is None and receipt.opening is None:
        checklist.skip("header", "no header and no opening were given", needed=False)
    elif receipt.header is None or receipt.opening is None:
        absent = "header" if receipt.header is None else "opening"
        checklist.skip("header", f"the {absent} is missing; both are needed")
    elif entry is None:
        checklist.skip("header", "needs an entry that holds")
    else:
        checklist.run(
            "header",
            lambda: receipt.check_header(entry),
            lambda header: f"the entry commits to this header of {len(header)} fields",
        )


def _entry_detail(entry: Entry) -> str:
    return f"{entry.type} by {entry.src}, recorded {entry.recorded_at}"
