"""Reads tiles and entry bundles of a log at one size, and compares tiles with the entries.

Rules kept: docs/spec/checkpoint.md section 4, C2SP tlog-tiles. Where a partial tile is no longer
there, the full one that has grown from it is cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from auditvault.core.tlog.entry_bundle import max_bundle_size, parse_entries
from auditvault.core.tlog.merkle import HASH_SIZE, perfect_root, split_hashes
from auditvault.core.tlog.tiles import (
    FULL_TILE_SIZE,
    TILE_WIDTH,
    TileError,
    TileKey,
    entries_path,
    tile_path,
)
from auditvault.verifier.sources import Source, SourceMissingError


class TileReader:
    """A log's tiles at one size; raises SourceError, SourceContentError, TileError."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def fetch(self, keys: Sequence[TileKey]) -> Mapping[TileKey, bytes]:
        """Return the hashes of each tile."""
        return {key: self.tile(key) for key in keys}

    def tile(self, key: TileKey) -> bytes:
        """Return the tile's `width * 32` bytes."""
        path = tile_path(key.level, key.n, key.width)
        size = key.width * HASH_SIZE
        try:
            data = self._source.read(path, size)
        except SourceMissingError:
            if key.width == TILE_WIDTH:
                raise
            data = self._source.read(tile_path(key.level, key.n), FULL_TILE_SIZE)
            data = data[:size] if len(data) == FULL_TILE_SIZE else b""
        if len(data) != size:
            raise TileError(f"{path} has the wrong length")
        return data

    def entries(self, n: int, width: int) -> list[bytes]:
        """Return the first `width` entries under tile `n` of level 0; raises EntryBundleError too."""
        try:
            data = self._source.read(entries_path(n, width), max_bundle_size(width))
        except SourceMissingError:
            if width == TILE_WIDTH:
                raise
            data = self._source.read(entries_path(n), max_bundle_size(TILE_WIDTH))
            return parse_entries(data, TILE_WIDTH)[:width]
        return parse_entries(data, width)


@dataclass(slots=True)
class _Row:
    """The hashes of a level's last, not yet compared tile, as far as the entries give them."""

    start: int
    hashes: list[bytes] = field(default_factory=list)


class TileComparison:
    """Compares every tile that entries from a multiple of 256 on touch with what they give.

    What lies before, in a tile of a higher level, is taken as given out: the tile was compared on
    an earlier visit, and the root over the tiles is compared with the checkpoint's on every one.
    """

    def __init__(self, reader: TileReader, first_entry: int) -> None:
        self._reader = reader
        self._first = first_entry
        self._rows: list[_Row] = []
        self.count = 0

    def add(self, leaves: Sequence[bytes]) -> None:
        """Take the next leaf hashes; raises TileError for a tile that is not theirs."""
        for leaf in leaves:
            self._add(0, self._first, leaf)

    def finish(self) -> None:
        """Compare the partial tiles at the right edge."""
        for level, row in enumerate(self._rows):
            if row.hashes:
                self._compare(level, row)

    def _add(self, level: int, first: int, value: bytes) -> None:
        if level == len(self._rows):
            self._rows.append(_Row(first))
        row = self._rows[level]
        row.hashes.append(value)
        if (row.start + len(row.hashes)) % TILE_WIDTH == 0:
            n = row.start // TILE_WIDTH
            tile = self._compare(level, row)
            self._rows[level] = _Row((n + 1) * TILE_WIDTH)
            self._add(level + 1, n, perfect_root(split_hashes(tile)))

    def _compare(self, level: int, row: _Row) -> bytes:
        n, offset = divmod(row.start, TILE_WIDTH)
        width = offset + len(row.hashes)
        tile = self._reader.tile(TileKey(level, n, width))
        if tile[offset * HASH_SIZE :] != b"".join(row.hashes):
            raise TileError(f"{tile_path(level, n, width)} is not that of the entries")
        self.count += 1
        return tile
