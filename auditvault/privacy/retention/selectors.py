"""Reads retention policies, inside a scope of their tenant, and how their runs stand in a region."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from auditvault.core.policy.retention_policy import RetentionPolicy
from auditvault.ledger.scope import region_alias, usable_connection


def policy_in_force(
    connection: psycopg.Connection[Any], *, now: datetime
) -> RetentionPolicy | None:
    """The newest version whose time has come; None where there is none. It may have lapsed: `dispose` looks.

    One that waits for nothing is in force once it is there, also for whoever read the clock just before it was set.
    """
    found = version_in_force(connection, now=now)
    return found[1] if found else None


def version_in_force(
    connection: psycopg.Connection[Any], *, now: datetime
) -> tuple[int, RetentionPolicy] | None:
    """As `policy_in_force`, with its version's number."""
    row = connection.execute(
        "SELECT version, document FROM retention_policy WHERE approval_id IS NULL OR in_force_at <= %s"
        " ORDER BY version DESC LIMIT 1",
        (now,),
    ).fetchone()
    return (row[0], RetentionPolicy.parse(bytes(row[1]))) if row else None


def newest_version(connection: psycopg.Connection[Any]) -> int:
    """The number of the newest version, in force or not; 0 where there is none."""
    row = connection.execute("SELECT coalesce(max(version), 0) FROM retention_policy").fetchone()
    return int(row[0]) if row else 0


def overdue_tenants(region: str) -> int:
    """Tenants of the region under a policy of which no run has done what was due for 26 hours."""
    row = usable_connection(region_alias(region)).execute("SELECT retention_overdue()").fetchone()
    return int(row[0]) if row else 0
