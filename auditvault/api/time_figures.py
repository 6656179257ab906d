"""Figures about time: how old the newest stamp and the newest copies are, and how this process's clock stands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from django.conf import settings
from prometheus_client.core import GaugeMetricFamily

from auditvault.evidence.anchors.selectors import newest_age
from auditvault.evidence.clock import ENTRY_TYPE, WATCH
from auditvault.evidence.copies.progress import copy_age
from auditvault.evidence.copies.stores import region_place
from auditvault.ledger.admin.services import last_recorded


def time_figures(regions: Iterable[str]) -> Iterator[GaugeMetricFamily]:
    """Gauges for each region. Looking at the clock records what is off with it (`evidence.clock`)."""
    age = GaugeMetricFamily(
        "auditvault_timestamp_age_seconds",
        "Age of the newest RFC 3161 time stamp; infinite where one should be and there is none.",
        labels=["region"],
    )
    offset = GaugeMetricFamily(
        "auditvault_clock_offset_seconds",
        "This host's clock less the database's.",
        labels=["region"],
    )
    recorded = GaugeMetricFamily(
        "auditvault_clock_skew_recorded_timestamp_seconds",
        "When the last clock.skew entry was recorded, Unix time.",
        labels=["region"],
    )
    copied = GaugeMetricFamily(
        "auditvault_copy_age_seconds",
        "Age of the newest checkpoint in the write-once copy, of the log that is furthest behind.",
        labels=["region"],
    )
    for region in regions:
        newest = newest_age(region)
        if newest is not None:
            age.add_metric([region], newest.total_seconds())
        elif settings.TSA_URL:
            age.add_metric([region], math.inf)
        state = WATCH.look(region)
        if state is not None:
            offset.add_metric([region], state.offset.total_seconds())
        last = last_recorded(region, ENTRY_TYPE)
        if last is not None:
            recorded.add_metric([region], last.timestamp())
        place = region_place(region)
        behind = copy_age(region, place.digest) if place is not None else None
        if behind is not None:
            copied.add_metric([region], behind.total_seconds())
    yield from (age, offset, recorded, copied)
