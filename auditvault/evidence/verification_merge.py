"""The ranges of one log put together: chain at the seams, the tree over them, and what was signed.

No database and no entries in here. As long as every range agrees with itself and with those before it, the log is what
a walk over it from its first entry would find whole. At the first disagreement that walk is due, over the whole log
and whatever an earlier run has kept of it: it alone tells which claim is the wrong one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from auditvault.core.tlog.entry import ZERO_HASH
from auditvault.core.tlog.merkle import EMPTY_ROOT, CompactRange, fold, perfect_root, root_of
from auditvault.core.tlog.tiles import TILE_WIDTH
from auditvault.evidence.verification_plan import LogTask, Plan
from auditvault.evidence.verification_prune import Beginning
from auditvault.evidence.verification_range import Link, RangeResult, RangeTask
from auditvault.evidence.verification_report import Report
from auditvault.evidence.verification_walk import HeadRow

UNREAD = bytes(32)
"""In the place of a digest that nothing has: a range that was pruned before it was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A whole range in which nothing was found, nor in any before it, and that a signed root covers."""

    root: bytes
    leaf: bytes
    """Leaf hash of its last entry."""
    time: str
    """`t` of its last entry."""
    against: bytes
    """Digest of the signed roots that it was compared with."""
    headers: int
    payloads: int | None
    """Contents that were opened; None where none was to be."""
    payloads_gone: int
    at: str
    """When the run began that read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndTask:
    """What is left to do for a log when its ranges are done; goes to another process."""

    of: LogTask
    head: HeadRow | None
    signed: dict[int, set[bytes]]
    begin: Beginning
    report: Report
    size: int | None
    """How many entries agree with everything; None where the entries must be walked."""
    whole: Sequence[bytes]
    """Roots of the whole ranges: the hashes of tiles of which no range has more than one."""


