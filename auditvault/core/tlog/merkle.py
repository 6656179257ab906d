"""The Merkle tree of RFC 9162 section 2.1 (RFC 6962's tree) over SHA-256.

Rules kept: docs/spec/entry.md section 4. `CompactRange` grows a tree from its right edge in O(log
n) memory; `verify_inclusion` and `verify_consistency` check proofs and raise, never answer no. A
"leaf" in here is a leaf hash. Making proofs is left to `tiles`, hashing entries to `entry`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import ClassVar

from auditvault.core.errors import AuditvaultError

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()
MAX_SIZE = 2**63 - 1
"""Largest number of leaves: a signed 64-bit integer, as PostgreSQL and Go tools count."""

_NODE_PREFIX = b"\x01"
_COLLECTED_HEIGHT = 8  # one tile level


class TreeError(AuditvaultError):
    """A size, a hash or the nodes of a compact range are malformed."""

    code: ClassVar[str] = "tree_malformed"


class ProofError(AuditvaultError):
    """A proof does not prove what it is said to; every subclass has its own code."""

    code: ClassVar[str] = "proof_invalid"


class ProofSizeError(ProofError):
    """A tree size is out of range, or the old size is beyond the new one."""

    code: ClassVar[str] = "proof_size_invalid"


class ProofIndexError(ProofError):
    """The index is not one of a leaf of the tree."""

    code: ClassVar[str] = "proof_index_out_of_range"


class ProofHashError(ProofError):
    """A root, a leaf hash or a proof's hash is not 32 bytes."""

    code: ClassVar[str] = "proof_hash_malformed"


class ProofLengthError(ProofError):
    """The proof has more or fewer hashes than its sizes and index ask for."""

    code: ClassVar[str] = "proof_length_wrong"


class ProofRootError(ProofError):
    """The proof leads to another root."""

    code: ClassVar[str] = "proof_root_mismatch"


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right)."""
    return sha256(_NODE_PREFIX + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over these leaf hashes; `EMPTY_ROOT` for none."""
    tree = CompactRange()
    tree.extend(leaves)
    return tree.root()


