"""Signals as bytes in a pipe, so that the supervisor's one loop can wait for them."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType, TracebackType
from typing import Self

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """The wake-up pipe has taken note."""


class SignalPipe:
    """Catches the stop signals and SIGCHLD for the length of a block."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self.stop_requests = 0

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or as soon as a signal comes; counts the requests to stop."""
        readable, _, _ = select.select([self._reader], [], [], max(0.0, seconds))
        if not readable:
            return
        for number in os.read(self._reader, 4096):
            if number in _STOPPING:
                self.stop_requests += 1

    def __enter__(self) -> Self:
        numbers = (*_STOPPING, signal.SIGCHLD)
        self._before = {number: signal.signal(number, _do_nothing) for number in numbers}
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)
