"""Times as senders give them: which ones can be true, and how they are written."""

from __future__ import annotations

from typing import Final

EARLIEST_NS: Final = 946_684_800 * 10**9
"""2000-01-01T00:00:00Z."""
LATEST_NS: Final = 4_133_980_800 * 10**9 - 1
"""The last nanosecond of the year 2100 UTC."""


def is_plausible(at_ns: int) -> bool:
    """Whether a time can be one at which something was traced."""
    return EARLIEST_NS <= at_ns <= LATEST_NS


def seconds_between(start_ns: int, end_ns: int) -> str:
    """The difference as exact decimal seconds, shortest form, without exponent; may be negative."""
    sign = "-" if end_ns < start_ns else ""
    seconds, nanoseconds = divmod(abs(end_ns - start_ns), 10**9)
    fraction = f"{nanoseconds:09d}".rstrip("0")
    return f"{sign}{seconds}.{fraction}" if fraction else f"{sign}{seconds}"
