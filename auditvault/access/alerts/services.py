"""Raising an alert: with what it is about, in one transaction.

Alert, its entry `alert.raised` in the tenant's admin log, and the note that it is to be delivered are written together
with what the caller writes. A crash leaves all of it or nothing. Delivering is `delivery`'s, and never in the caller's
way: a receiver that is down delays nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings

from auditvault.core.ids import instant_of
from auditvault.core.policy.alerts import AlertKind
from auditvault.core.tlog.canonical import JsonValue, canonical_bytes
from auditvault.ledger.admin.services import new_record_id, record_in
from auditvault.ledger.logs import open_within
from auditvault.ledger.scope import region_alias, tenant_scope

ENTRY_TYPE_RAISED = "alert.raised"


def raise_alert(
    *, tenant_id: UUID, region: str, kind: AlertKind, details: Mapping[str, JsonValue]
) -> UUID:
    """`raise_within` in a transaction of its own; returns the alert's id once it is durable."""
    with tenant_scope(region_alias(region), tenant_id) as connection:
        return raise_within(
            connection, tenant_id=tenant_id, region=region, kind=kind, details=details
        )


def raise_within(
    connection: psycopg.Connection[Any],
    *,
    tenant_id: UUID,
    region: str,
    kind: AlertKind,
    details: Mapping[str, JsonValue],
) -> UUID:
    """Raise an alert inside the caller's `tenant_scope` of the tenant in the region; returns its id.

    Comes last in that transaction, after an entry of the access log: it locks the admin log's head until the commit,
    and whoever locks both heads locks that of `access` first. `details` are references and figures: actors, case,
    approval, grant. Nothing personal, no content; they leave the house by e-mail and webhook.
    """
    log = open_within(
        connection,
        region=region,
        tenant_id=tenant_id,
        kind="admin",
        log_host=settings.LOG_HOST,
    )
    alert_id = new_record_id(connection)
    connection.execute(
        "INSERT INTO access_alert (tenant_id, alert_id, raised_at, kind, details) VALUES (%s, %s, %s, %s, %s)",
        (tenant_id, alert_id, instant_of(alert_id), kind.value, canonical_bytes(dict(details))),
    )
    record_in(
        connection,
        log,
        record_id=alert_id,
        action=ENTRY_TYPE_RAISED,
        details={"alert": kind.value, **details},
    )
    return alert_id
