"""Claims about proofs, right and wrong, each with the code that it must be refused with.

Built from `merkle_oracle` alone: which code a claim earns follows from the shape of the path (how many hashes, on
which side each), never from the code under test. A claim without a code must be accepted.

Some claims of a wrong size are right. A path says on which side each sibling stands; where two sizes give the leaf the
same path, the proof and the root fit both. What binds the size is the signed checkpoint, which names it beside the
root: see docs/spec/proof.md section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.reference import merkle_oracle as oracle

MAX_SIZE = 2**63 - 1
MOST = 40
LEAVES = oracle.leaves(MOST)
EMPTY = oracle.tree_hash([])

SIZE = "proof_size_invalid"
INDEX = "proof_index_out_of_range"
HASH = "proof_hash_malformed"
LENGTH = "proof_length_wrong"
ROOT = "proof_root_mismatch"

FLIPPED_BITS = (0, 7, 100, 255)
NO_HASHES: tuple[Any, ...] = (b"", bytes(31), bytes(33), "x" * 32, None, 0)
NO_NUMBERS: tuple[Any, ...] = (-1, -(2**63), True, "1", 1.0, None)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One call of a verifying function."""

    kind: str
    arguments: dict[str, Any]
    code: str | None
    """What it must be refused with; None if it must be accepted."""


Hashes = Sequence[bytes]


@cache
def root(size: int) -> bytes:
    """The root over the first leaves; for a size that no tree of LEAVES has, some other hash."""
    return oracle.tree_hash(LEAVES[:size]) if 0 <= size <= MOST else bytes(32)


def flip(value: bytes, bit: int) -> bytes:
    """Turn one of 256 bits over."""
    return (int.from_bytes(value, "big") ^ (1 << bit)).to_bytes(32, "big")


def inclusion_claims(index: int, size: int) -> Iterator[Claim]:
    """Claims about the proof of leaf `index` in the tree of `size`; 0 <= index < size < MOST."""
    proof = oracle.inclusion_path(index, LEAVES[:size])
    right: dict[str, Any] = {
        "leaf_hash": LEAVES[index],
        "index": index,
        "size": size,
        "proof": proof,
        "root": root(size),
    }

    def claim(kind: str, code: str | None, **changes: Any) -> Claim:
        return Claim(kind=kind, arguments=right | changes, code=code)

    def judge(other_index: int, other_size: int) -> str | None:
        return _inclusion_code(other_index, other_size, len(proof), (index, size))

    yield claim("right", None)
    yield from _hash_claims(claim, right, ("leaf_hash", "root"))
    yield from _proof_claims(claim, proof)
    for other in (index - 1, index + 1):
        yield claim("neighbouring index", judge(other, size), index=other)
    for other in (size - 1, size + 1):
        yield claim("neighbouring size, same root", judge(index, other), size=other)
        code = judge(index, other) or ROOT
        yield claim("neighbouring size, its root", code, size=other, root=root(other))
    for other in (size, 2 * size, MAX_SIZE - 1, 2**64):
        yield claim("index past the end", INDEX, index=other)
    yield claim("size 0", INDEX, size=0, root=EMPTY)
    yield claim("size 0", INDEX, size=0)
    for wrong in NO_NUMBERS:
        yield claim("no index", INDEX, index=wrong)
        yield claim("no size", SIZE, size=wrong)
    yield claim("no size", SIZE, size=MAX_SIZE + 1)
    if proof and proof[0] in LEAVES[:size]:
        swapped = [LEAVES[index], *proof[1:]]
        yield claim("leaf and sibling swapped", ROOT, leaf_hash=proof[0], proof=swapped)
        sibling = LEAVES.index(proof[0])
        yield claim("the sibling's", None, leaf_hash=proof[0], proof=swapped, index=sibling)


