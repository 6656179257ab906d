"""Processor time of process trees and of the machine, read from /proc (Linux only).

A tree's time is that of the processes alive now and of the ended ones their parents have reaped, so
a PostgreSQL backend or a web worker that ends between two readings is not lost.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# proc(5): fields of /proc/<pid>/stat after the command, which ends with the last parenthesis.
_PARENT, _TIMES = 1, slice(11, 15)


def cpu_seconds(roots: Iterable[int]) -> float:
    """User and system time of these processes and all their descendants so far, in seconds."""
    parents: dict[int, list[int]] = defaultdict(list)
    times: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := _stat(entry)) is not None:
            parents[int(fields[_PARENT])].append(int(entry.name))
            times[int(entry.name)] = sum(map(int, fields[_TIMES])) / _TICKS_PER_SECOND
    total = 0.0
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        total += times.get(pid, 0.0)
        waiting += parents[pid]
    return total


def machine_seconds() -> tuple[float, float]:
    """Time in which some program ran, and all time, of all processors together, since boot."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    times = [int(field) / _TICKS_PER_SECOND for field in fields]
    idle = times[3] + times[4]  # idle, and waiting for input or output
    return sum(times) - idle, sum(times)


def _stat(entry: Path) -> list[str] | None:
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None  # it ended while the list was read
