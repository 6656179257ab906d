"""Inclusion proofs from a log of 10,000,000 entries on real PostgreSQL, as the service makes them.

All 39,062 tiles of level 0 are made, from their numbers, and hashed into the levels above; rows are only those that
the measured proofs read: 320 MB would tell nothing more. The head, the tiles, the roots and the leaf hashes
of the incomplete tile at the right edge are read by the service's own function, as its own role.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterable
from hashlib import shake_128
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.tlog.merkle import (
    CompactRange,
    perfect_root,
    split_hashes,
    verify_inclusion,
)
from auditvault.core.tlog.tiles import FULL_TILE_SIZE, TILE_WIDTH
from auditvault.ledger.logs import LogRef
from auditvault.ledger.selectors import inclusion
from tests.benchmarks.processes import cpu_seconds
from tests.benchmarks.service import REGION, Instance

SIZE = 10_000_000
TARGET_MS = 5.0
"""For one inclusion proof (issue 3)."""

_TENANT = UUID(int=10_000_000)
_ORIGIN = "bench.example/eu/7d0f2a3e-0000-4000-8000-000000000010"
_PROOFS = 1000


class _Tree:
    """Every tile of the log: level 0 from a tile's number, the others from the roots below."""

    def __init__(self) -> None:
        count = SIZE // TILE_WIDTH
        self.edge = split_hashes(_leaves(count))[: SIZE % TILE_WIDTH]
        self.levels: list[list[bytes]] = [
            [],
            [perfect_root(split_hashes(_leaves(n))) for n in range(count)],
        ]
        while len(self.levels[-1]) >= TILE_WIDTH:
            row = self.levels[-1]
            self.levels.append(
                [
                    perfect_root(row[at : at + TILE_WIDTH])
                    for at in range(0, len(row) - len(row) % TILE_WIDTH, TILE_WIDTH)
                ]
            )
        over = CompactRange()
        over.extend(self.levels[1])
        edge = CompactRange()
        edge.extend(self.edge)
        self.range = CompactRange(SIZE, [*over.nodes, *edge.nodes])

    def tile(self, level: int, n: int) -> bytes:
        """A full tile's hashes."""
        start = n * TILE_WIDTH
        return (
            _leaves(n) if level == 0 else b"".join(self.levels[level][start : start + TILE_WIDTH])
        )

    def row(self, level: int, n: int) -> tuple[object, ...]:
        """A full tile as its row."""
        return level, n, self.tile(level, n), self.levels[level + 1][n]


def measure(instance: Instance) -> dict[str, Any]:
    """Milliseconds to read and make a proof, and to verify one; all must hold."""
    tree = _Tree()
    chance = random.Random(5)  # the same places in every run
    places = [chance.randrange(SIZE) for _ in range(_PROOFS)]
    with instance.connect(f"region_{REGION}") as owner:
        log = _make(owner, tree, places)
    root = tree.range.root()
    with instance.connect_as_app() as connection, connection.transaction():
        connection.execute(f"SET LOCAL auditvault.tenant_id = '{_TENANT}'")
        inclusion(connection, log, index=0, size=SIZE)
        making, verifying = [], []
        backend = connection.info.backend_pid
        backend_before = cpu_seconds([backend])
        for index in places:
            began, cpu = time.perf_counter(), time.process_time()
            proof = inclusion(connection, log, index=index, size=SIZE)
            making.append((time.perf_counter() - began, time.process_time() - cpu))
            leaf = _leaf(index)
            began = time.process_time()
            verify_inclusion(leaf_hash=leaf, index=index, size=SIZE, proof=proof, root=root)
            verifying.append(time.process_time() - began)
        backend_spent = cpu_seconds([backend]) - backend_before
    median = _middle(elapsed for elapsed, _ in making)
    return {
        "entries": SIZE,
        "proofs": _PROOFS,
        "proof_ms": {
            "median": median,
            "p99": round(sorted(elapsed for elapsed, _ in making)[_PROOFS * 99 // 100] * 1000, 3),
            "best": round(min(elapsed for elapsed, _ in making) * 1000, 3),
            "cpu_of_python": _middle(cpu for _, cpu in making),
            "cpu_of_postgres": round(backend_spent / _PROOFS * 1000, 3),
        },
        "verify_ms": _middle(verifying),
        "target_ms": TARGET_MS,
        "meets_target": median < TARGET_MS,
    }


def _make(owner: psycopg.Connection[Any], tree: _Tree, places: Iterable[int]) -> LogRef:
    """Put down the rows that the proofs read. The superuser's session is another role's for nothing else."""
    owner.execute("SET session_replication_role = replica")
    row = owner.execute(
        "INSERT INTO ledger_log (tenant_id, kind, origin) VALUES (%s, 'interactions', %s)"
        " RETURNING log_id",
        (_TENANT, _ORIGIN),
    ).fetchone()
    log = LogRef(
        log_id=row[0] if row else 0, tenant_id=_TENANT, origin=_ORIGIN, kind="interactions"
    )
    owner.execute(
        "INSERT INTO ledger_head (tenant_id, log_id, size, range, last_leaf)"
        " VALUES (%s, %s, %s, %s, %s)",
        (_TENANT, log.log_id, SIZE, tree.range.to_bytes(), tree.edge[-1]),
    )
    owner.execute("SELECT set_config('auditvault.tenant_id', %s, false)", (str(_TENANT),))
    owner.execute("SELECT ledger_ensure_partition(%s, %s)", (log.log_id, SIZE - 1))
    _copy(owner, log, "ledger_tile", "level, n, hashes, root", _tiles(tree, places))
    first = SIZE - len(tree.edge)
    # The entry's own bytes are not looked at by a proof.
    edge = [(first + at, UUID(int=at), leaf, b"{}") for at, leaf in enumerate(tree.edge)]
    _copy(owner, log, "ledger_entry", "idx, record_id, leaf_hash, entry", edge)
    owner.execute("ANALYZE ledger_tile, ledger_entry")
    return log


def _copy(
    owner: psycopg.Connection[Any],
    log: LogRef,
    table: str,
    columns: str,
    rows: Iterable[tuple[object, ...]],
) -> None:
    with owner.cursor().copy(f"COPY {table} (tenant_id, log_id, {columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row((_TENANT, log.log_id, *row))


def _tiles(tree: _Tree, places: Iterable[int]) -> list[tuple[object, ...]]:
    """The tiles above the places, and those whose roots make up the incomplete tile of the level above."""
    keys = {(0, place // TILE_WIDTH) for place in (0, *places)}
    for level in range(len(tree.levels) - 1):
        full = len(tree.levels[level + 1])
        keys |= {(level, n) for n in range(full - full % TILE_WIDTH, full)}
        if level:
            keys |= {(level, n) for n in range(full)}
    return [tree.row(level, n) for level, n in sorted(keys) if n < len(tree.levels[level + 1])]


def _leaves(n: int) -> bytes:
    return shake_128(n.to_bytes(8, "big")).digest(FULL_TILE_SIZE)


def _leaf(index: int) -> bytes:
    n, place = divmod(index, TILE_WIDTH)
    return _leaves(n)[place * 32 : place * 32 + 32]


def _middle(seconds: Iterable[float]) -> float:
    """Median in milliseconds."""
    return round(statistics.median(seconds) * 1000, 3)
