"""Checks a whole log: every entry, every tile, the root, and that it extends what was seen before.

Rules kept: docs/spec/bundle.md section 7. Believes nothing that it has not computed; what could
not be had is not checked, and what is wrong does not hold. Where bytes come from is left to
`sources`, keeping the outcome to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import Checkpoint, open_checkpoint
from auditvault.core.tlog.entry import leaf_hash
from auditvault.core.tlog.entry_chain import ChainError, EntryChain
from auditvault.core.tlog.merkle import CompactRange, ProofRootError, verify_consistency
from auditvault.core.tlog.note import MAX_NOTE_SIZE, NoteError, parse_note
from auditvault.core.tlog.tiles import TILE_WIDTH, TileError, consistency_proof, root_at
from auditvault.core.tlog.trust import TrustStore
from auditvault.verifier.follow_state import Followed
from auditvault.verifier.progress import Progress
from auditvault.verifier.pruned import (
    Beginning,
    BeginningMissingError,
    PruneBundleError,
    PruneRecords,
    find_beginning,
    prune_entry,
)
from auditvault.verifier.receipt_checks import Check, Checklist, Outcome
from auditvault.verifier.sources import Source, SourceError, SourceMissingError
from auditvault.verifier.tile_reader import TileComparison, TileReader

_T = TypeVar("_T")


class LogShrankError(AuditvaultError):
    """The newest checkpoint has fewer entries than one that was seen before: a rollback."""

    code: ClassVar[str] = "log_shrank"


class LogExchangedError(AuditvaultError):
    """The place gives another log than the one that was asked for."""

    code: ClassVar[str] = "log_exchanged"


@dataclass(kw_only=True, slots=True)
class Visit:
    """What one visit found."""

    checklist: Checklist
    note: str = ""
    checkpoint: Checkpoint | None = None
    """None until a trusted key was found to have signed it."""
    read: int = 0
    """Entries that were read anew."""
    contradicts: bool = False
    """Whether the checkpoint is not an extension of the one that was kept."""
    followed: Followed | None = None
    """Where the next visit may begin; None unless the root was that of the entries."""
    beginning: Beginning | None = None
    """Where the log begins; None where nothing was missing that was to be read."""


class Follower:
    """Reads one log once."""

    def __init__(
        self,
        source: Source,
        trust: TrustStore,
        *,
        progress: Progress,
        kept: Followed | None = None,
        origin: str | None = None,
        prunes: PruneRecords | None = None,
    ) -> None:
        self._source = source
        self._reader = TileReader(source)
        self._trust = trust
        self._progress = progress
        self._kept = kept
        self._origin = kept.checkpoint.origin if kept and origin is None else origin
        self._prunes = prunes
        self._visit = Visit(checklist=Checklist())

    def visit(self) -> Visit:
        """Run all steps that can be run; never raises for a log that does not hold."""
        checkpoint = self._check_checkpoint()
        self._visit.checkpoint = checkpoint
        if checkpoint is None:
            for name in ("growth", "entries", "root", "tiles"):
                self._visit.checklist.skip(name, "needs a checkpoint that holds")
            return self._visit
        self._progress.total = checkpoint.size
        self._check_growth(checkpoint)
        self._check_log(checkpoint)
        return self._visit

    def _check_checkpoint(self) -> Checkpoint | None:
        return self._run(
            "checkpoint",
            self._read_checkpoint,
            lambda checkpoint: f"{checkpoint.size} entries, signed by a key of the trust file",
        )

    def _read_checkpoint(self) -> Checkpoint:
        try:
            self._visit.note = self._source.read("checkpoint", MAX_NOTE_SIZE).decode()
        except UnicodeDecodeError:
            raise NoteError("a note is Unicode text") from None
        # Which log it is of is read unverified, to find the keys that are trusted for it.
        origin = Checkpoint.parse(parse_note(self._visit.note)[0]).origin
        if self._origin is not None and origin != self._origin:
            raise LogExchangedError("the checkpoint is of another log than the one asked for")
        verifiers = self._trust.verifiers_for(origin)
        if not verifiers:
            raise _NoKeyError("the trust file has no key for this log")
        return open_checkpoint(self._visit.note, origin=origin, verifiers=verifiers)

    def _check_growth(self, checkpoint: Checkpoint) -> None:
        kept = self._kept
        if kept is None:
            reason = "no earlier visit is known (--state): others may see another log"
            self._visit.checklist.skip("growth", reason, needed=False)
            return
        self._run(
            "growth",
            lambda: self._grown(kept, checkpoint),
            lambda size: f"it extends the {size} entries of the last visit",
        )

    def _grown(self, kept: Followed, new: Checkpoint) -> int:
        verifiers = self._trust.verifiers_for(new.origin)
        try:
            old = open_checkpoint(kept.note, origin=new.origin, verifiers=verifiers)
        except AuditvaultError as error:
            raise _NoKeyError(f"the state's checkpoint cannot be used: {error.message}") from error
        if new.size < old.size:
            self._visit.contradicts = True
            raise LogShrankError(f"it has {new.size} entries, and had {old.size}")
        proof = consistency_proof(old.size, new.size, self._reader.fetch)
        try:
            verify_consistency(
                old_size=old.size,
                new_size=new.size,
                old_root=old.root,
                new_root=new.root,
                proof=proof,
            )
        except ProofRootError:
            self._visit.contradicts = True
            raise
        return old.size

    def _check_log(self, checkpoint: Checkpoint) -> None:
        kept = None if self._visit.contradicts else self._kept
        walk = self._run("entries", lambda: self._walked(checkpoint, kept), _walk_detail)
        if walk is None:
            for name in ("root", "tiles"):
                self._visit.checklist.skip(name, "needs entries that hold")
            return
        self._visit.read = checkpoint.size - walk.first
        self._run(
            "root",
            lambda: self._check_root(checkpoint, walk.chain),
            lambda _: f"the entries lead to the root {checkpoint.root.hex()[:16]}...",
        )
        self._run(
            "tiles",
            lambda: walk.check_tiles(checkpoint),
            lambda count: f"{count} compared with the entries; they lead to the root",
        )
        if self._visit.beginning is not None:
            self._check_beginning(checkpoint, self._visit.beginning.minimum, walk)

    def _walked(self, checkpoint: Checkpoint, kept: Followed | None) -> _Walk:
        """Read from where the last visit ended, or from the first entry that is there."""
        chain = EntryChain(
            checkpoint.origin,
            kept.tree() if kept else CompactRange(),
            prev=kept.leaf if kept else None,
            time=kept.time if kept else "",
        )
        walk = _Walk(self._reader, chain, checkpoint.size, self._progress)
        try:
            walk.run()
        except BeginningMissingError:
            begin = find_beginning(self._reader, walk.first, checkpoint.size)
            chain = EntryChain(checkpoint.origin, begin.tree, prev=begin.leaf)
            walk = _Walk(self._reader, chain, checkpoint.size, self._progress, begin)
            walk.run()
            self._visit.beginning = begin
        return walk

    def _check_beginning(self, checkpoint: Checkpoint, minimum: int, walk: _Walk) -> None:
        """Has the log said itself that it gives up what is not there? Only a bundle can tell."""
        checklist, records = self._visit.checklist, self._prunes
        if records is None:
            said = (
                "and no later one says why: cut, or not all here"
                if walk.prune_index is None
                else f"entry {walk.prune_index} says: pruned. Give its record (--prunes)"
            )
            checklist.skip("beginning", f"entries below {minimum} are gone, {said}")
            return
        verifiers = self._trust.verifiers_for(checkpoint.origin)
        try:
            proved = records.check(checkpoint, verifiers, self._reader)
        except (SourceError, PruneBundleError) as error:
            checklist.skip("beginning", error.message)
        except AuditvaultError as error:
            checklist.fail("beginning", error)
        else:
            given_up = proved[-1].record.minimum if proved else 0
            if minimum > given_up:
                reason = f"entries below {minimum} are gone; the log gave up those below {given_up}"
                checklist.skip("beginning", f"{reason}, as far as the bundle has it")
            else:
                checklist.hold(
                    "beginning", f"the log itself said that it gives up those below {given_up}"
                )

    def _check_root(self, checkpoint: Checkpoint, chain: EntryChain) -> bool:
        if chain.tree.root() != checkpoint.root:
            raise ProofRootError("the entries lead to another root")
        self._visit.followed = Followed(
            note=self._visit.note,
            nodes=chain.tree.to_bytes(),
            leaf=chain.prev or b"" if chain.tree.size else b"",
            time=chain.time,
        )
        return True

    def _run(self, name: str, step: Callable[[], _T], detail: Callable[[_T], str]) -> _T | None:
        """Run a step; what could not be had is not checked, what is wrong does not hold."""
        checklist = self._visit.checklist
        try:
            value = step()
        except (SourceError, _NoKeyError) as error:
            checklist.skip(name, error.message)
            return None
        except AuditvaultError as error:
            outcome = Outcome.DOES_NOT_HOLD
            checklist.checks.append(
                Check(name=name, outcome=outcome, detail=error.message, code=error.code)
            )
            return None
        checklist.checks.append(Check(name=name, outcome=Outcome.HOLDS, detail=detail(value)))
        return value


def _walk_detail(walk: _Walk) -> str:
    count = walk.size - walk.first
    return f"{count} read from {walk.first} on, each naming the one before"


class _Walk:
    """Goes over the entries behind `chain`, up to the tree's size, and compares tiles on the way.

    `begin` has compared the tiles before the first entry; without it earlier visits have.
    """

    def __init__(
        self,
        reader: TileReader,
        chain: EntryChain,
        size: int,
        progress: Progress,
        begin: Beginning | None = None,
    ) -> None:
        self._reader = reader
        self.chain = chain
        self.size = size
        self._progress = progress
        self.first = chain.tree.size
        self._may_begin_later = begin is None
        self._tiles = TileComparison(reader, self.first - self.first % TILE_WIDTH)
        self._tile_error: AuditvaultError | None = None
        if begin is not None:
            # What was wrong with them is said when all entries have been read.
            self._tiles, self._tile_error = begin.tiles, begin.tile_error
        self.prune_index: int | None = None
        """The newest entry by which the log gave something up."""

    def run(self) -> None:
        """Read them; raises what reading or checking raises, and BeginningMissingError for the first of them."""
        for start in range(self.first - self.first % TILE_WIDTH, self.size, TILE_WIDTH):
            width = min(TILE_WIDTH, self.size - start)
            self._take(start, self._entries(start, width))
            self._progress(start + width)

    def _entries(self, start: int, width: int) -> Sequence[bytes]:
        try:
            return self._reader.entries(start // TILE_WIDTH, width)
        except SourceMissingError as error:
            # A prune drops whole bundles, and never the last.
            if not self._may_begin_later or start + TILE_WIDTH > self.size or start > self.first:
                raise
            raise BeginningMissingError(error.message) from None

    def check_tiles(self, checkpoint: Checkpoint) -> int:
        """Return how many tiles were those of the entries; raises TileError, SourceError."""
        if self._tile_error is not None:
            raise self._tile_error
        self._tiles.finish()
        if root_at(checkpoint.size, self._reader.fetch) != checkpoint.root:
            raise TileError("the tiles lead to another root")
        return self._tiles.count

    def _take(self, start: int, entries: Sequence[bytes]) -> None:
        seen = max(0, self.first - start)
        leaves = [leaf_hash(data) for data in entries[:seen]]
        if leaves:
            self._check_seen(leaves)
        leaves += self.chain.extend(entries[seen:])
        place = prune_entry(entries)
        if place is not None:
            self.prune_index = start + place
        if self._tile_error is None:
            try:
                self._tiles.add(leaves)
            except AuditvaultError as error:
                self._tile_error = error  # said when all entries have been read

    def _check_seen(self, leaves: Sequence[bytes]) -> None:
        """The entries of the last tile that earlier visits have read are still the same."""
        tree = CompactRange()
        tree.extend(leaves)
        if self.chain.tree.nodes[-len(tree.nodes) :] != tree.nodes:
            raise ChainError(f"an entry before {self.first} is not the one that was seen")


class _NoKeyError(AuditvaultError):
    """A signature could not be checked for want of a key; it never leaves this module."""
