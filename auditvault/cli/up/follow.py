"""Shows children's logs as they grow.

Children write into files and never into a pipe of the supervisor's: a supervisor that is gone, or a
reader that is slow, must not stop them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from auditvault.cli.up.events import Events

_CHUNK_BYTES = 64 * 1024


@dataclass(slots=True)
class _Position:
    path: Path
    offset: int
    partial: bytes = b""


class LogFollower:
    """Relays complete lines, from the moment a log is followed."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._positions: dict[str, _Position] = {}

    def follow(self, name: str, path: Path) -> None:
        """Relay what is appended from now on."""
        try:
            offset = path.stat().st_size
        except OSError:
            offset = 0
        self._positions[name] = _Position(path=path, offset=offset)

    def forget(self, name: str) -> None:
        """Relay no more of it."""
        self._positions.pop(name, None)

    def pump(self) -> None:
        """Relay what has come since the last time; a log that cannot be read is passed over."""
        for name, position in self._positions.items():
            for line in _new_lines(position):
                self._events.relay(name, line)


def _new_lines(position: _Position) -> list[str]:
    try:
        with position.path.open("rb") as stream:
            if stream.seek(0, os.SEEK_END) < position.offset:
                position.offset, position.partial = 0, b""  # put aside and begun anew
            stream.seek(position.offset)
            chunk = stream.read(_CHUNK_BYTES)
    except OSError:
        return []
    position.offset += len(chunk)
    *lines, position.partial = (position.partial + chunk).split(b"\n")
    return [line.decode(errors="replace") for line in lines]