class Merge:
    """Takes the results of one log's ranges, in order."""

    def __init__(self, plan: Plan, kept: Sequence[Verified], *, at: str) -> None:
        """`kept` is what an earlier run has verified, from the first range on; `at` is when this one began."""
        self.report = plan.found
        self.verified: list[Verified] = []
        # Whole ranges that no signed root has covered yet: until one does, they may be what was rewritten.
        self._unsigned: list[Verified] = []
        self.agrees = True
        self._plan = plan
        self._at = at
        self.span = plan.task.span
        # What was verified before is one more witness, whether or not it must be read again.
        self._signed = {size: set(roots) for size, roots in plan.signed.items()}
        if kept:
            roots = self._signed.setdefault(len(kept) * self.span, set())
            roots.add(root_of([verified.root for verified in kept]))
        self._signed_sizes = sorted(self._signed)
        self._whole: list[bytes] = []
        self._over = CompactRange()  # over the whole ranges: its leaves are their roots
        self._root = EMPTY_ROOT
        self._size, self._leaf, self._time = 0, ZERO_HASH, ""
        if plan.task.with_payloads:
            self.report.payloads = 0
        if plan.begin.first:
            kept = self._begin(plan.begin, kept)
        self._pruned = len(self.verified)
        for verified in kept:
            if not self._adopt(verified):
                break
        self.read_from = self._size

    def tasks(self) -> list[RangeTask]:
        """The ranges that are to be read."""
        return [
            RangeTask(of=self._plan.task, start=start, sizes=self._sizes(start))
            for start in self._plan.starts
            if start >= self.read_from
        ]

    def take(self, result: RangeResult) -> None:
        """The next range's result."""
        self.report.add(result.found)
        link = result.link
        if link is None or not self.agrees or not self._follows(result.start, link):
            self.agrees = False
            return
        own_root = fold(link.nodes[link.size])
        self._root = fold([*self._over.nodes, *link.nodes[link.size]])
        self._size, self._leaf, self._time = link.size, link.last_leaf, link.last_time
        if link.size == result.start + self.span:
            self._whole.append(own_root)
            self._over.append(own_root)
            self._keep(result, own_root)
        self._confirm(result.start)

    def end(self) -> EndTask:
        """What is left to do, after all results."""
        plan = self._plan
        if self.read_from > plan.begin.first:
            self.report.notes.append(self._said())
        return EndTask(
            of=plan.task,
            head=plan.head,
            signed=self._signed,
            report=self.report,
            begin=plan.begin,
            size=self._size if self.agrees and self._fits_end() else None,
            whole=[*self._whole],
        )

    def _begin(self, begin: Beginning, kept: Sequence[Verified]) -> Sequence[Verified]:
        """Go on where the log was pruned to, if a range begins there; otherwise the walk does.

        Returns what an earlier run has kept from there on. What it kept of ranges that have gone stays in the state. Of
        those that it had not read there stands their root, compared with nothing: should they come back, they are read.
        """
        if begin.first % self.span:
            self.agrees = False
            return ()
        tiles = self.span // TILE_WIDTH
        self._over = CompactRange(begin.first // self.span, begin.tree.nodes)
        self._whole += [
            perfect_root(begin.whole[at : at + tiles]) for at in range(0, len(begin.whole), tiles)
        ]
        self._root = begin.tree.root()
        self._size, self._leaf, self._time = begin.first, begin.leaf, begin.time
        gone = len(self._whole)
        for place, (known, root) in enumerate(zip(kept, self._whole, strict=False)):
            if known.root != root:
                self.report.bad("checkpoint_root", (place + 1) * self.span - 1)
                return ()
        unread = [self._unread(root) for root in self._whole[len(kept) :]]
        self.verified += [*kept[:gone], *unread]
        return kept[gone:]

    def _unread(self, root: bytes) -> Verified:
        return Verified(
            root=root,
            leaf=ZERO_HASH,
            time="",
            against=UNREAD,
            headers=0,
            payloads=None,
            payloads_gone=0,
            at=self._at,
        )

    def _adopt(self, verified: Verified) -> bool:
        """Take a range as read before, if it was compared with what there is to compare it with today."""
        if verified.against != self._against(self._size) or (
            self._plan.task.with_payloads and verified.payloads is None
        ):
            return False
        self.verified.append(verified)
        self._whole.append(verified.root)
        self._over.append(verified.root)
        self._root = self._over.root()
        self._size += self.span
        self._leaf, self._time = verified.leaf, verified.time
        report = self.report
        report.headers += verified.headers
        if report.payloads is not None:
            report.payloads += verified.payloads or 0
            report.payloads_gone += verified.payloads_gone
        return True

    def _keep(self, result: RangeResult, root: bytes) -> None:
        """Keep a range for the next run, if nothing was found in it and all before it are kept."""
        found = result.found
        if found.holds and self._known() * self.span == result.start:
            self._unsigned.append(
                Verified(
                    root=root,
                    leaf=self._leaf,
                    time=self._time,
                    against=self._against(result.start),
                    headers=found.headers,
                    payloads=found.payloads,
                    payloads_gone=found.payloads_gone,
                    at=self._at,
                )
            )

    def _known(self) -> int:
        return len(self.verified) + len(self._unsigned)

    def _confirm(self, start: int) -> None:
        """The signed roots within a range were compared: they speak for the ranges that they cover."""
        covered = max((size for size in self._sizes(start) if size <= self._size), default=0)
        while self._unsigned and (len(self.verified) + 1) * self.span <= covered:
            self.verified.append(self._unsigned.pop(0))

    def _follows(self, start: int, link: Link) -> bool:
        """Whether a range joins the one before it, and the tree so far is what was signed."""
        return (
            start == self._size
            and link.first_prev == self._leaf
            and link.first_time >= self._time
            and all(
                signed == {fold([*self._over.nodes, *link.nodes[size]])}
                for size, signed in self._signed_in(start)
                if size <= link.size
            )
        )

    def _fits_end(self) -> bool:
        head = self._plan.head
        return (
            head is not None
            and (head.size, head.last_leaf, head.root) == (self._size, self._leaf, self._root)
            and max(self._signed_sizes, default=0) <= self._size
        )

    def _sizes(self, start: int) -> list[int]:
        """Sizes at which a root was signed and that are reached within the range."""
        first = bisect_right(self._signed_sizes, start)
        return self._signed_sizes[first : bisect_right(self._signed_sizes, start + self.span)]

    def _signed_in(self, start: int) -> list[tuple[int, set[bytes]]]:
        return [(size, self._signed[size]) for size in self._sizes(start)]

    def _against(self, start: int) -> bytes:
        """Digest of all that was signed within a range. Its tree is not known any more, so a new root means reading."""
        lines = [
            f"{size} {root.hex()}\n"
            for size in self._sizes(start)
            for root in sorted(self._plan.signed.get(size, ()))
        ]
        return sha256("".join(lines).encode()).digest()

    def _said(self) -> str:
        taken = self.verified[self._pruned : self.read_from // self.span]
        return (
            f"{self._plan.task.log.origin}: read from index {self.read_from} on. Earlier entries, tiles, headers and"
            f" contents were taken from the state as verified on {min(item.at for item in taken)} or later."
        )
