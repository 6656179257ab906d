"""Reading alerts, and how their deliveries stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.policy.alerts import AlertKind
from auditvault.core.tlog.canonical import JsonValue, canonical_bytes
from auditvault.ledger.scope import region_alias, tenant_scope


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFigures:
    """How the deliveries of a region stand, of all tenants together."""

    counts: Mapping[str, int]
    oldest_due_at: datetime | None
    """When the oldest alert was raised of which somebody is still to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTo:
    """How an alert's delivery to one webhook stands."""

    receiver_id: UUID
    is_due: bool
    attempts: int
    delivered_at: datetime | None
    """When the receiver answered 2xx; None where it has not."""


def deliveries_of(
    connection: psycopg.Connection[Any], *, kind: AlertKind, details: Mapping[str, JsonValue]
) -> list[DeliveryTo] | None:
    """The deliveries of the tenant's alert of that kind with these details, inside its scope; None: not sent on yet."""
    rows = connection.execute(
        "SELECT receiver_id, state, attempts, ended_at FROM access_alert_delivery"
        " JOIN access_alert USING (tenant_id, alert_id) WHERE kind = %s AND details = %s",
        (kind.value, canonical_bytes(dict(details))),
    ).fetchall()
    if any(receiver.int == 0 and state == "due" for receiver, state, _, _ in rows):
        return None
    return [
        DeliveryTo(
            receiver_id=receiver,
            is_due=state == "due",
            attempts=attempts,
            delivered_at=ended_at if state == "delivered" else None,
        )
        for receiver, state, attempts, ended_at in rows
        if receiver.int
    ]


def delivery_figures(region: str) -> DeliveryFigures:
    """For the metrics."""
    with tenant_scope(region_alias(region), UUID(int=0)) as connection:
        rows = connection.execute(
            "SELECT state, deliveries, oldest FROM auditvault_delivery_figures()"
        ).fetchall()
    oldest = {state: oldest for state, _, oldest in rows}
    return DeliveryFigures(
        counts={state: count for state, count, _ in rows}, oldest_due_at=oldest.get("due")
    )
