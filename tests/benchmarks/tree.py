"""Chain, tree and proofs of a log of 1,000,000 entries, in memory: CPU time, beside pymerkle over the same leaves.

Entries are made in chunks and not counted. Ours checks every entry's form, place, time and `prev`, hashes it and grows
the tree; pymerkle hashes the same bytes and computes the root. It keeps leaf hashes in a list: its own
in-memory tree hashes twenty nodes an entry. Both must come to the same root.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

from pymerkle import BaseMerkleTree, verify_consistency, verify_inclusion

from auditvault.core.tlog import merkle, tiles
from auditvault.core.tlog.entry import ZERO_HASH, EntryTemplate, leaf_hash
from auditvault.core.tlog.entry_chain import EntryChain
from auditvault.core.tlog.merkle import CompactRange
from auditvault.core.tlog.tiles import TILE_WIDTH, TileKey

TARGET = 100_000
"""Entries a second and core, for chain and tree (issue 3)."""

_ORIGIN = "bench.example/eu/0f8fad5b-d9cb-469f-a165-70867728950e"
_CHUNK = 65_536
_BATCH = 2048  # as `auditvault verify` reads them
_PER_APPEND = 8  # entries that share a time, as those of a small request do
_PROOFS = 2000


class _Leaves(BaseMerkleTree):  # type: ignore[misc]  # it has no types
    """pymerkle over a list of leaf hashes."""

    def __init__(self) -> None:
        self._leaves: list[bytes] = []
        super().__init__("sha256")

    def _encode_entry(self, data: bytes) -> bytes:
        return data

    def _store_leaf(self, data: bytes, digest: bytes) -> int:  # noqa: ARG002  # its interface
        self._leaves.append(digest)
        return len(self._leaves)

    def _get_leaf(self, index: int) -> bytes:
        return self._leaves[index - 1]

    def _get_leaves(self, offset: int, width: int) -> list[bytes]:
        return self._leaves[offset : offset + width]

    def _get_size(self) -> int:
        return len(self._leaves)


def measure(entries: int, rounds: int) -> dict[str, Any]:
    """Figures of `rounds` passes over the log; the best of each counts, since other programs only ever slow one."""
    found = [_pass(entries) for _ in range(rounds)]
    ours = min(item["ours"] for item in found)
    theirs = min(item["pymerkle"] for item in found)
    return {
        "entries": entries,
        "entries_an_append": _PER_APPEND,
        "chain_and_tree_entries_per_cpu_second": round(entries / ours),
        "target": TARGET,
        "meets_target": entries / ours >= TARGET,
        "pymerkle_tree_entries_per_cpu_second": round(entries / theirs),
        "ratio_to_pymerkle": round(theirs / ours, 2),
        "rounds": [{name: round(item[name], 3) for name in ("ours", "pymerkle")} for item in found],
        "proofs": found[-1]["proofs"],
    }


def _pass(entries: int) -> dict[str, Any]:
    chain, theirs = EntryChain(_ORIGIN, CompactRange()), _Leaves()
    levels: dict[int, list[bytes]] = defaultdict(list)
    spent = {"ours": 0.0, "pymerkle": 0.0}
    for chunk in _chunks(entries):
        with _Clock(spent, "ours"):
            for start in range(0, len(chunk), _BATCH):
                levels[0] += chain.extend(chunk[start : start + _BATCH])
        with _Clock(spent, "pymerkle"):
            theirs.append_entries(chunk)
    with _Clock(spent, "pymerkle"):
        root = theirs.get_root()
    if root != chain.tree.root():
        raise ArithmeticError("two roots over the same entries")
    return {**spent, "proofs": _proofs(levels, theirs, root)}


class _Clock:
    """Adds the CPU time of a block to a figure."""

    def __init__(self, spent: dict[str, float], name: str) -> None:
        self._spent, self._name = spent, name

    def __enter__(self) -> None:
        self._began = time.process_time()

    def __exit__(self, *_error: object) -> None:
        self._spent[self._name] += time.process_time() - self._began


def _chunks(entries: int) -> Iterator[list[bytes]]:
    template, prev = EntryTemplate(_ORIGIN), ZERO_HASH
    for start in range(0, entries, _CHUNK):
        chunk = []
        for index in range(start, min(start + _CHUNK, entries)):
            microseconds = index // _PER_APPEND
            at = f"2026-11-23T10:00:{microseconds // 10**6:02d}.{microseconds % 10**6:06d}Z"
            commitment = sha256(index.to_bytes(8, "big")).hexdigest()
            data = template.render(
                index, prev.hex(), at, "interaction.recorded", "otlp:bench", commitment
            )
            chunk.append(data)
            prev = leaf_hash(data)
        yield chunk


def _proofs(levels: dict[int, list[bytes]], theirs: _Leaves, root: bytes) -> dict[str, Any]:
    """Microseconds of CPU time to make and verify a proof: ours from tiles in memory, pymerkle's from its leaves."""
    size, leaves = len(levels[0]), levels[0]
    level = 0
    while len(levels[level]) >= TILE_WIDTH:
        row = levels[level]
        levels[level + 1] = [
            merkle.perfect_root(row[at : at + TILE_WIDTH])
            for at in range(0, len(row) - len(row) % TILE_WIDTH, TILE_WIDTH)
        ]
        level += 1

    def fetch(keys: Any) -> dict[TileKey, bytes]:
        starts = {key: key.n * TILE_WIDTH for key in keys}
        return {
            key: b"".join(levels[key.level][start : start + key.width])
            for key, start in starts.items()
        }

    chance = random.Random(3)  # the same places in every run
    places = [chance.randrange(1, size) for _ in range(_PROOFS)]

    def include(index: int) -> None:
        proof = tiles.inclusion_proof(index, size, fetch)
        merkle.verify_inclusion(
            leaf_hash=leaves[index], index=index, size=size, proof=proof, root=root
        )

    def extend(old: int) -> None:
        proof = tiles.consistency_proof(old, size, fetch)
        merkle.verify_consistency(
            old_size=old,
            new_size=size,
            old_root=tiles.root_at(old, fetch),
            new_root=root,
            proof=proof,
        )

    def their_include(index: int) -> None:
        verify_inclusion(leaves[index], root, theirs.prove_inclusion(index + 1, size))

    def their_extend(old: int) -> None:
        verify_consistency(theirs.get_root(old), root, theirs.prove_consistency(old, size))

    pairs = {"inclusion": (include, their_include), "consistency": (extend, their_extend)}
    return {name: _compared(*pair, places) for name, pair in pairs.items()}


def _compared(
    ours: Callable[[int], None], theirs: Callable[[int], None], places: list[int]
) -> dict[str, float]:
    spent = {"ours": 0.0, "pymerkle": 0.0}
    for name, prove in (("ours", ours), ("pymerkle", theirs)):
        with _Clock(spent, name):
            for place in places:
                prove(place)
    return {
        "us": round(spent["ours"] / len(places) * 1e6, 1),
        "pymerkle_us": round(spent["pymerkle"] / len(places) * 1e6, 1),
        "ratio_to_pymerkle": round(spent["pymerkle"] / spent["ours"], 2),
    }
