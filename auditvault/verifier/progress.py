"""Says on a terminal how far long work has come, and nothing anywhere else."""

from __future__ import annotations

import time
from typing import TextIO

_SECONDS_BETWEEN = 0.2
_CLEAR = "\r\x1b[K"


class Progress:
    """A line that is written over; `total` is a number of entries."""

    def __init__(self, stream: TextIO, *, total: int = 0) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._said_at = 0.0
        self.total = total

    def __call__(self, done: int) -> None:
        """Say that `done` entries are done, at most five times a second."""
        now = time.monotonic()
        if self._shown and now - self._said_at >= _SECONDS_BETWEEN:
            self._said_at = now
            self._stream.write(f"\r{done:,} of {self.total:,} entries")
            self._stream.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            self._stream.write(_CLEAR)
            self._stream.flush()
