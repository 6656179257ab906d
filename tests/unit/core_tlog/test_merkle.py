from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.entry import leaf_hash
from auditvault.core.tlog.merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    CompactRange,
    ProofError,
    ProofHashError,
    ProofIndexError,
    ProofLengthError,
    ProofRootError,
    ProofSizeError,
    TreeError,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from tests.reference import merkle_oracle as oracle

VECTORS = Path(__file__).parents[2] / "vectors" / "rfc6962_reference_values.json"
MOST = 300
LEAVES = oracle.leaves(MOST + 1)
sizes = st.integers(1, MOST)


@cache
def _root(size: int) -> bytes:
    return oracle.tree_hash(LEAVES[:size])


@cache
def _published() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(VECTORS.read_text())
    return value


@st.composite
def index_and_size(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(sizes)
    return draw(st.integers(0, size - 1)), size


@st.composite
def old_and_new(draw: st.DrawFn) -> tuple[int, int]:
    new = draw(st.integers(2, MOST))
    return draw(st.integers(1, new - 1)), new


def _include(index: int, size: int, proof: Sequence[bytes], /, **changes: Any) -> None:
    values: dict[str, Any] = {
        "leaf_hash": LEAVES[index],
        "index": index,
        "size": size,
        "proof": proof,
        "root": _root(size),
    }
    verify_inclusion(**(values | changes))


def _consist(old: int, new: int, proof: Sequence[bytes], /, **changes: Any) -> None:
    values: dict[str, Any] = {
        "old_size": old,
        "new_size": new,
        "old_root": _root(old),
        "new_root": _root(new),
        "proof": proof,
    }
    verify_consistency(**(values | changes))


def _inclusion(index: int, size: int) -> list[bytes]:
    return oracle.inclusion_path(index, LEAVES[:size])


def _consistency(old: int, new: int) -> list[bytes]:
    return oracle.consistency_path(old, LEAVES[:new])


def _wrong_proofs(proof: list[bytes]) -> list[list[bytes]]:
    wrong = [[*proof, bytes(32)], [bytes(32), *proof], [*proof, proof[-1]] if proof else [b""]]
    for place, value in enumerate(proof):
        flipped = bytes([value[0] ^ 1]) + value[1:]
        wrong += [
            [*proof[:place], flipped, *proof[place + 1 :]],
            [*proof[:place], *proof[place + 1 :]],
            [*proof[:place], value[:-1], *proof[place + 1 :]],
            [*proof[:place], value, *proof[place:]],
        ]
        if place:
            swapped = [*proof]
            swapped[place - 1 : place + 1] = value, proof[place - 1]
            wrong.append(swapped)
    return wrong


def test_leaves_nodes_and_roots_are_the_published_ones() -> None:
    published = _published()
    leaves = [leaf_hash(bytes.fromhex(data)) for data in published["leaf_inputs_hex"]]
    roots = [root_of(leaves[:size]).hex() for size in range(9)]
    rows = [leaves]
    while len(rows[-1]) > 1:
        row = rows[-1]
        rows.append([node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)])

    assert roots == published["root_by_tree_size_hex"]
    assert [[node.hex() for node in row] for row in rows] == published["node_hashes_by_level_hex"]


def test_the_empty_root_is_the_published_one() -> None:
    assert _published()["root_by_tree_size_hex"][0] == EMPTY_ROOT.hex()


def test_appending_gives_the_oracles_root_at_every_size() -> None:
    tree = CompactRange()
    for size in range(1, MOST + 1):
        tree.append(LEAVES[size - 1])

        assert tree.root() == _root(size)
        assert tree.size == size


@given(st.lists(st.integers(0, 90), max_size=6))
def test_extending_in_any_pieces_gives_the_oracles_root(pieces: list[int]) -> None:
    tree = CompactRange()
    size = 0
    for piece in pieces:
        end = min(size + piece, MOST)
        tree.extend(LEAVES[size:end])
        size = end

    assert tree.root() == _root(size)
    assert tree.nodes == CompactRange(size, tree.nodes).nodes


@given(st.integers(0, MOST))
def test_a_compact_range_comes_back_from_its_bytes(size: int) -> None:
    tree = CompactRange()
    tree.extend(LEAVES[:size])

    again = CompactRange.from_bytes(size, tree.to_bytes())
    again.append(LEAVES[size])
    tree.append(LEAVES[size])

    assert again.root() == tree.root() == oracle.tree_hash(LEAVES[: size + 1])