class CompactRange:
    """The roots of the perfect subtrees that make up a tree of `size` leaves, biggest first.

    There is one for each bit set in `size`. Raises TreeError when `nodes` does not fit `size`.
    """

    __slots__ = ("_nodes", "_size")

    def __init__(self, size: int = 0, nodes: Sequence[bytes] = ()) -> None:
        if not _is_size(size):
            raise TreeError("a size is an integer from 0 to 2^63 - 1")
        if len(nodes) != size.bit_count() or any(len(node) != HASH_SIZE for node in nodes):
            raise TreeError("a compact range has one 32-byte node for each bit set in its size")
        self._size = size
        self._nodes = list(nodes)

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    @property
    def nodes(self) -> tuple[bytes, ...]:
        """Subtree roots, biggest subtree first."""
        return tuple(self._nodes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash; raises TreeError when it is not 32 bytes or the tree is full."""
        self.extend((leaf,))

    def extend(self, leaves: Sequence[bytes]) -> Mapping[int, list[bytes]]:
        """Add leaf hashes in order.

        Returns, for each tile level from 1 up, the hashes that this call added to that level, in
        order: they are the roots of the tiles that it completed one level below, for nothing extra.
        Raises TreeError, and changes nothing, when a leaf is not 32 bytes or the tree is full.
        """
        if any(len(leaf) != HASH_SIZE for leaf in leaves):
            raise TreeError("a leaf hash is 32 bytes")
        new_size = self._size + len(leaves)
        if new_size > MAX_SIZE:
            raise TreeError("a tree has at most 2^63 - 1 leaves")
        collected: dict[int, list[bytes]] = {}
        rest = self._size
        row = list(leaves)
        kept: list[bytes] = []  # of the new range, smallest subtree first
        height = 0
        while row:
            if height and height % _COLLECTED_HEIGHT == 0:
                collected[height // _COLLECTED_HEIGHT] = row.copy()
            if rest & 1:
                row.insert(0, self._nodes.pop())
            if len(row) & 1:
                kept.append(row.pop())
            row = _parents(row)
            rest >>= 1
            height += 1
        self._nodes.extend(reversed(kept))
        self._size = new_size
        return collected

    def root(self) -> bytes:
        """Return the tree's root; `EMPTY_ROOT` when it has no leaf."""
        return fold(self._nodes) if self._nodes else EMPTY_ROOT

    def to_bytes(self) -> bytes:
        """Return the nodes one after the other, biggest subtree first, 32 bytes each."""
        return b"".join(self._nodes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> CompactRange:
        """Read what `to_bytes` wrote for a tree of `size`; raises TreeError if it does not fit."""
        if len(data) % HASH_SIZE:
            raise TreeError("nodes are 32 bytes each")
        return cls(size, split_hashes(data))


def fold(nodes: Sequence[bytes]) -> bytes:
    """Return the root over adjoining perfect subtrees, given biggest first; at least one."""
    root = nodes[-1]
    for node in reversed(nodes[:-1]):
        root = node_hash(node, root)
    return root


def split_hashes(data: bytes) -> list[bytes]:
    """Cut concatenated 32-byte hashes."""
    return [data[start : start + HASH_SIZE] for start in range(0, len(data), HASH_SIZE)]


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over 2^k hashes, k >= 0."""
    row = list(hashes)
    while len(row) > 1:
        row = _parents(row)
    return row[0]


def verify_inclusion(
    *, leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that leaf `index` of the tree of `size` leaves under `root` is `leaf_hash`.

    RFC 9162 section 2.1.3.2; `proof` starts at the leaf. Size and root must come from one signed
    checkpoint: the path alone does not bind the size (docs/spec/proof.md section 4). Raises a
    ProofError: ProofSizeError, ProofIndexError (always, where size is 0), ProofHashError,
    ProofLengthError or ProofRootError.
    """
    _check_proof_size(size)
    if type(index) is not int or not 0 <= index < size:
        raise ProofIndexError("the index is not one of a leaf of the tree")
    _check_proof_hashes((leaf_hash, root, *proof))
    node, last, computed = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            raise ProofLengthError("the proof is too long")
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            node, last = _skip_right_edge(node, last)
        else:
            computed = node_hash(computed, sibling)
        node >>= 1
        last >>= 1
    if last != 0:
        raise ProofLengthError("the proof is too short")
    if computed != root:
        raise ProofRootError("the proof leads to another root")


def verify_consistency(
    *, old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree under `new_root` begins with all the leaves of the one under `old_root`.

    RFC 9162 section 2.1.4.2; the proof is empty when the sizes are equal or the old tree has no
    leaf, and then the old root must be `EMPTY_ROOT`. Each size and its root must come from one
    signed checkpoint (docs/spec/proof.md section 4). Raises a ProofError: ProofSizeError,
    ProofHashError, ProofLengthError or ProofRootError.
    """
    _check_proof_size(old_size)
    _check_proof_size(new_size)
    if old_size > new_size:
        raise ProofSizeError("the old tree is bigger than the new one")
    _check_proof_hashes((old_root, new_root, *proof))
    _check_empty_root(old_size, old_root)
    _check_empty_root(new_size, new_root)
    if old_size in (0, new_size):
        if proof:
            raise ProofLengthError("the proof is too long")
        if old_size == new_size and old_root != new_root:
            raise ProofRootError("two roots for one size")
        return
    computed_old, computed_new = _consistency_roots(old_size, new_size, old_root, proof)
    if computed_old != old_root:
        raise ProofRootError("the proof leads to another old root")
    if computed_new != new_root:
        raise ProofRootError("the proof leads to another new root")


def _consistency_roots(
    old_size: int, new_size: int, old_root: bytes, proof: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Steps 2 to 6 of RFC 9162 section 2.1.4.2, for 0 < old_size < new_size."""
    path = [old_root, *proof] if old_size.bit_count() == 1 else list(proof)
    if not path:
        raise ProofLengthError("the proof is too short")
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofLengthError("the proof is too long")
        if node & 1 or node == last:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            node, last = _skip_right_edge(node, last)
        else:
            new = node_hash(new, sibling)
        node >>= 1
        last >>= 1
    if last != 0:
        raise ProofLengthError("the proof is too short")
    return old, new


def _skip_right_edge(node: int, last: int) -> tuple[int, int]:
    """Climb past the levels where a left child on the right edge has no sibling."""
    while node and not node & 1:
        node >>= 1
        last >>= 1
    return node, last


def _parents(row: list[bytes]) -> list[bytes]:
    hasher, prefix = sha256, _NODE_PREFIX  # local names: this is the tree's inner loop
    pairs = iter(row)
    return [
        hasher(prefix + left + right).digest() for left, right in zip(pairs, pairs, strict=True)
    ]


def _is_size(size: int) -> bool:
    return type(size) is int and 0 <= size <= MAX_SIZE


def _check_proof_size(size: int) -> None:
    if not _is_size(size):
        raise ProofSizeError("a size is an integer from 0 to 2^63 - 1")


def _check_proof_hashes(hashes: Sequence[bytes]) -> None:
    # 32 characters of text have the right length and are no hash either.
    if any(not isinstance(value, bytes) or len(value) != HASH_SIZE for value in hashes):
        raise ProofHashError("a hash is 32 bytes")


def _check_empty_root(size: int, root: bytes) -> None:
    if size == 0 and root != EMPTY_ROOT:
        raise ProofRootError("a tree without leaves has the empty root")
