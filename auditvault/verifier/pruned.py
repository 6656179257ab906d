"""Where a log begins whose first entries are not there: what its tiles still prove, and its own word for what is gone.

Rules kept: docs/spec/bundle.md section 7, prune.md section 6. Tiles stay for ever, so the tree of what is gone is known
and proved. That the log gave it up stands in a prune record, for which C2SP tlog-tiles has no place: a bundle has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.bundle import Bundle
from auditvault.core.tlog.bundle_prune import ProvedPrune
from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.key_history import Signers
from auditvault.core.tlog.merkle import CompactRange, split_hashes, verify_consistency
from auditvault.core.tlog.note import LogVerifier
from auditvault.core.tlog.prune import ENTRY_TYPE
from auditvault.core.tlog.tiles import TILE_WIDTH, TileKey, consistency_proof
from auditvault.verifier.sources import SourceError, SourceMissingError
from auditvault.verifier.tile_reader import TileComparison, TileReader

_MARK = f'"type":"{ENTRY_TYPE}"'.encode()


class BeginningMissingError(SourceMissingError):
    """The first entries that were asked for are not there."""


class PruneBundleError(AuditvaultError):
    """A bundle that was named for its prune records cannot be used: nothing is said about the log."""

    code: ClassVar[str] = "input_unreadable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Beginning:
    """The entries below the minimum are gone; their tiles are not."""

    minimum: int
    """Index of the first entry that is there."""
    tree: CompactRange
    """Of what is gone; it grows with whoever reads on."""
    leaf: bytes
    """Leaf hash of the last that is gone."""
    tiles: TileComparison
    """Has compared the tiles over what is gone with each other."""
    tile_error: AuditvaultError | None = None
    """What was wrong with them; then it is of no more use."""


def find_beginning(reader: TileReader, missing: int, size: int) -> Beginning:
    """Find the first entries that are there behind the bundle at `missing`, and go over the tiles before them.

    Raises SourceMissingError where there are none at all, SourceError, TileError or EntryBundleError.
    """
    minimum = _first_there(reader, missing // TILE_WIDTH, size) * TILE_WIDTH
    tree, tiles, leaves = CompactRange(), TileComparison(reader, 0), list[bytes]()
    tile_error: AuditvaultError | None = None
    for n in range(minimum // TILE_WIDTH):
        leaves = split_hashes(reader.tile(TileKey(0, n, TILE_WIDTH)))
        tree.extend(leaves)
        if tile_error is None:
            try:
                tiles.add(leaves)
            except AuditvaultError as error:
                tile_error = error
    return Beginning(
        minimum=minimum, tree=tree, leaf=leaves[-1], tiles=tiles, tile_error=tile_error
    )


def prune_entry(entries: Sequence[bytes]) -> int | None:
    """Return the place of the last entry by which the log gave something up, by its type."""
    found = [place for place, entry in enumerate(entries) if _MARK in entry]
    return found[-1] if found else None


@dataclass(frozen=True, kw_only=True, slots=True)
class PruneRecords:
    """A bundle of the log, for what it proves of prunes."""

    path: Path

    def check(
        self, checkpoint: Checkpoint, verifiers: Sequence[LogVerifier], reader: TileReader
    ) -> list[ProvedPrune]:
        """Return what the log recorded, proved under a checkpoint that `checkpoint` extends.

        Raises PruneBundleError for a file that is no bundle of this log or is of a longer one, SourceError, and
        whatever the bundle's steps raise where it does not hold.
        """
        try:
            with self.path.open("rb") as file:
                bundle = _opened(file, checkpoint)
                earlier = bundle.check_checkpoint(Signers(current=verifiers))
                prunes = bundle.check_prunes(earlier)
        except OSError as error:
            reason = error.strerror or "it cannot be read"
            raise PruneBundleError(f"the bundle cannot be read: {reason}") from error
        verify_consistency(
            old_size=earlier.size,
            new_size=checkpoint.size,
            old_root=earlier.root,
            new_root=checkpoint.root,
            proof=consistency_proof(earlier.size, checkpoint.size, reader.fetch),
        )
        return prunes


def _opened(file: BinaryIO, checkpoint: Checkpoint) -> Bundle:
    """The bundle, which says nothing of the log if it is none, damaged, or of another log or a later time."""
    try:
        bundle = Bundle(file)
        bundle.check_members()
    except AuditvaultError as error:
        raise PruneBundleError(f"the bundle cannot be used: {error.message}") from error
    if bundle.scope.log != checkpoint.origin:
        raise PruneBundleError("the bundle is of another log")
    if bundle.scope.size > checkpoint.size:
        raise PruneBundleError("the bundle is of a later time than the log's checkpoint")
    return bundle


def _first_there(reader: TileReader, missing: int, size: int) -> int:
    """The first bundle that is there, by halves: what a prune drops is a beginning."""
    last = (size - 1) // TILE_WIDTH
    low, high = missing, last + 1
    while high - low > 1:
        middle = (low + high) // 2
        if _is_there(reader, middle, min(TILE_WIDTH, size - middle * TILE_WIDTH)):
            high = middle
        else:
            low = middle
    if high > last:
        raise SourceMissingError("no entries are there")
    return high


def _is_there(reader: TileReader, n: int, width: int) -> bool:
    try:
        reader.entries(n, width)
    except SourceMissingError:
        return False
    except SourceError:
        raise
    except AuditvaultError:
        return True  # what is wrong with it is said when it is read in its turn
    return True