def test_the_nodes_are_the_perfect_subtrees_biggest_first() -> None:
    tree = CompactRange()
    tree.extend(LEAVES[:11])

    assert tree.nodes == tuple(
        oracle.tree_hash(LEAVES[begin:end]) for begin, end in [(0, 8), (8, 10), (10, 11)]
    )


@given(st.integers(0, 700), st.integers(0, 700))
def test_extending_returns_the_completed_tiles_roots(old: int, more: int) -> None:
    leaves = oracle.leaves(old + more)
    tree = CompactRange()
    tree.extend(leaves[:old])

    collected = tree.extend(leaves[old:])

    expected = [
        oracle.tree_hash(leaves[n * 256 : (n + 1) * 256])
        for n in range(old // 256, (old + more) // 256)
    ]
    assert collected == ({1: expected} if expected else {})


def test_extending_with_a_malformed_leaf_changes_nothing() -> None:
    tree = CompactRange()
    tree.extend(LEAVES[:5])

    with pytest.raises(TreeError):
        tree.extend([LEAVES[5], b"short"])

    assert (tree.size, tree.root()) == (5, _root(5))


def test_a_tree_cannot_outgrow_its_size() -> None:
    tree = CompactRange(MAX_SIZE, [bytes(32)] * MAX_SIZE.bit_count())

    with pytest.raises(TreeError):
        tree.append(LEAVES[0])


@pytest.mark.parametrize(
    ("size", "nodes"),
    [(0, [bytes(32)]), (3, [bytes(32)]), (1, [bytes(31)]), (-1, []), (MAX_SIZE + 1, [bytes(32)])],
)
def test_nodes_that_do_not_fit_the_size_are_refused(size: int, nodes: list[bytes]) -> None:
    with pytest.raises(TreeError):
        CompactRange(size, nodes)


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(33), bytes(64)])
def test_bytes_that_do_not_fit_the_size_are_refused(data: bytes) -> None:
    with pytest.raises(TreeError):
        CompactRange.from_bytes(1, data)


@given(index_and_size())
def test_the_oracles_inclusion_proof_is_accepted(place: tuple[int, int]) -> None:
    _include(*place, _inclusion(*place))


@pytest.mark.parametrize("size", range(1, 34))
def test_every_inclusion_proof_of_a_small_tree_is_accepted(size: int) -> None:
    for index in range(size):
        _include(index, size, _inclusion(index, size))


@given(index_and_size())
def test_a_changed_inclusion_proof_is_refused(place: tuple[int, int]) -> None:
    for wrong in _wrong_proofs(_inclusion(*place)):
        with pytest.raises(ProofError):
            _include(*place, wrong)


@given(index_and_size())
def test_an_inclusion_proof_is_refused_for_another_index(place: tuple[int, int]) -> None:
    index, size = place
    for other in {index - 1, index + 1, 0, size - 1, size, -1} - {index}:
        with pytest.raises(ProofError):
            _include(index, size, _inclusion(index, size), index=other)


@given(index_and_size())
def test_an_inclusion_proof_is_refused_under_a_neighbouring_trees_head(
    place: tuple[int, int],
) -> None:
    index, size = place
    for other in (size - 1, size + 1):
        with pytest.raises(ProofError):
            _include(index, size, _inclusion(index, size), size=other, root=_root(other))


@given(index_and_size(), st.integers(0, 255))
def test_an_inclusion_proof_is_refused_for_a_flipped_root_or_leaf(
    place: tuple[int, int], bit: int
) -> None:
    index, size = place
    for name, value in (("root", _root(size)), ("leaf_hash", LEAVES[index])):
        flipped = (int.from_bytes(value, "big") ^ (1 << bit)).to_bytes(32, "big")
        with pytest.raises(ProofRootError):
            _include(index, size, _inclusion(index, size), **{name: flipped})


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"index": 7}, ProofIndexError),
        ({"index": -1}, ProofIndexError),
        ({"index": True}, ProofIndexError),
        ({"size": 0}, ProofIndexError),
        ({"size": -1}, ProofSizeError),
        ({"size": MAX_SIZE + 1}, ProofSizeError),
        ({"leaf_hash": b""}, ProofHashError),
        ({"root": bytes(33)}, ProofHashError),
        ({"proof": [b"x", bytes(32), bytes(32)]}, ProofHashError),
        ({"proof": []}, ProofLengthError),
        ({"proof": [bytes(32)] * 4}, ProofLengthError),
        ({"proof": [bytes(32)] * 3}, ProofRootError),
    ],
)
def test_each_wrong_inclusion_has_its_own_error(
    changes: dict[str, Any], error: type[ProofError]
) -> None:
    with pytest.raises(error) as caught:
        _include(3, 7, _inclusion(3, 7), **changes)

    assert type(caught.value) is error


