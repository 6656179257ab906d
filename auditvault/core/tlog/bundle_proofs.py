"""One entry's own proof out of a bundle: what to hand on when the rest is nobody else's business.

Rules kept: docs/spec/bundle.md section 4. Every sibling on an entry's path consists of the bundle's
leaves and of the subtrees in its range proof, so nothing else is needed. It says no more than the
bundle did: verify the bundle first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditvault.core.tlog.bundle import Bundle
from auditvault.core.tlog.entry import leaf_hash
from auditvault.core.tlog.merkle import ProofIndexError, node_hash, root_of
from auditvault.core.tlog.tlog_proof import TlogProof


def entry_proof(bundle: Bundle, index: int) -> TlogProof:
    """Return the C2SP tlog-proof of the entry at `index`.

    Raises ProofIndexError for an index outside the bundle's range, EntryBundleError or ArchiveError
    for a bundle that is damaged.
    """
    scope = bundle.scope
    if not scope.first <= index < scope.end:
        raise ProofIndexError(f"the bundle holds the entries {scope.first} to {scope.end - 1}")
    entries = [entry for part in scope.parts() for entry in bundle.entries(part)]
    tree = _Tree(scope.first, [leaf_hash(entry) for entry in entries], bundle.outside())
    return TlogProof(
        index=index,
        hashes=tuple(tree.path(index, scope.size)),
        checkpoint=bundle.checkpoint,
        entry=entries[index - scope.first],
    )


class _Tree:
    """The log's tree, as far as leaves from `first` on and whole subtrees outside them say."""

    def __init__(
        self, first: int, leaves: Sequence[bytes], outside: Mapping[tuple[int, int], bytes]
    ) -> None:
        self._first = first
        self._leaves = leaves
        self._outside = outside

    def path(self, index: int, size: int) -> list[bytes]:
        """The siblings from the leaf up: RFC 9162 section 2.1.3.1, from the root down."""
        siblings: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            middle = _middle(start, end)
            if index < middle:
                siblings.append(self._node(middle, end))
                end = middle
            else:
                siblings.append(self._node(start, middle))
                start = middle
        return siblings[::-1]

    def _node(self, start: int, end: int) -> bytes:
        known = self._outside.get((start, end))
        if known is not None:
            return known
        begin, stop = start - self._first, end - self._first
        if begin >= 0 and stop <= len(self._leaves):
            return root_of(self._leaves[begin:stop])
        middle = _middle(start, end)
        return node_hash(self._node(start, middle), self._node(middle, end))


def _middle(start: int, end: int) -> int:
    return start + (1 << ((end - start - 1).bit_length() - 1))
