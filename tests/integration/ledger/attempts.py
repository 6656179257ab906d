"""Tries statements that must be refused, and says which were not."""

from __future__ import annotations

from typing import Any

import psycopg

REFUSED = "42501"  # insufficient_privilege: PostgreSQL's own, and our triggers'


def outcome(connection: psycopg.Connection[Any], statement: str, values: Any = ()) -> str:
    """The SQLSTATE that a statement fails with, or 'done'; nothing of it stays."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement, values)  # type: ignore[call-overload]
    except psycopg.Error as error:
        return error.sqlstate or "no state"
    return "done"


def not_refused(
    connection: psycopg.Connection[Any], statements: list[str], values: Any = ()
) -> dict[str, str]:
    """The statements that were not refused for want of a right, with what happened instead."""
    found = {statement: outcome(connection, statement, values) for statement in statements}
    return {statement: state for statement, state in found.items() if state != REFUSED}


def went_through(connection: psycopg.Connection[Any], statements: list[str]) -> list[str]:
    """The statements that did something, for those that may also fail for want of an object."""
    return [item for item in statements if outcome(connection, item) == "done"]


def act_for(connection: psycopg.Connection[Any], tenant_id: Any) -> None:
    """Name the tenant for the whole session, as `tenant_scope` does for a transaction."""
    connection.execute(
        "SELECT set_config('auditvault.tenant_id', %s, false)", (str(tenant_id or ""),)
    )


def tables(connection: psycopg.Connection[Any], *, partitions: bool = True) -> list[str]:
    """Every table of the schema, from the catalogue: a new one is covered by itself.

    Of each log's own partitions, which are all made by one function, the newest few are enough.
    """
    rows = connection.execute(
        "SELECT c.oid::regclass::text FROM pg_class AS c"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
        " AND NOT c.relispartition UNION ALL (SELECT c.oid::regclass::text FROM pg_class AS c"
        " WHERE %s AND c.relispartition AND c.relkind = 'r' ORDER BY c.oid DESC LIMIT 8) UNION"
        " SELECT c.oid::regclass::text FROM pg_class AS c WHERE %s AND c.relispartition"
        " AND c.relkind = 'r' AND c.relname !~ '^ledger_entry_' ORDER BY 1",
        (partitions, partitions),
    ).fetchall()
    return [row[0] for row in rows]


def columns(connection: psycopg.Connection[Any], table: str) -> list[str]:
    """The table's columns in order."""
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum",
        (table,),
    ).fetchall()
    return [row[0] for row in rows]


def tenant_tables(connection: psycopg.Connection[Any], *, partitions: bool = True) -> list[str]:
    """Every table whose rows belong to tenants."""
    found = tables(connection, partitions=partitions)
    return [table for table in found if "tenant_id" in columns(connection, table)]


def parents(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Partition, of those in `tables`, -> the table it is a part of."""
    rows = connection.execute(
        "SELECT inhrelid::regclass::text, inhparent::regclass::text FROM pg_inherits"
        " WHERE inhrelid = ANY(%s::regclass[])",
        (tables(connection),),
    ).fetchall()
    return dict(rows)
