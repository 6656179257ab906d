"""Rebuilding the tree of a log, and telling which entry is the bad one where its witnesses disagree.

Four things say what the leaf of an entry is: the entry itself, its stored leaf hash, the next entry's `prev`, and the
tile. While they agree there is one tree. Where they disagree for the first time, the tree is built on in several
readings, and the signed roots say which was signed. So an edited entry is named itself, not those that come after it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from auditvault.core.tlog.merkle import CompactRange, split_hashes
from auditvault.core.tlog.tiles import TILE_WIDTH
from auditvault.evidence.verification_prune import Beginning


class Reading:
    """One belief about what the leaves are: its tree, its full tiles, and the signed roots it contradicts."""

    def __init__(self, begin: Beginning) -> None:
        self._tree = CompactRange(begin.tree.size, begin.tree.nodes)
        self._tile: list[bytes] = []
        self._pending: list[bytes] = []
        self.tiles: list[bytes] = []
        self.last = begin.leaf
        # How many signed roots it agrees with since it went its own way, and the first size where it does not.
        self.agreed = 0
        self.contradicted: int | None = None
        # The first index at which it does not believe the entry.
        self.differs: int | None = None
        # A leaf is unknown: from there on it has no tree.
        self.lost = False

    def fork(self) -> Reading:
        """Another reading that has believed the same so far."""
        other = Reading(Beginning(tree=self._tree))
        other._tile, other._pending = self._tile.copy(), self._pending.copy()
        other.tiles, other.last = self.tiles.copy(), self.last
        other.contradicted = self.contradicted
        return other

    def add(self, leaf: bytes) -> None:
        """The next leaf, which everything agrees on."""
        self._pending.append(leaf)

    def believe(self, index: int, leaf: bytes | None, entry_leaf: bytes | None) -> None:
        """The next leaf as this reading has it, None where it knows none; `entry_leaf` is the entry's own."""
        if leaf is None:
            self.lost = True
            return
        if entry_leaf is not None and leaf != entry_leaf and self.differs is None:
            self.differs = index
        self._pending.append(leaf)

    def settle(self) -> None:
        """Build what was added into the tree. To be called at each multiple of a tile's width."""
        if self.lost or not self._pending:
            return
        self._tree.extend(self._pending)
        self._tile += self._pending
        self.last = self._pending[-1]
        if len(self._tile) == TILE_WIDTH:
            self.tiles.append(b"".join(self._tile))
            self._tile = []
        self._pending = []

    def compare(self, size: int, roots: Collection[bytes]) -> None:
        """Compare with the roots that were signed for `size` entries."""
        if self.lost:
            return
        if all(root == self._tree.root() for root in roots):
            self.agreed += 1
        elif self.contradicted is None:
            self.contradicted = size

    def root(self) -> bytes:
        """The root of what was built."""
        return self._tree.root()

    def leaves(self) -> list[bytes]:
        """The leaf hashes of its full tiles."""
        return split_hashes(b"".join(self.tiles))

    def rank(self, head_root: bytes | None) -> tuple[bool, int, bool]:
        """How much speaks for it, the weightiest first."""
        is_possible = not self.lost and self.contradicted is None
        return is_possible, self.agreed, is_possible and self.root() == head_root


class Readings:
    """One reading while everything agrees, several from the first disagreement on."""

    def __init__(self, signed: Mapping[int, Collection[bytes]], begin: Beginning) -> None:
        """`signed` has the roots that were signed, by size."""
        self._signed = signed
        self.entries = Reading(begin)
        self._others: tuple[Reading, ...] = ()
        self._last_dispute = -1

    def add(self, leaf: bytes) -> None:
        """The next leaf, where entry, stored hash and the next entry agree."""
        self.entries.add(leaf)
        for reading in self._others:
            reading.add(leaf)

    def dispute(
        self,
        index: int,
        *,
        entry: bytes | None,
        stored: bytes | None,
        claimed: bytes | None,
        tile: bytes | None,
    ) -> None:
        """The next leaf, where they do not: each as far as there is one."""
        if not self._others:
            # What went before cannot tell them apart.
            self.entries.agreed = 0
            self._others = tuple(self.entries.fork() for _ in range(4))
        by_next, by_tile, by_stored, by_run = self._others
        self.entries.believe(index, entry, entry)
        by_next.believe(index, claimed, entry)
        by_tile.believe(index, tile or claimed, entry)
        by_stored.believe(index, stored, entry)
        # An entry that is itself disputed is no witness against the one before it.
        is_first = self._last_dispute != index - 1
        by_run.believe(index, entry if is_first else claimed, entry)
        self._last_dispute = index

    def lose(self, index: int) -> None:
        """So many leaves are missing that there is nothing to build on."""
        self.dispute(index, entry=None, stored=None, claimed=None, tile=None)

    def reached(self, size: int) -> None:
        """To be called when the tree has grown to `size`, which is a multiple of a tile's width or was signed."""
        for reading in (self.entries, *self._others):
            reading.settle()
            if size in self._signed:
                reading.compare(size, self._signed[size])

    def is_of_entries(self, reading: Reading) -> bool:
        """Whether it is the one that believes the entries themselves."""
        return reading is self.entries

    def chosen(self, head_root: bytes | None) -> Reading:
        """The reading that was signed; the entries' own where none was, or where it is as good as another."""
        readings = (self.entries, *self._others)
        best = max(readings, key=lambda reading: reading.rank(head_root))
        return best if best.rank(head_root)[0] else self.entries
