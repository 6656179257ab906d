"""Reading alerts, and how their deliveries stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auditvault.ledger.scope import region_alias, tenant_scope


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFigures:
    """How the deliveries of a region stand, of all tenants together."""

    counts: Mapping[str, int]
    oldest_due_at: datetime | None
    """When the oldest alert was raised of which somebody is still to be told."""


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
