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
    ) -> None:
        self._source = source
        self._reader = TileReader(source)
        self._trust = trust
        self._progress = progress
        self._kept = kept
        self._origin = kept.checkpoint.origin if kept and origin is None else origin
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
        tree = kept.tree() if kept else CompactRange()
        first = tree.size
        chain = EntryChain(
            checkpoint.origin,
            tree,
            prev=kept.leaf if kept else None,
            time=kept.time if kept else "",
        )
        walk = _Walk(self._reader, chain, checkpoint.size, self._progress)
        read = self._run(
            "entries", walk.run, lambda count: f"{count} read, each naming the one before"
        )
        if read is None:
            for name in ("root", "tiles"):
                self._visit.checklist.skip(name, "needs entries that hold")
            return
        self._visit.read = checkpoint.size - first
        self._run(
            "root",
            lambda: self._check_root(checkpoint, chain),
            lambda _: f"the entries lead to the root {checkpoint.root.hex()[:16]}...",
        )
        self._run(
            "tiles",
            lambda: walk.check_tiles(checkpoint),
            lambda count: f"{count} compared with the entries; they lead to the root",
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


class _Walk:
    """Goes over the entries behind `chain`, up to the tree's size, and compares tiles on the way."""

    def __init__(
        self, reader: TileReader, chain: EntryChain, size: int, progress: Progress
    ) -> None:
        self._reader = reader
        self._chain = chain
        self._size = size
        self._progress = progress
        self._first = chain.tree.size
        self._tiles = TileComparison(reader, self._first - self._first % TILE_WIDTH)
        self._tile_error: AuditvaultError | None = None

    def run(self) -> int:
        """Return how many entries were read anew; raises what reading or checking raises."""
        for start in range(self._first - self._first % TILE_WIDTH, self._size, TILE_WIDTH):
            width = min(TILE_WIDTH, self._size - start)
            self._take(start, self._entries(start, width))
            self._progress(start + width)
        return self._size - self._first

    def _entries(self, start: int, width: int) -> Sequence[bytes]:
        """The bundle at `start`; where it is the first one that is asked for, why it may not be there."""
        try:
            return self._reader.entries(start // TILE_WIDTH, width)
        except SourceMissingError as error:
            if start + TILE_WIDTH > self._size or start > self._first:
                raise
            raise SourceMissingError(
                f"{error.message}. The log was pruned, or its place is not complete: begin from the state of a visit"
                " that got further (--state), or check a bundle, which holds prune records"
            ) from None

    def check_tiles(self, checkpoint: Checkpoint) -> int:
        """Return how many tiles were those of the entries; raises TileError, SourceError."""
        if self._tile_error is not None:
            raise self._tile_error
        self._tiles.finish()
        if root_at(checkpoint.size, self._reader.fetch) != checkpoint.root:
            raise TileError("the tiles lead to another root")
        return self._tiles.count

    def _take(self, start: int, entries: Sequence[bytes]) -> None:
        seen = max(0, self._first - start)
        leaves = [leaf_hash(data) for data in entries[:seen]]
        if leaves:
            self._check_seen(leaves)
        leaves += self._chain.extend(entries[seen:])
        if self._tile_error is None:
            try:
                self._tiles.add(leaves)
            except AuditvaultError as error:
                self._tile_error = error  # said when all entries have been read

    def _check_seen(self, leaves: Sequence[bytes]) -> None:
        """The entries of the last tile that earlier visits have read are still the same."""
        tree = CompactRange()
        tree.extend(leaves)
        if self._chain.tree.nodes[-len(tree.nodes) :] != tree.nodes:
            raise ChainError(f"an entry before {self._first} is not the one that was seen")


class _NoKeyError(AuditvaultError):
    """A signature could not be checked for want of a key; it never leaves this module."""
