"""Where two trees of one size first differ, from their tiles: a few tiles for each level, not every entry."""

from __future__ import annotations

from auditvault.core.tlog.merkle import HASH_SIZE
from auditvault.core.tlog.tiles import TILE_HEIGHT, TILE_WIDTH, Fetch, TileError, TileKey


def first_difference(size: int, one: Fetch, other: Fetch) -> int | None:
    """Return the first leaf index at which two trees of `size` leaves differ; None where their tiles are the same.

    Goes down from the top: into the subtree under the first hash that differs, or else to what lies right of the
    subtrees that are the same. Raises TileError when a tile is missing or has the wrong length.
    """
    level = 0
    while size >> (TILE_HEIGHT * (level + 1)):
        level += 1
    n = 0
    for height in range(level, -1, -1):
        width = min(TILE_WIDTH, (size >> (TILE_HEIGHT * height)) - n * TILE_WIDTH)
        place = 0
        if width > 0:
            key = TileKey(height, n, width)
            place = _first_hash(key, _read(key, one), _read(key, other))
        n = n * TILE_WIDTH + place
    return n if n < size else None


def _read(key: TileKey, fetch: Fetch) -> bytes:
    data = fetch([key]).get(key)
    if data is None or len(data) != key.width * HASH_SIZE:
        raise TileError("a tile could not be had, or has the wrong length")
    return bytes(data)


def _first_hash(key: TileKey, one: bytes, other: bytes) -> int:
    """The place of the first hash that differs; the tile's width where none does."""
    for place in range(key.width):
        at = slice(place * HASH_SIZE, (place + 1) * HASH_SIZE)
        if one[at] != other[at]:
            return place
    return key.width
