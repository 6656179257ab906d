"""Which tiles an append completes, and where a proof's hashes are read from.

Full tiles are rows, written when their last hash arrives. The right edge of the tree is read from the entries
(level 0) or from the roots of the tiles below (higher levels), so an append of a few entries writes no tile at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.merkle import HASH_SIZE, split_hashes
from auditvault.core.tlog.tiles import TILE_WIDTH, TileKey, append_tiles
from auditvault.ledger.logs import LogRef


class MissingTileError(AuditvaultError):
    """Hashes that the tree must have are not in the database."""

    code = "tile_missing"


class CompletedTile(NamedTuple):
    """A full tile: 256 hashes of `level`, and the root above them."""

    level: int
    n: int
    hashes: bytes
    root: bytes


def completed_tiles(
    connection: psycopg.Connection[Any],
    log: LogRef,
    old_size: int,
    leaves: Sequence[bytes],
    added: Mapping[int, Sequence[bytes]],
) -> list[CompletedTile]:
    """The full tiles, lowest level first, that appending `leaves` at `old_size` completes.

    `added` is what `CompactRange.extend` returned: the hashes new to each level above.
    """
    result: list[CompletedTile] = []
    level, count, fresh = 0, old_size, list(leaves)
    while fresh and (count + len(fresh)) // TILE_WIDTH > count // TILE_WIDTH:
        roots = list(added.get(level + 1, ()))
        partial = _edge(connection, log, level, count // TILE_WIDTH, count % TILE_WIDTH)
        tiles = append_tiles(old_count=count, partial=partial, hashes=fresh, roots=roots)
        result += [CompletedTile(level, tile.n, tile.data, tile.root) for tile in tiles]
        level, count, fresh = level + 1, count // TILE_WIDTH, roots
    return result


def _edge(
    connection: psycopg.Connection[Any], log: LogRef, level: int, n: int, width: int
) -> list[bytes]:
    """The `width` hashes that the incomplete tile (level, n) already has."""
    if width == 0:
        return []
    return split_hashes(read_edge(connection, log, TileKey(level, n, width)))


def read_edge(connection: psycopg.Connection[Any], log: LogRef, key: TileKey) -> bytes:
    """The hashes of a partial tile, from the entries or from the roots of the tiles below it.

    Where entries were pruned, out of the full tile that has since grown from it: tiles stay.
    """
    start = key.n * TILE_WIDTH
    if key.level == 0:
        query = (
            "SELECT leaf_hash FROM ledger_entry WHERE tenant_id = %s AND log_id = %s"
            " AND idx >= %s AND idx < %s ORDER BY idx"
        )
        rows = connection.execute(
            query, (log.tenant_id, log.log_id, start, start + key.width), binary=True
        ).fetchall()
    else:
        query = (
            "SELECT root FROM ledger_tile WHERE tenant_id = %s AND log_id = %s AND level = %s"
            " AND n >= %s AND n < %s AND width = 256 ORDER BY n"
        )
        rows = connection.execute(
            query,
            (log.tenant_id, log.log_id, key.level - 1, start, start + key.width),
            binary=True,
        ).fetchall()
    if len(rows) == key.width:
        return b"".join(bytes(row[0]) for row in rows)
    grown = left_part(connection, log, key)
    if grown is None:
        raise MissingTileError(
            f"Level {key.level}, tile {key.n}: {len(rows)} of {key.width} hashes."
        )
    return grown


def left_part(connection: psycopg.Connection[Any], log: LogRef, key: TileKey) -> bytes | None:
    """A partial tile out of the full one that has since grown from it, if it has."""
    row = connection.execute(
        "SELECT substring(hashes FROM 1 FOR %s) FROM ledger_tile WHERE tenant_id = %s"
        " AND log_id = %s AND level = %s AND n = %s AND width = 256",
        (key.width * HASH_SIZE, log.tenant_id, log.log_id, key.level, key.n),
    ).fetchone()
    return bytes(row[0]) if row else None


def fetch_tiles(
    connection: psycopg.Connection[Any], log: LogRef, keys: Sequence[TileKey]
) -> Mapping[TileKey, bytes]:
    """The hashes of each tile asked for, full ones in one query; raises MissingTileError."""
    full = [key for key in keys if key.width == TILE_WIDTH]
    found: dict[TileKey, bytes] = {}
    if full:
        rows = connection.execute(
            "SELECT t.level, t.n, t.hashes FROM ledger_tile AS t"
            " JOIN unnest(%s::int[], %s::bigint[]) AS wanted (level, n) USING (level, n)"
            " WHERE t.tenant_id = %s AND t.log_id = %s AND t.width = 256",
            ([key.level for key in full], [key.n for key in full], log.tenant_id, log.log_id),
            binary=True,
        ).fetchall()
        found = {TileKey(int(row[0]), int(row[1]), TILE_WIDTH): bytes(row[2]) for row in rows}
    for key in keys:
        if key.width < TILE_WIDTH:
            found[key] = read_edge(connection, log, key)
        elif key not in found:
            raise MissingTileError(f"Level {key.level}, tile {key.n} is not in the database.")
    return found
