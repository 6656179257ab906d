"""Figures about alerts on their way, access reviews that nobody has signed, and looks refused for want of the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily

from auditvault.access.alerts.selectors import delivery_figures
from auditvault.access.events.refused import REFUSED
from auditvault.access.outages import settle
from auditvault.evidence.reviews.selectors import overdue_places

_STATES = ("due", "delivered", "given_up")


def access_figures(regions: Iterable[str], now: datetime) -> Iterator[GaugeMetricFamily]:
    """Gauges for each region. Looking at them records an outage of this process's that is over."""
    deliveries = GaugeMetricFamily(
        "auditvault_alert_deliveries",
        "Deliveries of alerts by how they stand: due, delivered, given_up.",
        labels=["region", "state"],
    )
    waiting = GaugeMetricFamily(
        "auditvault_alert_waiting_seconds",
        "Age of the oldest alert that somebody has not been told of and still will be; 0 where there is none.",
        labels=["region"],
    )
    overdue = GaugeMetricFamily(
        "auditvault_access_reviews_overdue",
        "Tenants whose last access review that is due was not signed off.",
        labels=["region"],
    )
    refused = GaugeMetricFamily(
        "auditvault_refused_looks",
        "Looks that this process has refused because the access log could not be written.",
        labels=["region"],
    )
    for region in regions:
        overdue.add_metric([region], float(overdue_places(region, now)))
        figures = delivery_figures(region)
        for state in _STATES:
            deliveries.add_metric([region, state], float(figures.counts.get(state, 0)))
        oldest = figures.oldest_due_at
        waiting.add_metric([region], max(0.0, (now - oldest).total_seconds()) if oldest else 0.0)
        settle(region, now)
        refused.add_metric([region], float(REFUSED.total(region)))
    yield from (deliveries, waiting, overdue, refused)
