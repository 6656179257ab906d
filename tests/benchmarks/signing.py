"""What signing costs appends: the same load with and without the signer beside it, in turn.

The signer starts and stops between rounds; web server and PostgreSQL go on. Spans a second are of the wall clock and
scatter with whatever else the machine does. The CPU of each process a span is steadier, and says where a difference
comes from.
"""

from __future__ import annotations

import dataclasses
import statistics
from contextlib import nullcontext
from typing import Any, Protocol

from tests.benchmarks.report import Round
from tests.benchmarks.service import Instance, Servers

_BATCH = 512
TARGET_RATIO = 0.95
"""Appends a second with the signer, of those without (issue 3)."""


class Rounds(Protocol):
    """Sends one round of a batch size to servers."""

    def one(self, servers: Servers, size: int) -> Round:
        """Measure a round."""
        ...


def measure(instance: Instance, web: Servers, rounds: Rounds, *, count: int) -> dict[str, Any]:
    """Figures of `count` rounds of each kind on `web`, which runs alone; which kind comes first alternates too."""
    found: dict[str, list[Round]] = {"without": [], "with": []}
    for number in range(count):
        for kind in ("without", "with") if number % 2 else ("with", "without"):
            with instance.signer() if kind == "with" else nullcontext() as signer:
                pids = dict(web.pids) | ({"signer": signer} if signer else {})
                found[kind].append(rounds.one(dataclasses.replace(web, pids=pids), _BATCH))
    speeds = {
        kind: statistics.median(item.spans_per_second for item in items)
        for kind, items in found.items()
    }
    ratio = speeds["with"] / speeds["without"]
    return {
        "batch": _BATCH,
        "spans_per_second_with_signer": round(speeds["with"]),
        "spans_per_second_without": round(speeds["without"]),
        "ratio": round(ratio, 3),
        "target_ratio": TARGET_RATIO,
        "meets_target": ratio >= TARGET_RATIO,
        "cpu_us_per_span": {
            kind: {
                name: statistics.median(item.cpu_us_per_span[name] for item in items)
                for name in items[0].cpu_us_per_span
            }
            for kind, items in found.items()
        },
        "rounds": {
            kind: [item.spans_per_second for item in items] for kind, items in found.items()
        },
        "other_programs": max(item.other_programs for items in found.values() for item in items),
    }