def test_the_codes_of_the_proof_errors_are_distinct() -> None:
    errors: list[type[ProofError]] = [ProofError, *ProofError.__subclasses__()]

    assert len({error.code for error in errors}) == len(errors) == 6


@given(old_and_new())
def test_the_oracles_consistency_proof_is_accepted(place: tuple[int, int]) -> None:
    _consist(*place, _consistency(*place))


@pytest.mark.parametrize("new", range(2, 34))
def test_every_consistency_proof_of_a_small_tree_is_accepted(new: int) -> None:
    for old in range(1, new):
        _consist(old, new, _consistency(old, new))


@given(old_and_new())
def test_a_changed_consistency_proof_is_refused(place: tuple[int, int]) -> None:
    for wrong in _wrong_proofs(_consistency(*place)):
        with pytest.raises(ProofError):
            _consist(*place, wrong)


@given(old_and_new())
def test_a_consistency_proof_is_refused_for_neighbouring_trees(place: tuple[int, int]) -> None:
    old, new = place
    proof = _consistency(old, new)
    for other in (old - 1, old + 1):
        with pytest.raises(ProofError):
            _consist(old, new, proof, old_size=other, old_root=_root(other))
    for other in (new - 1, new + 1):
        with pytest.raises(ProofError):
            _consist(old, new, proof, new_size=other, new_root=_root(other))


@given(old_and_new())
def test_a_consistency_proof_is_refused_for_swapped_or_flipped_roots(
    place: tuple[int, int],
) -> None:
    old, new = place
    proof = _consistency(old, new)
    flipped = bytes([_root(old)[0] ^ 1]) + _root(old)[1:]
    for old_root, new_root in (
        (_root(new), _root(old)),
        (flipped, _root(new)),
        (_root(old), flipped),
    ):
        with pytest.raises(ProofError):
            _consist(old, new, proof, old_root=old_root, new_root=new_root)


@given(old_and_new(), st.data())
def test_a_rewritten_leaf_of_the_old_tree_is_refused(
    place: tuple[int, int], data: st.DataObject
) -> None:
    old, new = place
    rewritten = list(LEAVES[:new])
    rewritten[data.draw(st.integers(0, old - 1))] = oracle.leaf(-1)

    with pytest.raises(ProofError):
        _consist(
            old,
            new,
            oracle.consistency_path(old, rewritten),
            new_root=oracle.tree_hash(rewritten),
        )


def test_equal_trees_are_consistent_without_a_proof() -> None:
    _consist(7, 7, [])


def test_every_tree_is_consistent_with_the_empty_one() -> None:
    _consist(0, 7, [])
    _consist(0, 0, [])


@pytest.mark.parametrize(
    ("old", "new", "proof", "changes", "error"),
    [
        (7, 7, [bytes(32)], {}, ProofLengthError),
        (0, 7, [bytes(32)], {}, ProofLengthError),
        (7, 7, [], {"new_root": bytes(32)}, ProofRootError),
        (0, 7, [], {"old_root": bytes(32)}, ProofRootError),
        (0, 0, [], {"new_root": bytes(32), "old_root": bytes(32)}, ProofRootError),
        (7, 6, [], {}, ProofSizeError),
        (-1, 6, [], {"old_root": bytes(32)}, ProofSizeError),
        (1, 2, [], {"new_size": MAX_SIZE + 1}, ProofSizeError),
        (True, 2, [], {}, ProofSizeError),
        (3, 7, [], {}, ProofLengthError),
        (4, 7, [], {}, ProofLengthError),
        (3, 7, [bytes(32)] * 9, {}, ProofLengthError),
        (3, 7, [bytes(32)] * 4, {}, ProofRootError),
        (3, 7, [bytes(31)] * 4, {}, ProofHashError),
        (3, 7, [], {"old_root": b""}, ProofHashError),
    ],
)
def test_each_wrong_consistency_has_its_own_error(
    old: int,
    new: int,
    proof: list[bytes],
    changes: dict[str, Any],
    error: type[ProofError],
) -> None:
    with pytest.raises(error) as caught:
        _consist(old, new, proof, **changes)

    assert type(caught.value) is error
