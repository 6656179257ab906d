"""Figures about keys: how old the epoch is, how far a turn is, what is destroyed but not yet past taking back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily

from auditvault.vault.epochs import key_figures as read


def key_figures(regions: Iterable[str], now: datetime) -> Iterator[GaugeMetricFamily]:
    """Gauges for each region that has keys."""
    age = GaugeMetricFamily(
        "auditvault_key_epoch_age_seconds", "Age of the newest epoch of keys.", labels=["region"]
    )
    turning = GaugeMetricFamily(
        "auditvault_key_turn_unfinished",
        "1 while an epoch is being turned, or its turn was broken off.",
        labels=["region"],
    )
    moved = GaugeMetricFamily(
        "auditvault_key_turn_moved_keys",
        "Subjects' keys that the turn under way has moved; 0 while there is none.",
        labels=["region"],
    )
    scheduled = GaugeMetricFamily(
        "auditvault_key_destructions_scheduled",
        "Epochs whose root key is destroyed but can still be taken back at its provider.",
        labels=["region"],
    )
    for region in regions:
        figures = read(region, now)
        if figures.began_at is not None:
            age.add_metric([region], (now - figures.began_at).total_seconds())
        turning.add_metric([region], float(figures.is_turning))
        moved.add_metric([region], float(figures.moved))
        scheduled.add_metric([region], float(figures.recallable))
    yield from (age, turning, moved, scheduled)
