"""When a worker looks at what: at what is new each time, at everything once an hour or until nothing is left.

New contents are found at once in the newest part of the vault. Whether anything older is left to look at (another
detector, a worker that was off for days) takes a walk through all of it, and is asked seldom.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import cache

from auditvault.privacy.detection.analyser import Analyser
from auditvault.privacy.detection.scanning import scan_region

NEW = timedelta(days=2)
BUDGET = timedelta(seconds=4)
"""After that no batch is begun: the worker has other work, and is told again in ten seconds."""
_WALK_EVERY_SECONDS = 3600.0

_walked: dict[str, float] = {}


def look(region: str) -> int:
    """Look at what is due in the region; returns how many objects were settled."""
    analyser = the_analyser()
    settled = scan_region(region, analyser, within=NEW, budget=BUDGET, now=_now)
    if settled or time.monotonic() < _walked.get(region, 0.0):
        return settled
    settled = scan_region(region, analyser, within=None, budget=BUDGET, now=_now)
    if not settled:
        _walked[region] = time.monotonic() + _WALK_EVERY_SECONDS
    return settled


@cache
def the_analyser() -> Analyser:
    """One for the process: it holds the model."""
    return Analyser()


def _now() -> datetime:
    return datetime.now(UTC)
