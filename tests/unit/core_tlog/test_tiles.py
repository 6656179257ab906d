from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.merkle import (
    EMPTY_ROOT,
    CompactRange,
    split_hashes,
    verify_consistency,
    verify_inclusion,
)
from auditvault.core.tlog.tiles import (
    FULL_TILE_SIZE,
    TileError,
    TileKey,
    TileRangeError,
    append_tiles,
    consistency_proof,
    entries_path,
    inclusion_proof,
    parse_entries_path,
    parse_tile_path,
    root_at,
    tile_path,
    tiles_for_append,
)
from tests.reference import merkle_oracle as oracle

MOST = 300
LEAVES = oracle.leaves(MOST)
LARGE = 66_000  # three tile levels
keys = st.builds(TileKey, st.integers(0, 63), st.integers(0, 10**12), st.integers(1, 256))


class Tiles:
    """The tiles of a tree, and which of them were asked for."""

    def __init__(self, tiles: Mapping[tuple[int, int, int], bytes]) -> None:
        self._tiles = tiles
        self.calls: list[Sequence[TileKey]] = []

    def __call__(self, keys: Sequence[TileKey]) -> Mapping[TileKey, bytes]:
        self.calls.append(keys)
        return {key: self._tiles[key.level, key.n, key.width] for key in keys}


@cache
def _all_tiles(size: int) -> Mapping[tuple[int, int, int], bytes]:
    return oracle.all_tiles(LEAVES[:size])


@cache
def _large_rows() -> list[list[bytes]]:
    """Return the hashes of each tile level of a tree of LARGE leaves."""
    leaves = list(oracle.leaves(LARGE))
    collected = CompactRange().extend(leaves)
    return [leaves, *(collected[level] for level in sorted(collected))]


def _fetch_large(keys: Sequence[TileKey]) -> Mapping[TileKey, bytes]:
    rows = _large_rows()
    return {key: b"".join(rows[key.level][key.n * 256 : key.n * 256 + key.width]) for key in keys}


@st.composite
def two_of(draw: st.DrawFn, most: int) -> tuple[int, int]:
    larger = draw(st.integers(1, most))
    return draw(st.integers(0, larger - 1)), larger


def test_the_root_of_every_size_is_the_oracles() -> None:
    roots = [root_at(size, Tiles(_all_tiles(size))) for size in range(MOST + 1)]

    assert roots[0] == EMPTY_ROOT
    assert roots == [oracle.tree_hash(LEAVES[:size]) for size in range(MOST + 1)]


@given(two_of(MOST))
def test_an_inclusion_proof_is_the_oracles(place: tuple[int, int]) -> None:
    index, size = place

    proof = inclusion_proof(index, size, Tiles(_all_tiles(size)))

    assert proof == oracle.inclusion_path(index, LEAVES[:size])


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 300])
def test_every_inclusion_proof_around_a_tiles_edge_is_the_oracles(size: int) -> None:
    fetch = Tiles(_all_tiles(size))

    for index in range(0, size, 7):
        assert inclusion_proof(index, size, fetch) == oracle.inclusion_path(index, LEAVES[:size])


@given(two_of(MOST).filter(lambda place: place[0] > 0))
def test_a_consistency_proof_is_the_oracles(place: tuple[int, int]) -> None:
    old, new = place

    proof = consistency_proof(old, new, Tiles(_all_tiles(new)))

    assert proof == oracle.consistency_path(old, LEAVES[:new])


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 7), (7, 7)])
def test_a_consistency_proof_that_needs_nothing_is_empty(old: int, new: int) -> None:
    fetch = Tiles(_all_tiles(new))

    assert consistency_proof(old, new, fetch) == []
    assert fetch.calls == []


@given(two_of(LARGE))
def test_a_proof_over_three_levels_of_tiles_is_accepted(place: tuple[int, int]) -> None:
    index, size = place

    verify_inclusion(
        leaf_hash=oracle.leaf(index),
        index=index,
        size=size,
        proof=inclusion_proof(index, size, _fetch_large),
        root=root_at(size, _fetch_large),
    )
    verify_consistency(
        old_size=index,
        new_size=size,
        old_root=root_at(index, _fetch_large),
        new_root=root_at(size, _fetch_large),
        proof=consistency_proof(index, size, _fetch_large),
    )


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, LARGE])
def test_the_root_of_a_large_tree_is_the_compact_ranges(size: int) -> None:
    tree = CompactRange()
    tree.extend(_large_rows()[0][:size])

    assert root_at(size, _fetch_large) == tree.root()


@given(two_of(LARGE))
def test_a_proof_is_one_fetch_of_few_tiles_each_once(place: tuple[int, int]) -> None:
    index, size = place
    fetched: list[Sequence[TileKey]] = []

    def fetch(keys: Sequence[TileKey]) -> Mapping[TileKey, bytes]:
        fetched.append(keys)
        return _fetch_large(keys)

    proof = inclusion_proof(index, size, fetch)

    assert len(fetched) == (1 if proof else 0)
    for keys in fetched:
        assert len(set(keys)) == len(keys) <= 6


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + bytes(32)])
def test_a_tile_of_another_length_is_refused(change: object) -> None:
    def fetch(keys: Sequence[TileKey]) -> Mapping[TileKey, bytes]:
        assert callable(change)
        return {key: change(data) for key, data in Tiles(_all_tiles(7))(keys).items()}

    with pytest.raises(TileError):
        inclusion_proof(3, 7, fetch)


