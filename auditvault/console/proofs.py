"""A receipt as people read it, and whether it holds.

The checks are the receipt's own (docs/spec/receipt.md section 3), under the verifier keys that this server was
configured with. That is the server's word about itself: the page says so, and offers the receipt for a check elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import orjson
from django.conf import settings

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.entry import Entry
from auditvault.core.tlog.log_key import log_verifiers
from auditvault.core.tlog.merkle import node_hash
from auditvault.core.tlog.note import LogVerifier, NoteUntrustedError
from auditvault.core.tlog.proof import Receipt, ReceiptPendingError
from auditvault.evidence.verification import VerificationUnavailableError, read_log_keys

_T = TypeVar("_T")
Outcome = Literal["holds", "does_not_hold", "not_checked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStep:
    """One step from the leaf to the root: the sibling, on which side it stands, and the node above both."""

    side: Literal["left", "right"]
    sibling: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was checked."""

    name: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofView:
    """What the page shows of a receipt."""

    state: Literal["holds", "does_not_hold", "not_checked", "pending"]
    checks: list[Check]
    log: str
    index: int
    leaf_hash: str
    previous_hash: str | None
    recorded_at: str | None
    entry_type: str | None
    source: str | None
    commitment: str | None
    size: int | None
    root: str | None
    note: str | None
    path: list[PathStep]


def view_of(members: dict[str, Any]) -> ProofView:
    """Check a receipt's members and lay them out; a check that fails is shown, never raised."""
    receipt = Receipt.from_json(orjson.dumps(members))
    checks, entry, checkpoint = _checked(receipt)
    proof = receipt.inclusion_proof
    return ProofView(
        state=_state(receipt, checks),
        checks=checks,
        log=receipt.log,
        index=receipt.index,
        leaf_hash=receipt.leaf_hash.hex(),
        previous_hash=entry.prev.hex() if entry else None,
        recorded_at=entry.recorded_at if entry else None,
        entry_type=entry.type if entry else None,
        source=entry.src if entry else None,
        commitment=entry.commitment.hex() if entry else None,
        size=proof.size if proof else None,
        root=checkpoint.root.hex() if checkpoint else None,
        note=receipt.checkpoint,
        path=path_of(
            leaf=receipt.leaf_hash, index=receipt.index, size=proof.size, siblings=proof.hashes
        )
        if proof
        else [],
    )


def path_of(*, leaf: bytes, index: int, size: int, siblings: tuple[bytes, ...]) -> list[PathStep]:
    """The steps of an inclusion proof, from the leaf up (RFC 9162 section 2.1.3.2); it decides nothing."""
    steps = []
    node, last, computed = index, size - 1, leaf
    for sibling in siblings:
        on_left = bool(node & 1) or node == last
        computed = node_hash(sibling, computed) if on_left else node_hash(computed, sibling)
        if on_left:
            # On the right edge, levels where the node has no sibling are passed over.
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
        steps.append(
            PathStep(
                side="left" if on_left else "right", sibling=sibling.hex(), node=computed.hex()
            )
        )
    return steps


def _checked(receipt: Receipt) -> tuple[list[Check], Entry | None, Checkpoint | None]:
    checks: list[Check] = []

    entry = _step(checks, "The entry is one of this log, at this index", receipt.check_entry)
    _step(checks, "The leaf hash is the entry's", receipt.check_leaf_hash)
    checkpoint = None
    if receipt.checkpoint is not None:
        checkpoint = _step(
            checks,
            "The checkpoint is signed by this log's signer",
            lambda: receipt.check_checkpoint(_verifiers(receipt.log)),
        )
        if checkpoint is not None:
            signed = checkpoint
            _step(
                checks,
                "The path leads from the leaf to the checkpoint's root",
                lambda: receipt.check_inclusion(signed),
            )
    if entry is not None and receipt.header is not None:
        known = entry
        _step(
            checks,
            "The header shown here is the one that the entry commits to",
            lambda: receipt.check_header(known),
        )
    return checks, entry, checkpoint


def _step(checks: list[Check], name: str, work: Callable[[], _T]) -> _T | None:
    """Do one check and note its outcome; the result, or None where it did not hold."""
    try:
        result = work()
    except (NoteUntrustedError, VerificationUnavailableError, ReceiptPendingError) as error:
        checks.append(Check(name=name, outcome="not_checked", detail=error.message))
    except AuditvaultError as error:
        checks.append(Check(name=name, outcome="does_not_hold", detail=error.message))
    else:
        checks.append(Check(name=name, outcome="holds", detail=""))
        return result
    return None


def _state(
    receipt: Receipt, checks: list[Check]
) -> Literal["holds", "does_not_hold", "not_checked", "pending"]:
    outcomes = {check.outcome for check in checks}
    if "does_not_hold" in outcomes:
        return "does_not_hold"
    if receipt.checkpoint is None:
        return "pending"
    return "not_checked" if "not_checked" in outcomes else "holds"


def _verifiers(origin: str) -> list[LogVerifier]:
    if not settings.LOG_VKEYS_FILE:
        raise VerificationUnavailableError(
            "This server has no verifier keys (AUDITVAULT_LOG_VKEYS_FILE)."
        )
    return log_verifiers(origin, read_log_keys(Path(settings.LOG_VKEYS_FILE)))
