"""What is put into the store, checked first: a copy that does not verify could never be replaced.

Rules kept: docs/spec/copies.md section 2, rule 4. Every tile is followed up to the root that was signed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.entry import leaf_hash
from auditvault.core.tlog.entry_bundle import EntryBundleError, parse_entries
from auditvault.core.tlog.merkle import HASH_SIZE, perfect_root, split_hashes
from auditvault.core.tlog.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    TileKey,
    entries_path,
    root_at,
    tile_path,
    tiles_for_append,
)
from auditvault.ledger.publishing import PublishedLog, entry_bundle, tile

Named = tuple[str, bytes]
"""A name below the log's folder, and the object's content."""

_MOST_REMEMBERED = 64


class CopySourceError(AuditvaultError):
    """What the database holds does not lead to what was signed: nothing of it is copied."""

    code: ClassVar[str] = "copy_source_damaged"


class Source:
    """A log's tiles and bundles as of one checkpoint, each checked against it.

    Raises CopySourceError for what does not lead there, and MissingTileError for what is gone.
    """

    def __init__(self, log: PublishedLog, checkpoint: Checkpoint) -> None:
        self._log = log
        self._size = checkpoint.size
        self._checked: dict[TileKey, bytes] = {}
        if root_at(self._size, self._fetch) != checkpoint.root:
            raise CopySourceError("The newest checkpoint's root is not that of the tiles.")

    def full_objects(self, old: int, new: int) -> Iterator[Named]:
        """Yield bundles and tiles that growing from `old` to `new` entries, multiples of 256, completes."""
        for key in tiles_for_append(old, new):
            yield from self._objects(key)

    def edge_objects(self) -> Iterator[Named]:
        """Yield the partial bundle and tiles of the checkpoint's tree."""
        level, count = 0, self._size
        while count:
            if count % TILE_WIDTH:
                yield from self._objects(self._key(level, count // TILE_WIDTH))
            level, count = level + 1, count >> TILE_HEIGHT

    def _objects(self, key: TileKey) -> Iterator[Named]:
        hashes = self._tile(key)
        if key.level == 0:
            bundle = entry_bundle(self._log, key)
            if hashes != _leaves(bundle, key.width):
                raise CopySourceError(f"Entries from {key.n * TILE_WIDTH} on are not their tile's.")
            yield entries_path(key.n, key.width), bundle
        yield tile_path(key.level, key.n, key.width), hashes

    def _tile(self, key: TileKey) -> bytes:
        """A tile whose root is the hash above it, up to the edge, which was compared with the checkpoint's root."""
        if key in self._checked:
            return self._checked[key]
        hashes = tile(self._log, key)
        if key.width == TILE_WIDTH:
            above, place = divmod(key.n, TILE_WIDTH)
            expected = self._tile(self._key(key.level + 1, above))
            if perfect_root(split_hashes(hashes)) != expected[place * HASH_SIZE :][:HASH_SIZE]:
                raise CopySourceError(f"Tile {key.n} of level {key.level} is not that of its root.")
        self._remember(key, hashes)
        return hashes

    def _remember(self, key: TileKey, hashes: bytes) -> None:
        """Keep what is asked for again: edges, and tiles above the lowest."""
        if key.level or key.width < TILE_WIDTH:
            if len(self._checked) >= _MOST_REMEMBERED:
                self._checked.clear()
            self._checked[key] = hashes

    def _key(self, level: int, n: int) -> TileKey:
        in_level = self._size >> (TILE_HEIGHT * level)
        return TileKey(level, n, min(TILE_WIDTH, in_level - n * TILE_WIDTH))

    def _fetch(self, keys: Sequence[TileKey]) -> Mapping[TileKey, bytes]:
        return {key: tile(self._log, key) for key in keys}


def _leaves(bundle: bytes, width: int) -> bytes:
    try:
        return b"".join(leaf_hash(entry) for entry in parse_entries(bundle, width))
    except EntryBundleError:
        return b""
