"""Figures about retention: whether what is due goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily

from auditvault.privacy.retention.selectors import overdue_tenants


def privacy_figures(regions: Iterable[str]) -> Iterator[GaugeMetricFamily]:
    """Gauges for each region."""
    overdue = GaugeMetricFamily(
        "auditvault_retention_overdue",
        "Tenants under a retention policy of which no run has done what was due for 26 hours.",
        labels=["region"],
    )
    for region in regions:
        overdue.add_metric([region], float(overdue_tenants(region)))
    yield overdue
