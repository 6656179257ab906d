"""The full tiles of a log: what each must hold, from the hashes below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from auditvault.core.tlog.merkle import perfect_root
from auditvault.core.tlog.tiles import TILE_WIDTH
from auditvault.ledger.logs import LogRef


class TileLeaves:
    """Leaf hashes as the full tiles have them, read only where entries disagree."""

    def __init__(self, connection: psycopg.Connection[Any], log: LogRef) -> None:
        self._connection = connection
        self._log = log
        self._n = -1
        self._hashes = b""

    def __call__(self, index: int) -> bytes | None:
        """The leaf hash of an index; None where there is no such tile."""
        n, place = divmod(index, TILE_WIDTH)
        if n != self._n:
            row = self._connection.execute(
                "SELECT hashes FROM ledger_tile WHERE tenant_id = %s AND log_id = %s AND level = 0"
                " AND n = %s AND width = 256",
                (self._log.tenant_id, self._log.log_id, n),
            ).fetchone()
            self._n, self._hashes = n, bytes(row[0]) if row else b""
        return self._hashes[place * 32 : place * 32 + 32] or None


def bad_tiles(
    connection: psycopg.Connection[Any],
    log: LogRef,
    hashes: Sequence[bytes],
    *,
    level: int = 0,
    first: int = 0,
    levels: int = 64,
) -> Iterator[int]:
    """The first index under each tile that is not there or not what it must be.

    `hashes` are those of a `level` from the tile `first` on, none missing; so many `levels` are looked at, from it up.
    """
    row = list(hashes)
    while len(row) >= TILE_WIDTH and levels:
        full = len(row) // TILE_WIDTH
        found = connection.execute(
            "SELECT n, hashes, root FROM ledger_tile WHERE tenant_id = %s AND log_id = %s"
            " AND level = %s AND width = 256 AND n >= %s AND n < %s",
            (log.tenant_id, log.log_id, level, first, first + full),
            binary=True,
        ).fetchall()
        stored = {tile[0]: (bytes(tile[1]), bytes(tile[2])) for tile in found}
        roots = []
        for at in range(full):
            tile = row[at * TILE_WIDTH : (at + 1) * TILE_WIDTH]
            roots.append(perfect_root(tile))
            if stored.get(first + at) != (b"".join(tile), roots[-1]):
                yield (first + at) * TILE_WIDTH ** (level + 1)
        row, level, first, levels = roots, level + 1, first // TILE_WIDTH, levels - 1
