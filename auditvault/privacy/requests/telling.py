"""Telling somebody that a request's time is half over, nearly over, or over.

One transaction for each: the note that it was told, the alert, its entry. A crash leaves all of it or nothing. Where
several parts have passed since the last look, the latest is told and the others are passed over.
"""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID

import psycopg
from django.db import DatabaseError

from auditvault.access.alerts.services import raise_within
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.alerts import AlertKind
from auditvault.core.policy.regimes import alerts_between
from auditvault.ledger.scope import region_alias, retention_connection, tenant_scope
from auditvault.ledger.services import format_instant
from auditvault.privacy.requests.store import request_of

log = logging.getLogger("auditvault.privacy")


def tell_due(region: str, now: datetime) -> int:
    """Tell of each request whose time has come to a part that was not told yet; how many. One does not keep others."""
    rows = retention_connection(region).execute("SELECT * FROM privacy_requests_unanswered()")
    told = 0
    for tenant_id, request_id, received_at, due_at, last in rows.fetchall():
        part = _passed(received_at, due_at, now)
        if part <= last:
            continue
        try:
            told += _tell(region, tenant_id, request_id, due_at, part)
        except (AuditvaultError, DatabaseError, psycopg.Error):
            log.exception("nobody was told that the time of request %s runs out", request_id)
    return told


def _passed(received_at: datetime, due_at: datetime, now: datetime) -> int:
    """The latest part of the time that has passed, in hundredths; 0 before the first."""
    return max((part for part, at in alerts_between(received_at, due_at) if now >= at), default=0)


def _tell(region: str, tenant_id: UUID, request_id: UUID, due_at: datetime, part: int) -> bool:
    with tenant_scope(region_alias(region), tenant_id) as connection:
        noted = connection.execute(
            "INSERT INTO privacy_request_told VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (tenant_id, request_id, due_at, part),
        )
        if not noted.rowcount:
            return False
        request = request_of(connection, request_id).request
        raise_within(
            connection,
            tenant_id=tenant_id,
            region=region,
            kind=AlertKind.PRIVACY_REQUEST_DUE,
            details={
                "request": str(request_id),
                "kind": request.kind.value,
                "state": request.state.value,
                "due_at": format_instant(due_at),
                "part": part,
            },
        )
    return True
