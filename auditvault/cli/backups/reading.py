"""What a database holds at one instant, as a manifest says it and a restore compares it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from auditvault.cli.backups.servers import Database, DatabaseUnusableError, require_reader
from auditvault.core.backup import Head, Part
from auditvault.core.tlog.canonical import JsonValue

VAULT_TABLES = "vault_*"
"""pg_dump's pattern of what is the vault's in a region's database; all others are the ledger's."""

_TABLES = """
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname
"""
_HEADS = """
SELECT l.origin, h.size, coalesce(c.size, 0), coalesce(encode(c.root, 'hex'), ''), coalesce(c.note, '')
FROM ledger_log AS l JOIN ledger_head AS h USING (tenant_id, log_id)
LEFT JOIN LATERAL (
    SELECT size, root, note FROM ledger_checkpoint AS k
    WHERE k.tenant_id = l.tenant_id AND k.log_id = l.log_id ORDER BY size DESC, signed_at DESC LIMIT 1
) AS c ON true
ORDER BY l.origin
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A database at one instant, for as long as the block that made it lasts."""

    database: Database
    connection: psycopg.Connection[Any]
    name: str
    """Of the snapshot: `pg_dump --snapshot` takes it."""
    as_of: datetime
    server: str
    """Version of the server, in words."""
    server_version: int


@contextmanager
def snapshot(database: Database) -> Iterator[Snapshot]:
    """Hold the database as it is now; raises DatabaseUnusableError."""
    with database.session() as connection:
        require_reader(connection)
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = connection.execute(
            "SELECT pg_export_snapshot(), now(), current_setting('server_version')"
        ).fetchone()
        if row is None:
            raise DatabaseUnusableError("The server gives out no snapshot.")
        yield Snapshot(
            database=database,
            connection=connection,
            name=row[0],
            as_of=row[1].astimezone(UTC),
            server=row[2].partition(" ")[0],
            server_version=connection.info.server_version,
        )


def part_of(table: str) -> Part:
    """Whose data a table of a region's database is."""
    return "vault" if table.startswith("vault_") else "ledger"


def count_rows(connection: psycopg.Connection[Any], part: Part) -> dict[str, int]:
    """Rows of each table of a part; partitions count as their table."""
    tables = [row[0] for row in connection.execute(_TABLES).fetchall()]
    rows = {}
    for table in tables:
        if part == "keyring" or part_of(table) == part:
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
            row = connection.execute(query).fetchone()
            rows[table] = int(row[0]) if row else 0
    return rows


def read_heads(connection: psycopg.Connection[Any]) -> list[Head]:
    """Where each log ends, and the newest checkpoint of it."""
    return [
        Head(log=log, size=size, signed_size=signed_size, signed_root=root, note=note)
        for log, size, signed_size, root, note in connection.execute(_HEADS).fetchall()
    ]


def read_epoch(connection: psycopg.Connection[Any]) -> int | None:
    """The newest epoch of the region's keys; None before the first."""
    row = connection.execute("SELECT max(epoch) FROM keyring_region_key").fetchone()
    return row[0] if row else None


def read_erasures(connection: psycopg.Connection[Any], part: Part) -> dict[str, JsonValue] | None:
    """The last record of the erasure ledger that the database has carried out; None where it keeps none."""
    table = {"ledger": "erasure_state", "keyring": "keyring_erasure_state"}.get(part)
    if table is None or not _has_table(connection, table):
        return None
    query = sql.SQL("SELECT idx, encode(hash, 'hex') FROM {}").format(sql.Identifier(table))
    row = connection.execute(query).fetchone()
    return {"index": row[0], "hash": row[1]} if row else None


def _has_table(connection: psycopg.Connection[Any], name: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f"public.{name}",)).fetchone()
    return row is not None and bool(row[0])
