"""Watching this process's clock: against the database's, and against its own monotonic one.

Entries get their time from the database. A host's clock still says when tokens and leases end, when a record came in
and what a checkpoint was signed at; so a clock that is off is recorded where it cannot be taken back, as `clock.skew`
in the operator's log of the region, and shown in the metrics. The edge calls `WATCH.look`: a worker at each tick, the
web process at each reading of its metrics.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
from django.conf import settings
from django.db import DatabaseError

from auditvault.core.clock import ClockReading, ClockState, compare
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import record_operation
from auditvault.ledger.scope import region_alias, usable_connection
from auditvault.ledger.services import format_instant

log = logging.getLogger("auditvault.clock")
ENTRY_TYPE = "clock.skew"
RECORD_EVERY = timedelta(hours=1)
_MILLISECOND = timedelta(milliseconds=1)


def read_clocks(
    region: str,
    *,
    host_clock: Callable[[], datetime],
    monotonic: Callable[[], float] = time.monotonic,
) -> ClockReading:
    """Read the host's and the region's database's clocks, one right after the other."""
    connection = usable_connection(region_alias(region))
    began = timedelta(seconds=monotonic())
    host_at = host_clock()
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    taking = timedelta(seconds=monotonic()) - began
    if row is None:
        raise RuntimeError("a SELECT without a table has one row")
    return ClockReading(host_at=host_at, database_at=row[0], monotonic=began, taking=taking)


class ClockWatch:
    """One process's memory of its clocks. A finding is recorded at most once an hour, in each region's log."""

    def __init__(
        self,
        *,
        host_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host_clock = host_clock
        self._monotonic = monotonic
        self._before: dict[str, ClockReading] = {}
        self._recorded: dict[str, timedelta] = {}
        self._lock = threading.Lock()

    def look(self, region: str) -> ClockState | None:
        """Compare the clocks, record what is off; None where the database could not be asked.

        Never raises for want of a database: what it is called beside is worth more.
        """
        try:
            reading = self._read(region)
        except (DatabaseError, psycopg.Error):
            log.warning("the database's clock cannot be read in %s", region)
            return None
        bound = timedelta(seconds=settings.CLOCK_SKEW_SECONDS)
        with self._lock:
            state = compare(reading, self._before.get(region), bound=bound)
            self._before[region] = reading
            due = state.is_skewed and self._is_due(region, reading)
            if due:
                self._recorded[region] = reading.monotonic
        if due:
            self._record(region, reading, state)
        return state

    def _is_due(self, region: str, reading: ClockReading) -> bool:
        last = self._recorded.get(region)
        return last is None or reading.monotonic - last >= RECORD_EVERY

    def _read(self, region: str) -> ClockReading:
        return read_clocks(region, host_clock=self._host_clock, monotonic=self._monotonic)

    def _record(self, region: str, reading: ClockReading, state: ClockState) -> None:
        log.critical(
            "the clock is off in %s: %d ms from the database's, jumped by %d ms",
            region,
            _milliseconds(state.offset),
            _milliseconds(state.jump),
        )
        try:
            details = _details(reading, state)
            record_operation(region=region, action=ENTRY_TYPE, details=details)
        except (DatabaseError, psycopg.Error):
            log.exception("the clock's skew in %s could not be recorded", region)
            with self._lock:
                # The next look tries again, if it still finds something.
                self._recorded.pop(region, None)


def _details(reading: ClockReading, state: ClockState) -> dict[str, JsonValue]:
    found = {"disagrees": state.disagrees, "jumped": state.jumped}
    return {
        "found": [name for name, is_so in found.items() if is_so],
        "host_at": format_instant(reading.host_at),
        "database_at": format_instant(reading.database_at),
        "offset_ms": _milliseconds(state.offset),
        "jump_ms": _milliseconds(state.jump),
        "taking_ms": _milliseconds(reading.taking),
        "bound_ms": settings.CLOCK_SKEW_SECONDS * 1000,
    }


def _milliseconds(span: timedelta) -> int:
    return span // _MILLISECOND


WATCH = ClockWatch()
