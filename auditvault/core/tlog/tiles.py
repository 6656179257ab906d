"""Tiles: stored hashes in 256-wide blocks, and the proofs read from them.

Rules kept: docs/spec/checkpoint.md section 4 and C2SP tlog-tiles. A proof is worked out as a list
of leaf ranges first, so that every tile it needs is fetched in one call; O(log n) tiles for each
proof. Where tiles are kept, and which partial ones can be had, is left to the `fetch` that
callers pass in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.merkle import (
    EMPTY_ROOT,
    HASH_SIZE,
    MAX_SIZE,
    CompactRange,
    fold,
    perfect_root,
    split_hashes,
)

TILE_HEIGHT = 8
TILE_WIDTH = 256
FULL_TILE_SIZE = TILE_WIDTH * HASH_SIZE
"""Bytes of a full tile."""

MAX_LEVEL = 63
_GROUP = 1000
_INDEX = r"((?:x[0-9]{3}/){0,5}[0-9]{3})"
_PARTIAL = r"(?:\.p/([1-9][0-9]{0,2}))?"
_TILE_PATH = re.compile(rf"tile/(0|[1-9][0-9]?)/{_INDEX}{_PARTIAL}")
_ENTRIES_PATH = re.compile(rf"tile/entries/{_INDEX}{_PARTIAL}")


class TileError(AuditvaultError):
    """A tile's coordinates, path or bytes are malformed, or it could not be had."""

    code: ClassVar[str] = "tile_malformed"


class TileRangeError(TileError):
    """A proof was asked for a size or an index that the tree does not have."""

    code: ClassVar[str] = "tile_range_invalid"


@dataclass(frozen=True, order=True, slots=True)
class TileKey:
    """Which tile; positional because it is a coordinate. Raises TileError out of range."""

    level: int
    """0 for leaf hashes, up to MAX_LEVEL."""
    n: int
    """Index in the level, from 0."""
    width: int = TILE_WIDTH
    """Number of hashes, 1 to 256; below 256 the tile is partial."""

    def __post_init__(self) -> None:
        if not 0 <= self.level <= MAX_LEVEL:
            raise TileError("a tile level is 0 to 63")
        if not 0 <= self.n <= MAX_SIZE // TILE_WIDTH:
            raise TileError("a tile index is out of range")
        if not 1 <= self.width <= TILE_WIDTH:
            raise TileError("a tile width is 1 to 256")


class FullTile(NamedTuple):
    """A tile that an append completed."""

    n: int
    data: bytes
    """FULL_TILE_SIZE bytes."""
    root: bytes
    """The hash that it adds to the level above."""


Fetch = Callable[[Sequence[TileKey]], Mapping[TileKey, bytes]]
"""Gives each tile's `width * 32` bytes; called once for a proof, with no key twice."""

LeafRange = tuple[int, int]
"""Leaves `begin` to `end` - 1."""


def tile_path(level: int, n: int, width: int = TILE_WIDTH) -> str:
    """Return the tile's path, as in `tile/1/x001/234.p/5`; raises TileError out of range."""
    key = TileKey(level, n, width)
    return f"tile/{key.level}/{_index_path(key)}"


def entries_path(n: int, width: int = TILE_WIDTH) -> str:
    """Return the path of the bundle of level 0 tile `n`'s entries; raises TileError."""
    return f"tile/entries/{_index_path(TileKey(0, n, width))}"


def parse_tile_path(path: str) -> TileKey:
    """Read what `tile_path` writes; raises TileError on anything else."""
    match = _TILE_PATH.fullmatch(path)
    if match is None:
        raise TileError("not the path of a tile")
    key = _parsed_key(int(match[1]), match[2], match[3])
    if tile_path(key.level, key.n, key.width) != path:
        raise TileError("not the one path of this tile")
    return key


