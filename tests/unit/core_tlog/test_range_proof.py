from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.merkle import (
    ProofError,
    ProofHashError,
    ProofIndexError,
    ProofLengthError,
    ProofRootError,
    ProofSizeError,
)
from auditvault.core.tlog.range_proof import RangeProof, make_range_proof
from auditvault.core.tlog.tiles import TileKey
from tests.reference import bundles
from tests.reference import merkle_oracle as oracle

LEAVES = oracle.leaves(600)


@st.composite
def ranges(draw: st.DrawFn, largest: int = 600) -> tuple[int, int, int]:
    """First, end and size of a range with an entry."""
    size = draw(st.integers(1, largest))
    first = draw(st.integers(0, size - 1))
    return first, draw(st.integers(first + 1, size)), size


def fetch_of(size: int):  # type: ignore[no-untyped-def]
    tiles = oracle.all_tiles(LEAVES[:size])

    def fetch(keys: Sequence[TileKey]) -> Mapping[TileKey, bytes]:
        return {key: tiles[key.level, key.n, key.width] for key in keys}

    return fetch


def lead(first: int, end: int, size: int, hashes: Sequence[bytes], leaves: Sequence[bytes]) -> None:
    """Check the proof with these leaves against the root over all of them."""
    proof = RangeProof(begin=first, end=end, size=size, hashes=hashes)
    tree = proof.tree()
    tree.extend(leaves)
    proof.check(tree, oracle.tree_hash(LEAVES[:size]))


@given(ranges())
def test_a_proof_from_tiles_is_the_subtrees_outside_and_leads_to_the_root(
    numbers: tuple[int, int, int],
) -> None:
    first, end, size = numbers
    hashes = make_range_proof(first, end, size, fetch_of(size))

    assert hashes == bundles.outside(LEAVES[:size], first, end)
    lead(first, end, size, hashes, LEAVES[first:end])


@given(ranges(largest=40), st.data())
def test_another_leaf_or_hash_leads_elsewhere(
    numbers: tuple[int, int, int], data: st.DataObject
) -> None:
    first, end, size = numbers
    hashes = bundles.outside(LEAVES[:size], first, end)
    values = [*hashes, *LEAVES[first:end]]
    spot = data.draw(st.integers(0, len(values) - 1))
    bit = 1 << data.draw(st.integers(0, 255))
    values[spot] = (int.from_bytes(values[spot], "big") ^ bit).to_bytes(32, "big")

    with pytest.raises(ProofRootError):
        lead(first, end, size, values[: len(hashes)], values[len(hashes) :])


@given(ranges(largest=40), st.data())
def test_a_proof_with_two_hashes_swapped_leads_elsewhere(
    numbers: tuple[int, int, int], data: st.DataObject
) -> None:
    first, end, size = numbers
    hashes = bundles.outside(LEAVES[:size], first, end)
    if len(hashes) < 2:
        return
    spot = data.draw(st.integers(0, len(hashes) - 2))
    hashes[spot], hashes[spot + 1] = hashes[spot + 1], hashes[spot]

    with pytest.raises(ProofRootError):
        lead(first, end, size, hashes, LEAVES[first:end])


@given(ranges(largest=40), st.integers(-2, 2), st.integers(-2, 2))
def test_a_proof_moved_to_another_place_does_not_hold(
    numbers: tuple[int, int, int], by: int, wider: int
) -> None:
    first, end, size = numbers
    hashes = bundles.outside(LEAVES[:size], first, end)
    if (by, wider) == (0, 0):
        return

    with pytest.raises(ProofError):
        lead(first + by, end + by + wider, size, hashes, LEAVES[first : end + wider])


@given(ranges(largest=40))
def test_a_proof_too_long_or_too_short_is_refused(numbers: tuple[int, int, int]) -> None:
    first, end, size = numbers
    hashes = bundles.outside(LEAVES[:size], first, end)

    with pytest.raises(ProofLengthError):
        lead(first, end, size, [*hashes, bytes(32)], LEAVES[first:end])
    if hashes:
        with pytest.raises(ProofLengthError):
            lead(first, end, size, hashes[1:], LEAVES[first:end])


def test_a_tree_without_all_leaves_of_the_range_is_refused() -> None:
    proof = RangeProof(begin=0, end=3, size=3, hashes=[])
    tree = proof.tree()
    tree.extend(LEAVES[:2])

    with pytest.raises(ProofLengthError):
        proof.check(tree, oracle.tree_hash(LEAVES[:3]))


@pytest.mark.parametrize(
    ("first", "end", "size", "error"),
    [
        (0, 0, 5, ProofIndexError),
        (3, 2, 5, ProofIndexError),
        (-1, 2, 5, ProofIndexError),
        (0, 6, 5, ProofIndexError),
        (0, 0, 0, ProofSizeError),
        (0, 1, 2**63, ProofSizeError),
        (False, True, 5, ProofSizeError),
        (0.0, 1, 5, ProofSizeError),
    ],
)
def test_a_range_that_is_none_is_refused(
    first: int, end: int, size: int, error: type[ProofError]
) -> None:
    with pytest.raises(error):
        RangeProof(begin=first, end=end, size=size, hashes=[])
    with pytest.raises(error):
        make_range_proof(first, end, size, fetch_of(5))


@pytest.mark.parametrize("value", [b"", bytes(31), bytes(33), "0" * 32])
def test_what_is_no_hash_is_refused(value: bytes) -> None:
    with pytest.raises(ProofHashError):
        RangeProof(begin=0, end=1, size=2, hashes=[value])


def test_the_largest_trees_have_a_proof() -> None:
    size = 2**63 - 1
    proof = RangeProof(begin=2**62 - 1, end=2**62, size=size, hashes=[bytes(32)] * 124)

    tree = proof.tree()
    tree.append(bytes(32))

    with pytest.raises(ProofRootError):
        proof.check(tree, bytes(32))
