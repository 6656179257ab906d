"""Databases made, put in each other's place, and dropped: only empty ones, and those that a restore has made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from auditvault.cli.backups.servers import Database
from auditvault.cli.up.provision import Role, close_database, make_database

_MAINTENANCE = "postgres"
_RELATIONS = """
SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname NOT LIKE 'pg\\_%'
"""


def is_empty(database: Database) -> bool:
    """Whether there is nothing in the database, or no such database."""
    with database.other(_MAINTENANCE).session() as server:
        if not _exists(server, database.name):
            return True
    with database.session() as connection:
        row = connection.execute(_RELATIONS).fetchone()
        return row is not None and row[0] == 0


def make_empty(database: Database, roles: Sequence[Role]) -> None:
    """Make the database anew, for the owner, closed to all but these roles."""
    drop(database)
    with database.other(_MAINTENANCE).session() as server:
        make_database(server, database.name)
    with database.session() as connection:
        close_database(connection, roles)


def drop(database: Database) -> None:
    """Drop a database that a restore has made and nobody uses yet."""
    with database.other(_MAINTENANCE).session() as server:
        server.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database.name))
        )


def put_in_place(new: Database, old: Database, *, aside: str) -> str | None:
    """Give `new` the name of `old`, which is dropped if it is empty, and else called `aside` from now on.

    Returns that name. Sessions on both are ended. An end in between leaves no database under the name; asked again,
    it goes on.
    """
    empty = is_empty(old)
    with old.other(_MAINTENANCE).session() as server:
        exists = _exists(server, old.name)
        if exists and empty:
            drop(old)
        elif exists:
            _rename(server, old.name, aside)
        _rename(server, new.name, old.name)
    return aside if exists and not empty else None


def _rename(server: psycopg.Connection[Any], old: str, new: str) -> None:
    """Services connect again within milliseconds: no new session is let in while the old ones end."""
    name = sql.Identifier(old)
    server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
    try:
        server.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s",
            (old,),
        )
        server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(name, sql.Identifier(new)))
        name = sql.Identifier(new)
    finally:
        server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


def _exists(server: psycopg.Connection[Any], name: str) -> bool:
    row = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
    return row is not None
