from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.difference import first_difference
from auditvault.core.tlog.merkle import CompactRange
from auditvault.core.tlog.tiles import Fetch, TileError, TileKey
from tests.reference import merkle_oracle as oracle

LARGE = 66_000  # three tile levels
LEAVES = oracle.leaves(LARGE)


def tiles_of(leaves: Sequence[bytes]) -> Fetch:
    """The tiles over these leaves, of any width."""
    collected = CompactRange().extend(list(leaves))
    rows = [list(leaves), *(collected[level] for level in sorted(collected))]

    def fetch(keys: Sequence[TileKey]) -> Mapping[TileKey, bytes]:
        return {
            key: b"".join(rows[key.level][key.n * 256 : key.n * 256 + key.width]) for key in keys
        }

    return fetch


@given(st.data())
def test_the_first_of_two_changed_leaves_is_found(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 1500))
    first = data.draw(st.integers(0, size - 1))
    later = data.draw(st.integers(first, size - 1))
    changed = [*LEAVES[:size]]
    changed[first] = changed[later] = b"\xff" * 32
    assert first_difference(size, tiles_of(LEAVES[:size]), tiles_of(changed)) == first


@pytest.mark.parametrize("index", [0, 255, 256, 65_535, 65_536, 65_791, 65_792, LARGE - 1])
def test_the_changed_leaf_of_a_large_tree_is_found(index: int) -> None:
    changed = [*LEAVES]
    changed[index] = b"\xff" * 32
    assert first_difference(LARGE, tiles_of(LEAVES), tiles_of(changed)) == index


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_536, LARGE])
def test_equal_trees_have_no_difference(size: int) -> None:
    tree = tiles_of(LEAVES[:size])
    assert first_difference(size, tree, tree) is None


def test_a_missing_tile_is_an_error_and_no_answer() -> None:
    with pytest.raises(TileError):
        first_difference(300, tiles_of(LEAVES[:300]), lambda _keys: {})
