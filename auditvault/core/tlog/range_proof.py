"""One proof for a whole range of entries: the roots of the subtrees that the range leaves out.

Rules kept: docs/spec/bundle.md section 4. With the leaves of entries `begin` to `end` - 1 the
hashes lead to the root of the tree of `size` leaves, so every entry of the range is proved at
once, and that none between them is missing. Size and root must come from one signed checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from auditvault.core.tlog.merkle import (
    HASH_SIZE,
    MAX_SIZE,
    CompactRange,
    ProofHashError,
    ProofIndexError,
    ProofLengthError,
    ProofRootError,
    ProofSizeError,
    fold,
    node_hash,
)
from auditvault.core.tlog.tiles import Fetch, NodeReader


class RangeProof:
    """The hashes that lead from the leaves `begin` to `end` - 1 to the root over `size` leaves.

    Raises ProofSizeError or ProofIndexError unless 0 <= begin < end <= size, ProofHashError when a
    hash is not 32 bytes, ProofLengthError when there are more or fewer than the numbers ask for.
    """

    __slots__ = ("_begin", "_end", "_left", "_right", "_size")

    def __init__(self, *, begin: int, end: int, size: int, hashes: Sequence[bytes]) -> None:
        _check_range(begin, end, size)
        if any(not isinstance(value, bytes) or len(value) != HASH_SIZE for value in hashes):
            raise ProofHashError("a hash is 32 bytes")
        left, right = begin.bit_count(), sum(1 for _ in _right_nodes(end, size))
        if len(hashes) != left + right:
            raise ProofLengthError(f"the proof has {len(hashes)} hashes instead of {left + right}")
        self._begin, self._end, self._size = begin, end, size
        self._left, self._right = tuple(hashes[:left]), tuple(hashes[left:])

    def tree(self) -> CompactRange:
        """Return the tree of the `begin` leaves before the range, to be extended by the range's.

        Nothing about it is verified before `check` has held.
        """
        return CompactRange(self._begin, self._left)

    def outside(self) -> dict[tuple[int, int], bytes]:
        """Return the subtree of each hash, as its first leaf and the one behind its last."""
        found = dict(zip(_left_ranges(self._begin), self._left, strict=True))
        place = self._end
        heights = _right_nodes(self._end, self._size)
        for height, value in zip(heights, self._right, strict=True):
            found[place, place + (1 << height)] = value
            place += 1 << height
        return found

    def check(self, tree: CompactRange, root: bytes) -> None:
        """Raise ProofRootError unless `tree`, extended by the range's leaves, leads to `root`."""
        if tree.size != self._end:
            raise ProofLengthError("the tree has not the leaves of the range")
        nodes, place = list(tree.nodes), self._end
        heights = _right_nodes(self._end, self._size)
        for height, value in zip(heights, self._right, strict=True):
            node, carry = value, height
            while place >> carry & 1:
                node = node_hash(nodes.pop(), node)
                carry += 1
            nodes.append(node)
            place += 1 << height
        if fold(nodes) != root:
            raise ProofRootError("the entries and the proof lead to another root")


def make_range_proof(begin: int, end: int, size: int, fetch: Fetch) -> list[bytes]:
    """Return the hashes of the proof, read from tiles with one fetch.

    Raises ProofSizeError or ProofIndexError unless 0 <= begin < end <= size, TileError when a tile
    is missing or malformed.
    """
    _check_range(begin, end, size)
    ranges = [*_left_ranges(begin)]
    place = end
    for height in _right_nodes(end, size):
        ranges.append((place, place + (1 << height)))
        place += 1 << height
    return NodeReader(size, fetch).hashes(ranges)


def _left_ranges(begin: int) -> Iterator[tuple[int, int]]:
    start = 0
    for height in range(begin.bit_length() - 1, -1, -1):
        if begin >> height & 1:
            yield start, start + (1 << height)
            start += 1 << height


def _right_nodes(place: int, size: int) -> Iterator[int]:
    """The heights of the perfect subtrees that fill [place, size), from left to right; place > 0."""
    while place < size:
        aligned = (place & -place).bit_length() - 1
        height = min(aligned, (size - place).bit_length() - 1)
        yield height
        place += 1 << height


def _check_range(begin: int, end: int, size: int) -> None:
    if any(type(number) is not int for number in (begin, end, size)) or not 0 < size <= MAX_SIZE:
        raise ProofSizeError("sizes and indices are integers, and a size is 1 to 2^63 - 1")
    if not 0 <= begin < end <= size:
        raise ProofIndexError("a range is 0 <= begin < end <= size")
