"""When a dead child is started again, when its dying is too much, and when a disk is full.

Pure: numbers in, decisions out.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

QUICK_SECONDS = 10.0
QUICK_DEATHS_ALLOWED = 4
FULL_DISK_RETRY_SECONDS = 5.0
_SHORT_SECONDS = 0.2
_DELAY_SECONDS = (0.5, 1.0, 2.0, 4.0)

# PostgreSQL stops itself where it cannot make the next segment of its write-ahead log, and takes
# the unfinished one away: up to a segment is free again when its death is looked at, or two where
# the checkpointer was making one as well. To come back it needs one, and to work another.
_SEGMENT_BYTES = 16 * 1024 * 1024
FULL_BYTES = 4 * _SEGMENT_BYTES
# What a server takes when it starts, and leaves when it dies, must not end a full disk each time.
ROOM_BYTES = 6 * _SEGMENT_BYTES


@dataclass(frozen=True, kw_only=True, slots=True)
class Death:
    """What is known about one child's end."""

    code: int  # as subprocess has it: negative for a signal
    lived_seconds: float
    need_failed: bool  # a child that it needs died or was down while it lived
    disk_full: bool  # a disk that the children write to was full at its end, or shortly before


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What to do now."""

    give_up: bool
    delay_seconds: float
    quick_deaths: int  # in a row, to hand in at the next death


def judge(death: Death, quick_deaths: int) -> Verdict:
    """A child that keeps ending by itself is given up; one that was killed or let down is not.

    Nobody is given up over a full disk: only a person can free it, so it is tried until that is
    done, and slowly, since each try may be a whole crash recovery.

    Nothing in auditvault sends SIGKILL to a healthy child: that signal is a person, a test or a
    kernel short of memory, and says nothing about the program.
    """
    if death.lived_seconds >= QUICK_SECONDS:
        quick_deaths = 0
    if death.disk_full:
        return Verdict(
            give_up=False, delay_seconds=FULL_DISK_RETRY_SECONDS, quick_deaths=quick_deaths
        )
    if death.lived_seconds >= QUICK_SECONDS:
        return Verdict(give_up=False, delay_seconds=_SHORT_SECONDS, quick_deaths=0)
    if death.need_failed or death.code == -signal.SIGKILL:
        return Verdict(give_up=False, delay_seconds=_SHORT_SECONDS, quick_deaths=quick_deaths)
    count = quick_deaths + 1
    return Verdict(
        give_up=count > QUICK_DEATHS_ALLOWED,
        delay_seconds=_DELAY_SECONDS[min(count, len(_DELAY_SECONDS)) - 1],
        quick_deaths=count,
    )


def is_disk_full(free_bytes: int, *, was_full: bool) -> bool:
    """Whether a disk with `free_bytes` left counts as full; one that did needs more to count no more."""
    return free_bytes < (ROOM_BYTES if was_full else FULL_BYTES)
