"""Opens a bundle and runs every step of its verification, as a whole."""

from __future__ import annotations

import io

from auditvault.core.tlog.bundle import Bundle
from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.key_history import Signers
from auditvault.core.tlog.note import NoteVerifier
from tests.reference import bundles, receipts
from tests.reference import merkle_oracle as oracle

VERIFIER = NoteVerifier(receipts.ORIGIN, receipts.PUBLIC_KEY)
LOG = receipts.entries(bundles.SIZE)
LEAVES = [receipts.leaf(data) for data in LOG]
MADE = bundles.members(log=LOG)


def opened(data: bytes) -> Bundle:
    """Open it; raises ArchiveError, BundleError."""
    return Bundle(io.BytesIO(data))


def check(data: bytes, kept: Checkpoint | None = None) -> Bundle:
    """Run every step; raises what the first that fails raises."""
    bundle = opened(data)
    bundle.check_members()
    checkpoint = bundle.check_checkpoint(Signers(current=[VERIFIER]))
    chain = bundle.check_entries([kept.size] if kept else [])
    bundle.check_range(chain, checkpoint)
    if bundle.scope.headers == "included":
        bundle.check_headers()
    if bundle.previous is not None:
        bundle.check_previous(checkpoint, [VERIFIER])
    if kept is not None:
        bundle.check_kept(kept, checkpoint, chain)
    return bundle


def checkpoint_at(size: int, leaves: list[bytes] = LEAVES) -> Checkpoint:
    """The tree of the first `size` leaves."""
    return Checkpoint(origin=receipts.ORIGIN, size=size, root=oracle.tree_hash(leaves[:size]))
