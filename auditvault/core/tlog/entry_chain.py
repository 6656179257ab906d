"""Goes over entries in order and checks each against its place and the one before it.

Rules kept: docs/spec/entry.md section 2. It grows the tree as it goes, so that the caller can
compare roots; what the tree is compared with is left to the caller.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.entry import ZERO_HASH, EntryError, leaf_hash, read_fields
from auditvault.core.tlog.merkle import CompactRange


class ChainError(AuditvaultError):
    """An entry is not the one that follows; the message names its index."""

    code: ClassVar[str] = "entry_misplaced"


class EntryChain:
    """The entries of `log` from the tree's size on.

    `prev` is the leaf hash before the first of them, or None when that is not known; `time` is
    the `t` of the entry before, or empty. Roots at the sizes in `sizes` that are passed are kept.
    """

    __slots__ = ("_log", "_sizes", "first_time", "prev", "roots", "time", "tree")

    def __init__(
        self,
        log: str,
        tree: CompactRange,
        *,
        prev: bytes | None = None,
        time: str = "",
        sizes: Collection[int] = (),
    ) -> None:
        self._log = log
        self._sizes = sorted(sizes)
        self.tree = tree
        self.prev = ZERO_HASH if tree.size == 0 else prev
        self.time = time
        self.first_time = ""
        self.roots: dict[int, bytes] = {}
        self._keep_root()

    def extend(self, entries: Sequence[bytes]) -> list[bytes]:
        """Take the next entries and return their leaf hashes.

        Raises EntryError or ChainError, with the index of the first that is wrong.
        """
        leaves: list[bytes] = []
        for index, data in enumerate(entries, start=self.tree.size):
            self._check(index, data)
            self.prev = leaf_hash(data)
            leaves.append(self.prev)
        start, done = self.tree.size, 0
        for size in [*self._sizes, start + len(leaves)]:
            if start < size <= start + len(leaves):
                self.tree.extend(leaves[done : size - start])
                done = size - start
                self._keep_root()
        return leaves

    def _check(self, index: int, data: bytes) -> None:
        try:
            fields = read_fields(data)
        except EntryError as error:
            raise EntryError(f"entry {index}: {error.message}") from error
        if fields.log != self._log:
            raise ChainError(f"entry {index} is of another log")
        if fields.index != index:
            raise ChainError(f"entry {index} has another index")
        if self.prev is not None and fields.prev != self.prev:
            raise ChainError(f"entry {index} does not name the entry before it")
        if fields.recorded_at < self.time:
            raise ChainError(f"entry {index} is older than the entry before it")
        self.time = fields.recorded_at
        self.first_time = self.first_time or fields.recorded_at

    def _keep_root(self) -> None:
        if self.tree.size in self._sizes:
            self.roots[self.tree.size] = self.tree.root()
