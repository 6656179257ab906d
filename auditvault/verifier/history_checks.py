"""Says which keys a bundle's verification accepts, and where each comes from.

Rules kept: docs/spec/bundle.md section 10. A history that does not hold, or that nobody trusted has signed, leaves the
keys of the trust file and nothing else.
"""

from __future__ import annotations

from typing import Any

from auditvault.core.tlog.bundle import Bundle
from auditvault.core.tlog.key_history import HistoryKey, KeyHistory, Signers
from auditvault.core.tlog.note import NoteUntrustedError
from auditvault.core.tlog.origin import region_of
from auditvault.core.tlog.trust import TrustStore
from auditvault.verifier.receipt_checks import Checklist


def check_history(bundle: Bundle, trust: TrustStore, checklist: Checklist) -> KeyHistory | None:
    """Run the step, if the bundle has a history; None where none of it counts."""
    named = trust.followed_in(region_of(bundle.scope.log))
    if not bundle.history_sizes:
        if named:
            reason = "the bundle has none: whether keys came or went is not known from it"
            checklist.skip("history", reason, needed=False)
        return None
    before = len(checklist.checks)
    history = checklist.run("history", lambda: bundle.check_history(trust), _detail)
    if history is None:
        return None
    if not history.signed:
        del checklist.checks[before:]
        reason = "no key that you trust for the operator's log has signed it"
        if named:
            checklist.fail("history", NoteUntrustedError(reason))
        else:
            checklist.skip("history", f"{reason}: nothing of it counts", needed=False)
        return None
    for item in history.keys:
        _say(item, history, checklist)
    return history


def signers_of(bundle: Bundle, trust: TrustStore, history: KeyHistory | None) -> Signers:
    """Return whose signatures count for the bundle's log."""
    log = bundle.scope.log
    return history.signers(log, trust) if history else Signers(current=trust.verifiers_for(log))


def as_members(history: KeyHistory) -> list[dict[str, Any]]:
    """Return the keys for a report for machines."""
    return [
        {
            "algorithm": item.key.algorithm,
            "public_key": item.key.encoded(),
            "key_id": _id(item, history),
            "accepted": bool(item.roots),
            "announced": item.announced,
            "retired": item.retired,
        }
        for item in history.keys
    ]


def _detail(history: KeyHistory) -> str:
    size = history.last.size if history.last else 0
    return f"{size} entries of the operator's log; {history.signed} of {history.steps} checkpoints count"


def _say(item: HistoryKey, history: KeyHistory, checklist: Checklist) -> None:
    what = f"{_id(item, history)} ({item.key.algorithm})"
    ended = f"; retired by entry {item.retired}" if item.retired is not None else ""
    if item.announced is None:
        checklist.hold("key", f"{what}: of your trust file{ended}")
    elif item.roots:
        by = f"entry {item.announced}, under a key that you trust and follow"
        checklist.hold("key", f"{what}: announced by {by}{ended}")
    else:
        reason = "not accepted; nobody whom you follow there vouches for it"
        checklist.skip(
            "key", f"{what}: announced by entry {item.announced}, {reason}{ended}", needed=False
        )


def _id(item: HistoryKey, history: KeyHistory) -> str:
    return item.key.key_id(history.log).hex()