def parse_entries_path(path: str) -> TileKey:
    """Read what `entries_path` writes, as a key of level 0; raises TileError on anything else."""
    match = _ENTRIES_PATH.fullmatch(path)
    if match is None:
        raise TileError("not the path of an entry bundle")
    key = _parsed_key(0, match[1], match[2])
    if entries_path(key.n, key.width) != path:
        raise TileError("not the one path of this bundle")
    return key


def tiles_for_append(old_size: int, new_size: int) -> list[TileKey]:
    """Return the full tiles, lowest level first, that growing from old to new size completes."""
    if not 0 <= old_size <= new_size <= MAX_SIZE:
        raise TileRangeError("sizes are 0 <= old <= new <= 2^63 - 1")
    keys: list[TileKey] = []
    level, old, new = 0, old_size // TILE_WIDTH, new_size // TILE_WIDTH
    while new:
        keys.extend(TileKey(level, n) for n in range(old, new))
        level, old, new = level + 1, old // TILE_WIDTH, new // TILE_WIDTH
    return keys


def append_tiles(
    *,
    old_count: int,
    partial: Sequence[bytes],
    hashes: Sequence[bytes],
    roots: Sequence[bytes] | None = None,
) -> Iterator[FullTile]:
    """Yield the full tiles of one level that adding `hashes` to it completes, in order.

    `old_count` is how many hashes the level has (for level 0: the tree's old size), `partial` the
    `old_count % 256` hashes of its incomplete last tile. `roots` are the completed tiles' roots
    where the caller has them, as `CompactRange.extend` returns them for the level above; without
    them each tile costs 255 hashes more. Raises TileError when the counts do not fit.
    """
    if len(partial) != old_count % TILE_WIDTH:
        raise TileError("partial does not hold the incomplete last tile")
    row = [*partial, *hashes]
    count = len(row) // TILE_WIDTH
    if roots is not None and len(roots) != count:
        raise TileError("there is not one root for each completed tile")
    first = old_count // TILE_WIDTH
    for offset in range(count):
        tile = row[offset * TILE_WIDTH : (offset + 1) * TILE_WIDTH]
        data = b"".join(tile)
        if len(data) != FULL_TILE_SIZE:
            raise TileError("a tile's hash is not 32 bytes")
        root = perfect_root(tile) if roots is None else roots[offset]
        yield FullTile(first + offset, data, root)


class NodeReader:
    """Reads the roots over ranges of leaves of a tree of `size` leaves from its tiles."""

    __slots__ = ("_fetch", "_size")

    def __init__(self, size: int, fetch: Fetch) -> None:
        _check_numbers(size)
        self._size = size
        self._fetch = fetch

    def hashes(self, ranges: Sequence[LeafRange]) -> list[bytes]:
        """Return the root over each range, with one fetch for all of them.

        A range begins at a multiple of a power of two that is not below its length, as those of
        proofs do. Raises TileError when a tile is missing or has the wrong length.
        """
        nodes = [_perfect_nodes(begin, end) for begin, end in ranges]
        keys = sorted({self._key(*node) for group in nodes for node in group})
        tiles = self._read(keys)
        return [fold([self._node(tiles, *node) for node in group]) for group in nodes]

    def _read(self, keys: Sequence[TileKey]) -> dict[TileKey, list[bytes]]:
        fetched = self._fetch(keys) if keys else {}
        tiles = {}
        for key in keys:
            data = fetched.get(key)
            if data is None:
                raise TileError(f"{tile_path(key.level, key.n, key.width)} could not be had")
            if len(data) != key.width * HASH_SIZE:
                raise TileError(f"{tile_path(key.level, key.n, key.width)} has the wrong length")
            tiles[key] = split_hashes(bytes(data))
        return tiles

    def _key(self, height: int, index: int) -> TileKey:
        level, inner = divmod(height, TILE_HEIGHT)
        n = (index << inner) // TILE_WIDTH
        in_level = self._size >> (TILE_HEIGHT * level)
        return TileKey(level, n, min(TILE_WIDTH, in_level - n * TILE_WIDTH))

    def _node(self, tiles: Mapping[TileKey, list[bytes]], height: int, index: int) -> bytes:
        inner = height % TILE_HEIGHT
        start = (index << inner) % TILE_WIDTH
        return perfect_root(tiles[self._key(height, index)][start : start + (1 << inner)])


