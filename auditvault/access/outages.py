"""Recording that looks were refused because the access log could not be written, once it can be.

For each tenant of which looks were refused, an entry `access.outage` in its access log and an alert, in one
transaction. A crash after some tenants' leaves the file, and those tenants get the entry once more: rather twice than
not at all. What cannot be recorded yet stays remembered.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from datetime import datetime
from uuid import UUID

import psycopg
from django.db import DatabaseError

from auditvault.access.alerts.services import raise_within
from auditvault.access.events.refused import REFUSED, Outage, RefusedLooks, read_outage
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import access_log, record_within
from auditvault.core.policy.alerts import AlertKind
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.services import format_instant

log = logging.getLogger("auditvault.access")


def settle(region: str, now: datetime, *, refused: RefusedLooks = REFUSED) -> int:
    """Record this process's outage in the region, if one is remembered; returns how many tenants were told.

    Never raises: what cannot be recorded yet stays remembered.
    """
    if not refused.is_pending(region):
        return 0
    outage = refused.take(region)
    if outage is None:
        return 0
    try:
        told = _record(outage, now)
    except (DatabaseError, psycopg.Error):
        refused.put_back(outage)
        return 0
    refused.forget_file(region)
    return told


def settle_left_behind(region: str, now: datetime, *, refused: RefusedLooks = REFUSED) -> int:
    """The same for processes that ended before they could; raises what the database raises."""
    told = 0
    for path, descriptor in refused.left_behind(region):
        try:
            outage = read_outage(region, descriptor)
            if outage is None:
                log.critical("a file of refused looks in %s is torn: there was an outage", region)
            else:
                told += _record(outage, now)
            with suppress(OSError):
                path.unlink()
        finally:
            os.close(descriptor)
    return told


def _record(outage: Outage, now: datetime) -> int:
    for tenant_id, count in sorted(outage.refused.items()):
        _record_of_tenant(outage, tenant_id, count, now)
    return len(outage.refused)


def _record_of_tenant(outage: Outage, tenant_id: UUID, count: int, now: datetime) -> None:
    details: dict[str, JsonValue] = {
        "outage": str(outage.outage_id),
        "from": format_instant(outage.began_at),
        "until": format_instant(outage.last_at),
        "refused": count,
    }
    act = RecordedAct(
        actor="service",
        actor_role=None,
        action="outage",
        outcome="denied",
        details=details,
    )
    journal = access_log(outage.region, tenant_id)
    with tenant_scope(region_alias(outage.region), tenant_id) as connection:
        record_within(connection, log=journal, act=act, now=now)
        raise_within(
            connection,
            tenant_id=tenant_id,
            region=outage.region,
            kind=AlertKind.ACCESS_OUTAGE,
            details=details,
        )
