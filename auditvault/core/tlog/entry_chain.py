"""Goes over entries in order and checks each against its place and the one before it.

Rules kept: docs/spec/entry.md section 2. `EntryRun` checks entries from any index on; `EntryChain` grows the tree as it
goes, so that the caller can compare roots. What the tree is compared with is left to the caller.

An entry after the first of a call is all but determined: its place, its log and the hash before it are known, and
what follows them is shared by entries that were appended together. So it is compared and not read, at an eighth of the
cost; what does not compare is read by its rule, which says what is wrong with it.
"""

from __future__ import annotations

from binascii import hexlify, unhexlify
from collections.abc import Collection, Sequence
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.entry import (
    MAX_INDEX,
    ZERO_HASH,
    EntryError,
    leaf_hash,
    read_end,
    read_fields,
)
from auditvault.core.tlog.merkle import CompactRange

# An entry's bytes: {"c":" and 64 digits, then what is known beforehand, then source, time, type and version.
_HEAD = b'{"c":"'
_KNOWN_AT = len(_HEAD) + 64
_MOST_ENDS = 1024  # known at a time: entries appended together share theirs


class ChainError(AuditvaultError):
    """An entry is not the one that follows; the message names its index."""

    code: ClassVar[str] = "entry_misplaced"


class EntryRun:
    """Entries of `log` that follow one another, from the index `first` on.

    `prev` is the leaf hash before the first of them, or None when that is not known; `time` is the `t` of the entry
    before, or empty. `index` is the one that comes next.
    """

    __slots__ = ("_ends", "_log", "first_prev", "first_time", "index", "prev", "time")

    def __init__(self, log: str, first: int, *, prev: bytes | None = None, time: str = "") -> None:
        self._log = log
        self.index = first
        self.prev = ZERO_HASH if first == 0 else prev
        self.time = time
        self.first_time = ""
        # What the first entry names as the leaf before it.
        self.first_prev = self.prev
        # How entries end that have been read, and their time.
        self._ends: dict[bytes, str] = {}

    def extend(self, entries: Sequence[bytes]) -> list[bytes]:
        """Take the next entries and return their leaf hashes.

        Raises EntryError or ChainError, with the index of the first that is wrong; then this is of no more use.
        """
        leaves: list[bytes] = []
        while len(leaves) < len(entries):
            self._read(entries[len(leaves)], leaves)
            self._compare(entries, leaves)
        return leaves

    def _read(self, data: bytes, leaves: list[bytes]) -> None:
        """Take one entry by its rule."""
        index = self.index
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
        if not self.first_time:
            self.first_time, self.first_prev = fields.recorded_at, fields.prev
        self.time = fields.recorded_at
        self.prev = leaf_hash(data)
        self.index = index + 1
        leaves.append(self.prev)

    def _compare(self, entries: Sequence[bytes], leaves: list[bytes]) -> None:
        """Take entries while each is what it must be; the inner loop."""
        index, prev, time, ends, log = self.index, leaves[-1], self.time, self._ends, self._log
        for at in range(len(leaves), len(entries)):
            data = entries[at]
            known = f'","i":"{index}","log":"{log}","prev":"{prev.hex()}","src":"'.encode()
            end_at = _KNOWN_AT + len(known)
            end = data[end_at:]
            ends_at = ends.get(end) or self._read_end(end)
            if (
                ends_at < time
                or not ends_at
                or data[_KNOWN_AT:end_at] != known
                or not _begins(data)
                or index > MAX_INDEX
            ):
                break
            time = ends_at
            prev = leaf_hash(data)
            leaves.append(prev)
            index += 1
        self.index, self.prev, self.time = index, prev, time

    def _read_end(self, end: bytes) -> str:
        """The time in an end that was not seen before; empty where it is none."""
        time = read_end(self._log, end)
        if time is None:
            return ""
        if len(self._ends) >= _MOST_ENDS:
            self._ends.clear()
        self._ends[end] = time
        return time


def _begins(data: bytes) -> bool:
    """Whether an entry begins with a commitment of 64 lower-case hex digits."""
    digits = data[len(_HEAD) : _KNOWN_AT]
    try:
        return data.startswith(_HEAD) and hexlify(unhexlify(digits)) == digits
    except ValueError:
        return False


class EntryChain:
    """The entries of `log` from the tree's size on.

    `prev` is the leaf hash before the first of them, or None when that is not known; `time` is
    the `t` of the entry before, or empty. Roots at the sizes in `sizes` that are passed are kept.
    """

    __slots__ = ("_run", "_sizes", "roots", "tree")

    def __init__(
        self,
        log: str,
        tree: CompactRange,
        *,
        prev: bytes | None = None,
        time: str = "",
        sizes: Collection[int] = (),
    ) -> None:
        self._sizes = sorted(sizes)
        self._run = EntryRun(log, tree.size, prev=prev, time=time)
        self.tree = tree
        self.roots: dict[int, bytes] = {}
        self._keep_root()

    @property
    def prev(self) -> bytes | None:
        """The leaf hash of the last entry; None when none was taken and none was given."""
        return self._run.prev

    @property
    def time(self) -> str:
        """The time of the last entry."""
        return self._run.time

    @property
    def first_time(self) -> str:
        """The time of the first entry that was taken; empty when none was."""
        return self._run.first_time

    def extend(self, entries: Sequence[bytes]) -> list[bytes]:
        """Take the next entries and return their leaf hashes.

        Raises EntryError or ChainError, with the index of the first that is wrong.
        """
        leaves = self._run.extend(entries)
        start, done = self.tree.size, 0
        for size in [*self._sizes, start + len(leaves)]:
            if start < size <= start + len(leaves):
                self.tree.extend(leaves[done : size - start])
                done = size - start
                self._keep_root()
        return leaves

    def _keep_root(self) -> None:
        if self.tree.size in self._sizes:
            self.roots[self.tree.size] = self.tree.root()
