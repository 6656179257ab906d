"""A log as C2SP tlog-tiles gives it out: checkpoint, tiles, entry bundles.

Rules kept: docs/spec/checkpoint.md section 4, and nothing that no signed checkpoint covers. Reading locks nothing and
computes no hash: a full tile is a row, the right edge of the tree is read from entries and roots by primary key, and
a bundle is the entries' own bytes. Who may read is left to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.merkle import MAX_SIZE
from auditvault.core.tlog.tiles import TILE_WIDTH, TileKey
from auditvault.ledger.cosignatures import published_checkpoint
from auditvault.ledger.logs import LogNotFoundError, LogRef, tenant_logs
from auditvault.ledger.pruning import minimum_index
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.tiling import MissingTileError, fetch_tiles, left_part, read_edge

_LENGTH_BYTES = 2


class TileNotFoundError(AuditvaultError):
    """No signed checkpoint of the log needs such a tile or bundle, or ever did."""

    code = "tile_not_found"


class EntriesPrunedError(TileNotFoundError):
    """The bundle's entries were pruned; tiles and proofs stay."""

    code = "entries_pruned"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedLog:
    """A log and the region it lives in."""

    region: str
    log: LogRef


def public_log(log_uuid: UUID) -> PublishedLog | None:
    """The log, if the operator has made it public by naming its origin; None otherwise.

    Raises RegionUnavailableError where this process does not serve its region, LogNotFoundError where the region has
    no log of that origin.
    """
    for origin in settings.PUBLIC_LOGS:
        if _uuid_of(origin) == str(log_uuid):
            return _named(origin)
    return None


@lru_cache(maxsize=4096)
def tenants_log(region: str, tenant_id: UUID, log_uuid: UUID) -> PublishedLog:
    """The tenant's log in the region, remembered: a log's number and origin never change.

    Raises LogNotFoundError, also for another tenant's.
    """
    for log in tenant_logs(region=region, tenant_id=tenant_id):
        if _uuid_of(log.origin) == str(log_uuid):
            return PublishedLog(region=region, log=log)
    raise LogNotFoundError("There is no such log.")


def checkpoint_note(published: PublishedLog) -> str:
    """The checkpoint to give out, with its witnesses' lines; raises LogNotFoundError before the first."""
    log = published.log
    with tenant_scope(region_alias(published.region), log.tenant_id) as connection:
        newest = published_checkpoint(connection, log)
    if newest is None:
        raise LogNotFoundError("This log has no checkpoint yet.")
    return newest.note


def tile(published: PublishedLog, key: TileKey) -> bytes:
    """The tile's `width * 32` bytes; raises TileNotFoundError, MissingTileError where rows are gone."""
    log = published.log
    with tenant_scope(region_alias(published.region), log.tenant_id) as connection:
        _require_signed(connection, log, key)
        if key.width == TILE_WIDTH:
            return fetch_tiles(connection, log, [key])[key]
        return left_part(connection, log, key) or read_edge(connection, log, key)


def entry_bundle(published: PublishedLog, key: TileKey) -> bytes:
    """The entries under a tile of level 0, each behind its length as 2 bytes, big-endian.

    Raises TileNotFoundError, EntriesPrunedError below the minimum index, MissingTileError where rows are gone.
    """
    log = published.log
    start = key.n * TILE_WIDTH
    with tenant_scope(region_alias(published.region), log.tenant_id) as connection:
        _require_signed(connection, log, key)
        rows = connection.execute(
            "SELECT entry FROM ledger_entry WHERE tenant_id = %s AND log_id = %s"
            " AND idx >= %s AND idx < %s ORDER BY idx",
            (log.tenant_id, log.log_id, start, start + key.width),
        ).fetchall()
        if len(rows) != key.width and start < minimum_index(connection, log):
            raise EntriesPrunedError("The entries of this bundle were pruned.")
    if len(rows) != key.width:
        raise MissingTileError(f"Bundle {key.n}: {len(rows)} of {key.width} entries.")
    return b"".join(len(row[0]).to_bytes(_LENGTH_BYTES) + row[0] for row in rows)


def _require_signed(connection: psycopg.Connection[Any], log: LogRef, key: TileKey) -> None:
    """Raise TileNotFoundError unless a signed checkpoint says that the tile is there, and as wide as that.

    A full tile stays for good: any checkpoint that reaches its end will do. A partial one is part of just those trees
    in which it has exactly this width; a client that has not verified a checkpoint of such a size may not ask.
    """
    span = TILE_WIDTH**key.level  # entries under one hash
    lowest = (key.n * TILE_WIDTH + key.width) * span
    highest = MAX_SIZE if key.width == TILE_WIDTH else min(MAX_SIZE, lowest + span - 1)
    row = None
    if lowest <= MAX_SIZE:
        row = connection.execute(
            "SELECT FROM ledger_checkpoint WHERE tenant_id = %s AND log_id = %s"
            " AND size >= %s AND size <= %s LIMIT 1",
            (log.tenant_id, log.log_id, lowest, highest),
        ).fetchone()
    if row is None:
        raise TileNotFoundError("No checkpoint of this log covers such a tile.")


@lru_cache(maxsize=4096)
def _named(origin: str) -> PublishedLog:
    region = origin.rpartition("/")[0].rpartition("/")[2]
    # The one question about a log that is asked without knowing its tenant; the answer holds nothing of its content.
    with tenant_scope(region_alias(region), UUID(int=0)) as connection:
        row = connection.execute(
            "SELECT tenant_id, log_id, kind FROM ledger_all_logs() WHERE origin = %s", (origin,)
        ).fetchone()
    if row is None:
        raise LogNotFoundError("There is no such log.")
    log = LogRef(tenant_id=row[0], log_id=row[1], kind=row[2], origin=origin)
    return PublishedLog(region=region, log=log)


def _uuid_of(origin: str) -> str:
    """The random part of an origin, `<host>/<region>/<uuid>`."""
    return origin.rpartition("/")[2]
