"""Three digests over thousands of hashes and proofs, published by others.

Appendix C of draft-ietf-plants-merkle-tree-certs-05 writes one line for every subtree hash (C.1), every inclusion
proof in a subtree (C.2) and every consistency proof of a subtree (C.3) of trees of up to 130 leaves, where leaf i is
the byte i, and gives the SHA-256 of all lines. transparency-dev/merkle has the same values in
`testonly/vectors_test.go` at 1c243046 (values only). The fourth, C.4, is about cutting ranges that this code
never cuts.

A subtree [start, end) is a node of the tree or the left part of one. Its hash is the root over its leaves, and an
inclusion proof in it is one in the tree of its leaves alone. Its consistency proof with the tree of n goes first to
the node [start, stop) that it is the left part of, and from there up: what consistency and inclusion proofs do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from auditvault.core.tlog.entry import leaf_hash
from auditvault.core.tlog.merkle import root_of
from auditvault.core.tlog.tiles import TileKey, consistency_proof, inclusion_proof, root_at
from tests.reference import merkle_oracle as oracle

MOST = 130
LEAVES = tuple(leaf_hash(bytes([number])) for number in range(MOST))
SUBTREE_HASHES = "94a95384a8c69acea9b50d035a58285b3a777cb7a724005faa5e1f1e1190007f"
INCLUSION_PROOFS = "ac2a8f989e44d99e399db448050ff5f19757df53cfb716aa81015d3955d8163f"
CONSISTENCY_PROOFS = "c586ebbb73a5621baf2140095d87dde934e3b6503a562a1a5215b8209edd083d"


class Tiles:
    """The one tile of the tree over LEAVES[start:end]."""

    def __init__(self, start: int, end: int) -> None:
        self._hashes = LEAVES[start:end]

    def __call__(self, keys: Sequence[TileKey]) -> Mapping[TileKey, bytes]:
        assert {(key.level, key.n) for key in keys} == {(0, 0)}
        return {key: b"".join(self._hashes[: key.width]) for key in keys}


def subtrees() -> Iterator[tuple[int, int]]:
    """Every subtree of section 4.1: start is a multiple of the least power of two that is not below its length."""
    for end in range(1, MOST + 1):
        for start in range(end):
            if start % _ceiling(end - start) == 0:
                yield start, end


def _ceiling(length: int) -> int:
    power = 1
    while power < length:
        power *= 2
    return power


def line(prefix: str, hashes: Sequence[bytes]) -> bytes:
    return " ".join([prefix, *(value.hex() for value in hashes)]).encode() + b"\n"


def digest(lines: Iterator[bytes]) -> str:
    found = hashlib.sha256()
    for text in lines:
        found.update(text)
    return found.hexdigest()


@cache
def included(index: int, start: int, end: int) -> list[bytes]:
    """The proof of leaf `index` in the tree over LEAVES[start:end]."""
    return inclusion_proof(index - start, end - start, Tiles(start, end))


@cache
def consistent(start: int, end: int, stop: int) -> list[bytes]:
    """The proof from LEAVES[start:end] to LEAVES[start:stop]."""
    return consistency_proof(end - start, stop - start, Tiles(start, stop))


def subtree_consistency(start: int, end: int, size: int) -> list[bytes]:
    stop = min(start + _ceiling(end - start), size)
    inside = len(included(start, start, stop))
    return [*consistent(start, end, stop), *included(start, 0, size)[inside:]]


def test_every_subtree_hash_is_the_published_one() -> None:
    def lines(hashes: Mapping[tuple[int, int], bytes]) -> Iterator[bytes]:
        for start, end in subtrees():
            yield line(f"[{start}, {end})", [hashes[start, end]])

    appended = {(start, end): root_of(LEAVES[start:end]) for start, end in subtrees()}
    read = {(start, end): root_at(end - start, Tiles(start, end)) for start, end in subtrees()}
    slow = {(start, end): oracle.tree_hash(LEAVES[start:end]) for start, end in subtrees()}

    assert digest(lines(appended)) == SUBTREE_HASHES
    assert digest(lines(read)) == SUBTREE_HASHES
    assert digest(lines(slow)) == SUBTREE_HASHES


def test_every_inclusion_proof_is_the_published_one() -> None:
    lines = (
        line(f"{index} [{start}, {end})", included(index, start, end))
        for start, end in subtrees()
        for index in range(start, end)
    )

    assert digest(lines) == INCLUSION_PROOFS


def test_every_consistency_proof_is_the_published_one() -> None:
    of_end: dict[int, list[int]] = {}
    for start, end in subtrees():
        of_end.setdefault(end, []).append(start)
    lines = (
        line(f"[{start}, {end}) {size}", subtree_consistency(start, end, size))
        for size in range(MOST + 1)
        for end in range(1, size + 1)
        for start in of_end[end]
    )

    assert digest(lines) == CONSISTENCY_PROOFS
