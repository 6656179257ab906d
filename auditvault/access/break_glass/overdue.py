"""Telling somebody that a break-glass was not reviewed in time.

One transaction for each: the note that it was told, the alert, its entry. A crash leaves all of it or nothing.
"""

from __future__ import annotations

import logging
from uuid import UUID

import psycopg
from django.db import DatabaseError

from auditvault.access.alerts.services import raise_within
from auditvault.access.break_glass.store import read
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.alerts import AlertKind
from auditvault.ledger.scope import region_alias, retention_connection, tenant_scope
from auditvault.ledger.services import format_instant

log = logging.getLogger("auditvault.access")


def tell_overdue(region: str) -> int:
    """Tell of each that is overdue and was not told; how many. One that fails does not keep the others."""
    rows = retention_connection(region).execute("SELECT * FROM access_break_glass_overdue()")
    told = 0
    for tenant_id, break_glass_id in rows.fetchall():
        try:
            told += _tell(region, tenant_id, break_glass_id)
        except (AuditvaultError, DatabaseError, psycopg.Error):
            log.exception("nobody was told that break-glass %s is overdue", break_glass_id)
    return told


def _tell(region: str, tenant_id: UUID, break_glass_id: UUID) -> bool:
    with tenant_scope(region_alias(region), tenant_id) as connection:
        noted = connection.execute(
            "INSERT INTO access_break_glass_told VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (tenant_id, break_glass_id),
        )
        if not noted.rowcount:
            return False
        record = read(connection, break_glass_id)
        raise_within(
            connection,
            tenant_id=tenant_id,
            region=region,
            kind=AlertKind.BREAK_GLASS_UNREVIEWED,
            details={
                "break_glass": str(break_glass_id),
                "case": record.opened.case,
                "actor": record.holder,
                "due_at": format_instant(record.opened.due_at),
            },
        )
    return True