def consistency_claims(old: int, new: int) -> Iterator[Claim]:
    """Claims about the proof between the trees of two sizes; 0 < old <= new < MOST."""
    proof = oracle.consistency_path(old, LEAVES[:new])
    right: dict[str, Any] = {
        "old_size": old,
        "new_size": new,
        "old_root": root(old),
        "new_root": root(new),
        "proof": proof,
    }

    def claim(kind: str, code: str | None, **changes: Any) -> Claim:
        return Claim(kind=kind, arguments=right | changes, code=code)

    def judge(other_old: int, other_new: int) -> str | None:
        return _consistency_code(other_old, other_new, len(proof), (old, new))

    yield claim("right", None)
    yield from _hash_claims(claim, right, ("old_root", "new_root"))
    yield from _proof_claims(claim, proof)
    for other in (old - 1, old + 1):
        yield claim("neighbouring old size, same root", judge(other, new), old_size=other)
        changes = {"old_size": other, "old_root": root(other)}
        yield claim("neighbouring old size, its root", _own(other, new, len(proof)), **changes)
    for other in (new - 1, new + 1):
        yield claim("neighbouring new size, same root", judge(old, other), new_size=other)
        changes = {"new_size": other, "new_root": root(other)}
        yield claim("neighbouring new size, its root", _own(old, other, len(proof)), **changes)
    if old < new:
        yield claim("sizes swapped", SIZE, old_size=new, new_size=old)
        yield claim("roots swapped", ROOT, old_root=root(new), new_root=root(old))
    yield claim("old size 0", ROOT, old_size=0)
    yield claim("old size 0, its root", LENGTH if proof else None, old_size=0, old_root=EMPTY)
    yield claim("new size 0", SIZE, new_size=0, new_root=EMPTY)
    for wrong in NO_NUMBERS:
        yield claim("no size", SIZE, old_size=wrong)
        yield claim("no size", SIZE, new_size=wrong)
    yield claim("no size", SIZE, new_size=MAX_SIZE + 1)


def _hash_claims(
    claim: Callable[..., Claim], right: dict[str, Any], names: Sequence[str]
) -> Iterator[Claim]:
    for name in names:
        for bit in FLIPPED_BITS:
            yield claim("flipped bit", ROOT, **{name: flip(right[name], bit)})
        for wrong in NO_HASHES:
            yield claim("no hash", HASH, **{name: wrong})


def _proof_claims(claim: Callable[..., Claim], proof: list[bytes]) -> Iterator[Claim]:
    stranger = oracle.leaf(-1)
    yield claim("too long", LENGTH, proof=[*proof, stranger])
    yield claim("too long", LENGTH, proof=[stranger, *proof])
    yield claim("too long", LENGTH, proof=[*proof, *[stranger] * 100])
    if proof:
        yield claim("empty", LENGTH, proof=[])
    for place, value in enumerate(proof):
        before, after = proof[:place], proof[place + 1 :]
        for bit in FLIPPED_BITS:
            yield claim("flipped bit", ROOT, proof=[*before, flip(value, bit), *after])
        for wrong in NO_HASHES:
            yield claim("no hash", HASH, proof=[*before, wrong, *after])
        yield claim("too short", LENGTH, proof=[*before, *after])
        yield claim("too long", LENGTH, proof=[*before, value, value, *after])
        if after:
            swapped = [*before, after[0], value, *after[1:]]
            yield claim("siblings swapped", ROOT, proof=swapped)
    if len(proof) > 1:
        yield claim("upside down", ROOT, proof=proof[::-1])


def _inclusion_code(index: int, size: int, count: int, place: tuple[int, int]) -> str | None:
    """What the path of `place`, of `count` hashes, earns when it is said to be of another place."""
    if size < 0:
        return SIZE
    if not 0 <= index < size:
        return INDEX
    shape = oracle.inclusion_shape(index, size)
    if len(shape) != count:
        return LENGTH
    return None if shape == oracle.inclusion_shape(*place) else ROOT


def _consistency_code(old: int, new: int, count: int, place: tuple[int, int]) -> str | None:
    """The same for the proof between the sizes of `place`, with the roots of those sizes."""
    if old > new:
        return SIZE
    if old == 0:
        return ROOT  # not the empty tree's
    if len(oracle.consistency_shape(old, new)) != count:
        return LENGTH
    if old == new:
        return ROOT if place[0] < place[1] else None
    return None if oracle.consistency_shape(old, new) == oracle.consistency_shape(*place) else ROOT


def _own(old: int, new: int, count: int) -> str | None:
    """What a proof of `count` hashes earns between two sizes it was not made for, with their own roots."""
    if old > new:
        return SIZE
    if len(oracle.consistency_shape(old, new)) != count:
        return LENGTH
    return ROOT if count else None
