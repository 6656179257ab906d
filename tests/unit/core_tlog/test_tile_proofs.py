"""Proofs read from tiles, at sizes that no oracle can build, and against the oracle where it can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.merkle import (
    MAX_SIZE,
    CompactRange,
    ProofRootError,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from auditvault.core.tlog.tiles import (
    TileKey,
    TileRangeError,
    append_tiles,
    compact_range_at,
    consistency_proof,
    inclusion_proof,
    root_at,
    tiles_for_append,
)
from tests.reference import merkle_oracle as oracle

MOST = 600
LEAVES = oracle.leaves(MOST)
LEAF = oracle.leaf(0)
# A tree whose leaves are all the same has one hash for each height, so any size of it can be written down.
PERFECT = list(accumulate(range(63), lambda node, _: node_hash(node, node), initial=LEAF))
anything = st.integers(1, MAX_SIZE)
# Sizes near the edges of tiles and subtrees find more than sizes in between.
edges = st.builds(
    lambda power, offset: max(1, min(MAX_SIZE, (1 << power) + offset)),
    st.integers(0, 62),
    st.integers(-2, 2),
)
sizes = anything | edges


class UniformTiles:
    """The tiles of a tree of equal leaves, counted."""

    def __init__(self) -> None:
        self.calls = 0
        self.keys: list[TileKey] = []

    def __call__(self, keys: Sequence[TileKey]) -> Mapping[TileKey, bytes]:
        self.calls += 1
        self.keys += keys
        return {key: PERFECT[8 * key.level] * key.width for key in keys}


def uniform_root(size: int) -> bytes:
    heights = [height for height in range(62, -1, -1) if size >> height & 1]
    return CompactRange(size, [PERFECT[height] for height in heights]).root()


def levels(size: int) -> int:
    """Tile levels of a tree."""
    return (size.bit_length() + 7) // 8


@given(st.data(), sizes)
def test_an_inclusion_proof_at_any_size_is_one_fetch_of_two_tiles_a_level(
    data: st.DataObject, size: int
) -> None:
    index = data.draw(st.integers(0, size - 1) | st.just(size - 1))
    fetch = UniformTiles()

    proof = inclusion_proof(index, size, fetch)

    verify_inclusion(leaf_hash=LEAF, index=index, size=size, proof=proof, root=uniform_root(size))
    assert fetch.calls <= 1
    assert len(set(fetch.keys)) == len(fetch.keys) <= 2 * levels(size)
    assert len(proof) <= size.bit_length()


@given(st.data(), sizes)
def test_a_consistency_proof_at_any_size_is_one_fetch_of_two_tiles_a_level(
    data: st.DataObject, new: int
) -> None:
    old = data.draw(st.integers(1, new) | edges.map(lambda size: min(size, new)))
    fetch = UniformTiles()

    proof = consistency_proof(old, new, fetch)

    verify_consistency(
        old_size=old,
        new_size=new,
        old_root=uniform_root(old),
        new_root=uniform_root(new),
        proof=proof,
    )
    assert fetch.calls <= 1
    assert len(set(fetch.keys)) == len(fetch.keys) <= 2 * levels(new)
    assert len(proof) <= new.bit_length() + 1


@given(sizes)
def test_a_root_at_any_size_is_one_fetch_of_a_tile_a_level(size: int) -> None:
    fetch = UniformTiles()

    assert root_at(size, fetch) == uniform_root(size)
    assert fetch.calls == 1
    assert len(fetch.keys) <= levels(size)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=5), st.data())
def test_a_tree_grown_in_pieces_has_the_oracles_tiles_range_and_proofs(
    pieces: list[int], data: st.DataObject
) -> None:
    """As the ledger grows it: tiles from `append_tiles`, their roots from `CompactRange.extend`."""
    tree, stored, size = CompactRange(), dict[TileKey, bytes](), 0
    for piece in pieces:
        end = min(size + piece, MOST)
        roots = tree.extend(LEAVES[size:end]).get(1, [])
        partial = LEAVES[size - size % 256 : size]
        completed = append_tiles(
            old_count=size, partial=partial, hashes=LEAVES[size:end], roots=roots
        )
        fresh = {TileKey(0, tile.n): tile.data for tile in completed}
        assert sorted(fresh) == tiles_for_append(size, end)
        stored |= fresh
        size = end

    def fetch(keys: Sequence[TileKey]) -> Mapping[TileKey, bytes]:
        return {key: stored.get(key) or oracle.tile(LEAVES, *_place(key)) for key in keys}

    assert list(tree.nodes) == oracle.compact_range(LEAVES[:size])
    assert tree.root() == root_at(size, fetch) == oracle.tree_hash(LEAVES[:size])
    assert compact_range_at(size, fetch).nodes == tree.nodes
    if size:
        index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
        assert inclusion_proof(index, size, fetch) == oracle.inclusion_path(index, LEAVES[:size])
        expected = oracle.consistency_path(old, LEAVES[:size]) if old < size else []
        assert consistency_proof(old, size, fetch) == expected


def _place(key: TileKey) -> tuple[int, int, int]:
    return key.level, key.n, key.width


@given(st.data(), st.integers(1, MOST))
def test_a_flipped_bit_in_a_tile_makes_a_proof_that_is_refused_or_does_not_need_it(
    data: st.DataObject, size: int
) -> None:
    index = data.draw(st.integers(0, size - 1))
    place, bit = data.draw(st.integers(0, 255)), data.draw(st.integers(0, 255))

    def damaged(keys: Sequence[TileKey]) -> Mapping[TileKey, bytes]:
        found = {}
        for key in keys:
            row = bytearray(oracle.tile(LEAVES, *_place(key)))
            row[place % key.width * 32 + bit // 8] ^= 1 << bit % 8
            found[key] = bytes(row)
        return found

    proof = inclusion_proof(index, size, damaged)
    honest = oracle.inclusion_path(index, LEAVES[:size])
    arguments: dict[str, Any] = {"leaf_hash": LEAVES[index], "index": index, "size": size}
    root = oracle.tree_hash(LEAVES[:size])

    if proof == honest:
        verify_inclusion(**arguments, proof=proof, root=root)
    else:
        with pytest.raises(ProofRootError):
            verify_inclusion(**arguments, proof=proof, root=root)


NO_NUMBERS = [-1, MAX_SIZE + 1, True, "3", 3.0, None]


@pytest.mark.parametrize("wrong", NO_NUMBERS, ids=repr)
def test_a_proof_for_what_is_no_size_or_index_is_refused_and_fetches_nothing(wrong: int) -> None:
    fetch = UniformTiles()

    for make in (
        lambda: inclusion_proof(wrong, 7, fetch),
        lambda: inclusion_proof(0, wrong, fetch),
        lambda: consistency_proof(wrong, 7, fetch),
        lambda: consistency_proof(3, wrong, fetch),
        lambda: root_at(wrong, fetch),
    ):
        with pytest.raises(TileRangeError):
            make()
    assert fetch.calls == 0