def root_at(size: int, fetch: Fetch) -> bytes:
    """Return the root of the tree's first `size` leaves; raises TileError."""
    reader = NodeReader(size, fetch)
    return reader.hashes([(0, size)])[0] if size else EMPTY_ROOT


def compact_range_at(size: int, fetch: Fetch) -> CompactRange:
    """Return the compact range of the tree's first `size` leaves; raises TileError."""
    nodes = _perfect_nodes(0, size)
    ranges = [(index << height, (index + 1) << height) for height, index in nodes]
    return CompactRange(size, NodeReader(size, fetch).hashes(ranges))


def inclusion_proof(index: int, size: int, fetch: Fetch) -> list[bytes]:
    """Return the inclusion proof of leaf `index` in the tree of `size`, leaf side first.

    RFC 9162 section 2.1.3.1. Raises TileRangeError unless 0 <= index < size, TileError when a
    tile is missing or malformed.
    """
    _check_numbers(index, size)
    if index >= size:
        raise TileRangeError("the index is not one of a leaf of the tree")
    return NodeReader(size, fetch).hashes(_inclusion_ranges(index, 0, size))


def consistency_proof(old: int, new: int, fetch: Fetch) -> list[bytes]:
    """Return the proof from size `old` to size `new` (RFC 9162 section 2.1.4.1).

    It is empty when old is 0 or equal to new. Raises TileRangeError unless 0 <= old <= new,
    TileError when a tile is missing or malformed.
    """
    _check_numbers(old, new)
    if old > new:
        raise TileRangeError("sizes are 0 <= old <= new")
    reader = NodeReader(new, fetch)
    return reader.hashes(_consistency_ranges(old, new)) if 0 < old < new else []


def _check_numbers(*numbers: int) -> None:
    """Sizes and indices are whole numbers; True is one to Python, and here is none."""
    if any(type(number) is not int or not 0 <= number <= MAX_SIZE for number in numbers):
        raise TileRangeError("a size and an index are integers from 0 to 2^63 - 1")


def _inclusion_ranges(index: int, begin: int, end: int) -> list[LeafRange]:
    ranges: list[LeafRange] = []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    return ranges[::-1]


def _consistency_ranges(old: int, new: int) -> list[LeafRange]:
    """SUBPROOF of RFC 9162 section 2.1.4.1 as a loop, for 0 < old < new."""
    ranges: list[LeafRange] = []
    begin, end = 0, new
    while end != old:
        middle = begin + _split(end - begin)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    if begin:  # the subtree is not the whole old tree, whose root the verifier has
        ranges.append((begin, end))
    return ranges[::-1]


def _split(count: int) -> int:
    """Return the largest power of two below `count`, for count > 1."""
    return 1 << ((count - 1).bit_length() - 1)


def _perfect_nodes(begin: int, end: int) -> list[tuple[int, int]]:
    """Cut a range into perfect subtrees (height, index at that height), biggest first."""
    nodes: list[tuple[int, int]] = []
    while begin < end:
        height = (end - begin).bit_length() - 1
        nodes.append((height, begin >> height))
        begin += 1 << height
    return nodes


def _index_path(key: TileKey) -> str:
    groups = [f"{key.n % _GROUP:03d}"]
    rest = key.n // _GROUP
    while rest:
        groups.append(f"x{rest % _GROUP:03d}")
        rest //= _GROUP
    suffix = "" if key.width == TILE_WIDTH else f".p/{key.width}"
    return "/".join(reversed(groups)) + suffix


def _parsed_key(level: int, index: str, width: str | None) -> TileKey:
    n = int(index.replace("x", "").replace("/", ""))
    return TileKey(level, n, TILE_WIDTH if width is None else int(width))
