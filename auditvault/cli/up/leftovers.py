"""Processes of a supervisor that was killed: waited for, then ended, before a new one starts.

The kernel has already asked them to stop (process.py). PostgreSQL is looked after in postgres.py,
where patience matters more. Only Linux shows what is needed to recognise them safely.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import ClassVar

from auditvault.cli.up.events import Events
from auditvault.cli.up.process import SUPERVISED
from auditvault.core.errors import AuditvaultError

_PATIENCE_SECONDS = 15.0
_KILL_SECONDS = 5.0
_POLL_SECONDS = 0.05
_SERVERS = {"postgres"}


class LeftoverError(AuditvaultError):
    """A process of an earlier supervisor cannot be ended."""

    code: ClassVar[str] = "leftover_processes"


def clear_leftovers(home: Path, events: Events, *, patience: float = _PATIENCE_SECONDS) -> None:
    """Return once no supervised process of `home` is left; the lock on `home` must be held.

    `patience` in seconds comes before SIGKILL. Raises LeftoverError.
    """
    found = find_leftovers(home)
    if not found:
        return
    events.say("supervisor", f"waiting for {len(found)} processes of a killed supervisor")
    deadline = time.monotonic() + patience
    while found := find_leftovers(home):
        if time.monotonic() > deadline + _KILL_SECONDS:
            raise LeftoverError(f"processes of a killed supervisor do not end: {found}")
        if time.monotonic() > deadline:
            _kill(found)
        time.sleep(_POLL_SECONDS)


def find_leftovers(home: Path) -> list[int]:
    """Pids of processes that a supervisor of this home started, by their environment."""
    wanted = f"AUDITVAULT_HOME={home}".encode()
    return [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if int(entry.name) != os.getpid() and _is_leftover(entry, wanted)
    ]


def _is_leftover(entry: Path, wanted: bytes) -> bool:
    try:
        environment = (entry / "environ").read_bytes().split(b"\0")
        status = (entry / "stat").read_text()
    except OSError:
        return False
    if wanted not in environment or f"{SUPERVISED}=1".encode() not in environment:
        return False
    name, _, rest = status.partition("(")[2].rpartition(")")
    return name not in _SERVERS and rest.split()[0] != "Z"


def _kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            continue  # it ended in the meantime
