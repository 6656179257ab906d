"""The Merkle tree as RFC 9162 section 2.1 writes it: recursive, slow and obvious.

Checks the fast code in `auditvault.core.tlog` and shares nothing with it. Takes leaf hashes, not
entries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

Leaves = tuple[bytes, ...]


def leaf(number: int) -> bytes:
    """Return the leaf hash of an entry that holds just its number."""
    return hashlib.sha256(b"\x00" + str(number).encode()).digest()


def leaves(count: int) -> Leaves:
    """Return the leaf hashes of the first `count` such entries."""
    return tuple(leaf(number) for number in range(count))


def tree_hash(hashes: Sequence[bytes]) -> bytes:
    """MTH of section 2.1.1."""
    if len(hashes) == 0:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = split(len(hashes))
    return hashlib.sha256(b"\x01" + tree_hash(hashes[:k]) + tree_hash(hashes[k:])).digest()


def inclusion_path(m: int, hashes: Sequence[bytes]) -> list[bytes]:
    """PATH of section 2.1.3.1."""
    if len(hashes) == 1:
        return []
    k = split(len(hashes))
    if m < k:
        return [*inclusion_path(m, hashes[:k]), tree_hash(hashes[k:])]
    return [*inclusion_path(m - k, hashes[k:]), tree_hash(hashes[:k])]


def consistency_path(m: int, hashes: Sequence[bytes]) -> list[bytes]:
    """PROOF of section 2.1.4.1, for 0 < m < the number of leaves."""
    return _subproof(m, hashes, whole=True)


def _subproof(m: int, hashes: Sequence[bytes], *, whole: bool) -> list[bytes]:
    if m == len(hashes):
        return [] if whole else [tree_hash(hashes)]
    k = split(len(hashes))
    if m <= k:
        return [*_subproof(m, hashes[:k], whole=whole), tree_hash(hashes[k:])]
    return [*_subproof(m - k, hashes[k:], whole=False), tree_hash(hashes[:k])]


def compact_range(hashes: Sequence[bytes]) -> list[bytes]:
    """The perfect subtrees that MTH of section 2.1.1 cuts from the left, biggest first."""
    if len(hashes) == 0:
        return []
    if is_power_of_two(len(hashes)):
        return [tree_hash(hashes)]
    k = split(len(hashes))
    return [tree_hash(hashes[:k]), *compact_range(hashes[k:])]


def is_power_of_two(n: int) -> bool:
    """Say whether a tree of n > 0 leaves is perfect."""
    return n == 1 or 2 * split(n) == n


def inclusion_shape(m: int, n: int) -> str:
    """PATH without its hashes: for each, from the leaf up, the side on which it stands."""
    if n == 1:
        return ""
    k = split(n)
    return inclusion_shape(m, k) + "R" if m < k else inclusion_shape(m - k, n - k) + "L"


def consistency_shape(m: int, n: int) -> str:
    """PROOF without its hashes; "=" stands for one that is a subtree of both trees."""
    return "" if m in (0, n) else _subproof_shape(m, n, whole=True)


def _subproof_shape(m: int, n: int, *, whole: bool) -> str:
    if m == n:
        return "" if whole else "="
    k = split(n)
    if m <= k:
        return _subproof_shape(m, k, whole=whole) + "R"
    return _subproof_shape(m - k, n - k, whole=False) + "L"


def split(n: int) -> int:
    """Return the largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def tile(hashes: Sequence[bytes], level: int, n: int, width: int) -> bytes:
    """Return a tile by C2SP tlog-tiles' formula: hash i is MTH of 256**level leaves."""
    span = 256**level
    first = n * 256
    return b"".join(
        tree_hash(hashes[i * span : (i + 1) * span]) for i in range(first, first + width)
    )


def all_tiles(hashes: Sequence[bytes]) -> Mapping[tuple[int, int, int], bytes]:
    """Return every tile of the tree, partial ones at its size, by (level, n, width)."""
    tiles = {}
    level, count = 0, len(hashes)
    while count:
        for n in range((count + 255) // 256):
            width = min(256, count - n * 256)
            tiles[level, n, width] = tile(hashes, level, n, width)
        level, count = level + 1, count // 256
    return tiles
