"""Writes what was checked, what was not and why: for people on one screen, or as JSON.

Rules kept: docs/spec/receipt.md section 4 and bundle.md section 7. Whatever is printed comes from
strictly read values or from this program; no unread text of a receipt, a bundle or a log reaches a
terminal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from auditvault.core.tlog.proof import Receipt
from auditvault.verifier.receipt_checks import Checklist, Outcome

REPORT_VERSION = "auditvault/verification/1"

_WORDS = {
    Outcome.HOLDS: "holds",
    Outcome.DOES_NOT_HOLD: "DOES NOT HOLD",
    Outcome.NOT_CHECKED: "not checked",
}
_VERDICTS = {
    Outcome.HOLDS: "HOLDS: the entry is in the log under a checkpoint that you trust.",
    Outcome.DOES_NOT_HOLD: "DOES NOT HOLD: do not rely on this receipt.",
    Outcome.NOT_CHECKED: "NOT CHECKED: nothing is wrong, but something could not be checked.",
}
_LIMITS = (
    "A receipt cannot show: that nothing else was recorded or left out; that later",
    "checkpoints are consistent with this one; that the service's clock was right; what the",
    "sealed contents were. The interaction id is the service's label, not part of the entry.",
)


def as_text(receipt: Receipt, checklist: Checklist) -> str:
    """Return the report on a receipt for people, newline at the end."""
    facts = {
        "interaction": receipt.interaction_id,
        "log": receipt.log,
        "index": str(receipt.index),
    }
    return page(facts, checklist, limits=_LIMITS, verdict=_VERDICTS[checklist.result()])


def as_json(receipt: Receipt, checklist: Checklist) -> str:
    """Return the report on a receipt for machines, one line."""
    members = {
        "interaction_id": receipt.interaction_id,
        "log": receipt.log,
        "index": receipt.index,
    }
    return document("receipt", members, checklist)


def page(
    facts: Mapping[str, str], checklist: Checklist, *, limits: Sequence[str], verdict: str
) -> str:
    """Return a report for people, newline at the end: facts, steps, limits, verdict."""
    lines = [f"{name:<11}  {value}" for name, value in facts.items()]
    lines.append("")
    for check in checklist.checks:
        code = f" [{check.code}]" if check.code else ""
        lines.append(f"  {_WORDS[check.outcome]:<13}  {check.name:<10}  {check.detail}{code}")
    lines += ["", *limits, "", verdict]
    return "\n".join(lines) + "\n"


def document(subject: str, members: Mapping[str, Any] | None, checklist: Checklist) -> str:
    """Return a report for machines, one line; `subject` names the member that `members` stand in."""
    report = {
        "v": REPORT_VERSION,
        "result": checklist.result().value,
        subject: members,
        "checks": [
            {
                "name": check.name,
                "outcome": check.outcome.value,
                "code": check.code,
                "detail": check.detail,
            }
            for check in checklist.checks
        ],
    }
    return json.dumps(report) + "\n"


def unreadable_as_text(message: str) -> str:
    """Return the report for people when the checks could not begin."""
    return f"NOT CHECKED: {message}\n"


def unreadable_as_json(message: str, code: str, subject: str = "receipt") -> str:
    """Return the report for machines when the checks could not begin."""
    outcome = Outcome.NOT_CHECKED.value
    report = {
        "v": REPORT_VERSION,
        "result": outcome,
        subject: None,
        "checks": [{"name": "input", "outcome": outcome, "code": code, "detail": message}],
    }
    return json.dumps(report) + "\n"
