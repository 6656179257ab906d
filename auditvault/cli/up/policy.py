"""When a dead child is started again, and when its dying is too much.

Pure: numbers in, decisions out.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

QUICK_SECONDS = 10.0
QUICK_DEATHS_ALLOWED = 4
_SHORT_SECONDS = 0.2
_DELAY_SECONDS = (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Death:
    """What is known about one child's end."""

    code: int  # as subprocess has it: negative for a signal
    lived_seconds: float
    need_failed: bool  # a child that it needs died or was down while it lived


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What to do now."""

    give_up: bool
    delay_seconds: float
    quick_deaths: int  # in a row, to hand in at the next death


def judge(death: Death, quick_deaths: int) -> Verdict:
    """A child that keeps ending by itself is given up; one that was killed or let down is not.

    Nothing in auditvault sends SIGKILL to a healthy child: that signal is a person, a test or a
    kernel short of memory, and says nothing about the program.
    """
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
