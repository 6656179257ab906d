"""Does a host's clock agree with the database's, and has it gone on as time does?

Pure: takes readings, which are made at the edge, and says what they show. A finding goes into a log for good, so what a
slow reading could explain is not one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

_NONE = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """Three clocks, all read within `taking`."""

    host_at: datetime
    """The host's clock; aware."""
    database_at: datetime
    """The database's clock; aware."""
    monotonic: timedelta
    """The host's monotonic clock when the reading began, from an unknown start."""
    taking: timedelta
    """From the beginning of the reading to its end, by the monotonic clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """What a reading, and the one before it, show."""

    offset: timedelta
    """The host's clock less the database's."""
    jump: timedelta
    """How much further than the monotonic clock the host's clock went since the reading before; 0 for the first."""
    disagrees: bool
    """Whether the offset is beyond the bound, however slow the reading was."""
    jumped: bool
    """Whether the jump is."""

    @property
    def is_skewed(self) -> bool:
        """Whether there is something to record."""
        return self.disagrees or self.jumped


def compare(reading: ClockReading, before: ClockReading | None, *, bound: timedelta) -> ClockState:
    """Compare a reading with itself and with the same process's reading before; `bound` is not negative."""
    offset = reading.host_at - reading.database_at
    jump, uncertain = _NONE, reading.taking
    if before is not None:
        gone = reading.monotonic - before.monotonic
        jump = (reading.host_at - before.host_at) - gone
        uncertain += before.taking
    return ClockState(
        offset=offset,
        jump=jump,
        disagrees=abs(offset) > bound + reading.taking,
        jumped=abs(jump) > bound + uncertain,
    )