def test_a_tile_that_is_missing_is_named() -> None:
    with pytest.raises(TileError, match=r"tile/0/000\.p/7 could not be had"):
        inclusion_proof(3, 7, lambda _: {})


@pytest.mark.parametrize(("index", "size"), [(7, 7), (8, 7), (-1, 7), (0, 0)])
def test_an_inclusion_proof_for_no_leaf_is_refused(index: int, size: int) -> None:
    with pytest.raises(TileRangeError):
        inclusion_proof(index, size, Tiles(_all_tiles(7)))


@pytest.mark.parametrize(("old", "new"), [(8, 7), (-1, 7)])
def test_a_consistency_proof_backwards_is_refused(old: int, new: int) -> None:
    with pytest.raises(TileRangeError):
        consistency_proof(old, new, Tiles(_all_tiles(7)))


def test_a_root_of_a_negative_size_is_refused() -> None:
    with pytest.raises(TileRangeError):
        root_at(-1, Tiles({}))


@given(st.integers(0, 200_000), st.integers(0, 200_000))
def test_the_tiles_of_an_append_are_the_difference_of_the_full_ones(old: int, more: int) -> None:
    def full(size: int) -> set[TileKey]:
        return {TileKey(level, n) for level in range(4) for n in range(size // 256 ** (level + 1))}

    assert tiles_for_append(old, old + more) == sorted(full(old + more) - full(old))


@pytest.mark.parametrize(("old", "new"), [(1, 0), (-1, 0), (0, 2**63)])
def test_tiles_for_sizes_out_of_range_are_refused(old: int, new: int) -> None:
    with pytest.raises(TileRangeError):
        tiles_for_append(old, new)


@given(st.integers(0, 700), st.integers(0, 700))
def test_appended_tiles_are_the_oracles(old: int, more: int) -> None:
    leaves = oracle.leaves(old + more)
    tree = CompactRange()
    tree.extend(leaves[:old])
    roots = tree.extend(leaves[old:]).get(1, [])
    partial = leaves[old // 256 * 256 : old]

    tiles = list(append_tiles(old_count=old, partial=partial, hashes=leaves[old:]))
    given_roots = list(
        append_tiles(old_count=old, partial=partial, hashes=leaves[old:], roots=roots)
    )

    assert [TileKey(0, tile.n) for tile in tiles] == tiles_for_append(old, old + more)
    assert [tile.data for tile in tiles] == [oracle.tile(leaves, 0, tile.n, 256) for tile in tiles]
    assert [tile.root for tile in tiles] == [
        oracle.tree_hash(split_hashes(tile.data)) for tile in tiles
    ]
    assert given_roots == tiles


def test_a_full_tile_is_8192_bytes() -> None:
    (tile,) = append_tiles(old_count=0, partial=[], hashes=LEAVES[:256])

    assert len(tile.data) == FULL_TILE_SIZE == 8192


@pytest.mark.parametrize(
    ("old_count", "partial", "hashes", "roots"),
    [
        (1, [], LEAVES[:256], None),
        (256, [bytes(32)], LEAVES[:256], None),
        (0, [], LEAVES[:256], []),
        (0, [], LEAVES[:255], [bytes(32)]),
        (0, [], [b"short", *LEAVES[:255]], None),
    ],
)
def test_an_append_whose_counts_do_not_fit_is_refused(
    old_count: int, partial: list[bytes], hashes: list[bytes], roots: list[bytes] | None
) -> None:
    with pytest.raises(TileError):
        list(append_tiles(old_count=old_count, partial=partial, hashes=hashes, roots=roots))


@given(keys)
def test_a_key_comes_back_from_its_path(key: TileKey) -> None:
    assert parse_tile_path(tile_path(key.level, key.n, key.width)) == key
    assert parse_entries_path(entries_path(key.n, key.width)) == TileKey(0, key.n, key.width)


def test_paths_are_the_specifications() -> None:
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path(1, 0, 17) == "tile/1/000.p/17"
    assert entries_path(1000, 5) == "tile/entries/x001/000.p/5"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0",
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/1234",
        "tile/0/x000/001",
        "tile/0/001/001",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000/",
        "tile/0/000\n",
        "/tile/0/000",
        "tile/0/\u0660\u0660\u0660",
        "tile/entries/000",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/" + "x001/" * 5000 + "001",
    ],
    ids=lambda path: repr(path[:40]),
)
def test_another_spelling_is_not_the_path_of_a_tile(path: str) -> None:
    with pytest.raises(TileError):
        parse_tile_path(path)


@pytest.mark.parametrize(
    "path", ["tile/0/000", "tile/entries/0", "tile/entries/x000/001", "tile/entries/000.p/256"]
)
def test_another_spelling_is_not_the_path_of_a_bundle(path: str) -> None:
    with pytest.raises(TileError):
        parse_entries_path(path)


@pytest.mark.parametrize(
    ("level", "n", "width"), [(64, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 2**63, 1), (0, 0, 0)]
)
def test_a_key_out_of_range_is_refused(level: int, n: int, width: int) -> None:
    with pytest.raises(TileError):
        TileKey(level, n, width)
