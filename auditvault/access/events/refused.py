"""Looks that were refused because the access log could not be written: remembered until that can be recorded.

A refusal for want of the log cannot be in the log. So the process keeps, for each region, from when until when looks
were refused, and how many of which tenant; in its memory, and in a file below AUDITVAULT_HOME that says the same if the
process ends first. Nothing of what was asked for is kept. Recording it is for `auditvault.access.outages`.

The file is written when an outage begins and at most once a second afterwards, in place and under a lock that the
process holds for as long as it lives: a lock that is free marks a file that a process left behind. A crash loses the
count of the last second, and may leave a file that cannot be read, which still says that there was an outage. A disk
that is full leaves the memory alone.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

from django.conf import settings

from auditvault.ledger.durable import sync_directory

log = logging.getLogger("auditvault.access")
FILE_VERSION = "auditvault/outage/1"
_WRITE_EVERY_SECONDS = 1.0
_MOST_READ = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Outage:
    """What is remembered of one outage in one region; aware instants, the first and the last refusal."""

    outage_id: UUID
    region: str
    began_at: datetime
    last_at: datetime
    refused: Counter[UUID] = field(default_factory=Counter)
    """Tenant -> looks."""

    def as_text(self) -> str:
        """For the file."""
        return json.dumps(
            {
                "v": FILE_VERSION,
                "from": self.began_at.isoformat(),
                "until": self.last_at.isoformat(),
                "refused": {str(tenant): count for tenant, count in self.refused.items()},
            }
        )


class RefusedLooks:
    """One process's memory of refused looks."""

    def __init__(
        self, directory: Callable[[], Path], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._directory = directory
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._open: dict[str, Outage] = {}
        self._files: dict[str, tuple[int, float]] = {}
        self._totals: Counter[str] = Counter()

    def note(self, *, region: str, tenant_id: UUID, now: datetime) -> None:
        """Remember one more look that was refused; never raises."""
        with self._lock:
            outage = self._open.get(region)
            if outage is None:
                outage = Outage(outage_id=uuid4(), region=region, began_at=now, last_at=now)
                self._open[region] = outage
                log.critical("looks in %s are refused: the access log cannot be written", region)
            outage.last_at = max(outage.last_at, now)
            outage.refused[tenant_id] += 1
            self._totals[region] += 1
            try:
                self._write(outage)
            except OSError as error:
                log.warning("the outage in %s is in memory only: %s", region, error.strerror)

    def total(self, region: str) -> int:
        """How many looks this process has refused."""
        return self._totals[region]

    def is_pending(self, region: str) -> bool:
        """Whether there is something to record; costs nothing."""
        return region in self._open

    def take(self, region: str) -> Outage | None:
        """The outage that is over, for whoever records it; `put_back` where that fails, else `forget_file`."""
        with self._lock:
            outage = self._open.pop(region, None)
            if outage is not None:
                with suppress(OSError):
                    self._write(outage, at_once=True)
            return outage

    def put_back(self, outage: Outage) -> None:
        """It could not be recorded after all; what was refused meanwhile is added to it."""
        with self._lock:
            since = self._open.get(outage.region)
            if since is not None:
                outage.last_at = max(outage.last_at, since.last_at)
                outage.refused += since.refused
            self._open[outage.region] = outage

    def forget_file(self, region: str) -> None:
        """It is recorded."""
        with self._lock:
            if region in self._open:
                return  # another one began meanwhile, in the same file
            descriptor, _ = self._files.pop(region, (-1, 0.0))
            if descriptor >= 0:
                with suppress(OSError):
                    self._path(region).unlink()
                os.close(descriptor)

    def left_behind(self, region: str) -> list[tuple[Path, int]]:
        """Files of processes that have ended, each with a descriptor that holds its lock; close it afterwards."""
        found = []
        for path in sorted(self._directory().glob(f"{region}.*.json")):
            with suppress(OSError):
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    found.append((path, descriptor))
                except OSError:
                    os.close(descriptor)
        return found

    def _path(self, region: str) -> Path:
        return self._directory() / f"{region}.{os.getpid()}.{id(self):x}.json"

    def _write(self, outage: Outage, *, at_once: bool = False) -> None:
        descriptor, written = self._files.get(outage.region, (-1, 0.0))
        if descriptor < 0:
            directory = self._directory()
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._path(outage.region)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._files[outage.region] = (descriptor, 0.0)
            sync_directory(directory)
            at_once = True
        if at_once or self._monotonic() - written >= _WRITE_EVERY_SECONDS:
            text = outage.as_text().encode()
            os.pwrite(descriptor, text, 0)
            os.ftruncate(descriptor, len(text))
            os.fsync(descriptor)
            self._files[outage.region] = (descriptor, self._monotonic())


def read_outage(region: str, descriptor: int) -> Outage | None:
    """What a file says; None where it is torn."""
    try:
        said = json.loads(os.pread(descriptor, _MOST_READ, 0))
        return Outage(
            outage_id=uuid4(),
            region=region,
            began_at=datetime.fromisoformat(said["from"]),
            last_at=datetime.fromisoformat(said["until"]),
            refused=Counter({UUID(tenant): int(n) for tenant, n in said["refused"].items()}),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


REFUSED = RefusedLooks(lambda: settings.HOME / "outages")
