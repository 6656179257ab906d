"""Keeps children alive: starts them in order, restarts those that die, stops them in reverse.

One loop in one thread. It must be the main thread of the process: a child is tied to the thread
that forked it (process.py). What the children are is data; nothing in here knows PostgreSQL or
Django.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from auditvault.cli.up.events import Events
from auditvault.cli.up.files import StorageError, last_lines
from auditvault.cli.up.follow import LogFollower
from auditvault.cli.up.policy import (
    FULL_DISK_RETRY_SECONDS,
    QUICK_SECONDS,
    Death,
    is_disk_full,
    judge,
)
from auditvault.cli.up.process import Child, ChildSpec, SpawnError, describe_exit
from auditvault.cli.up.signals import SignalPipe
from auditvault.core.errors import AuditvaultError

_TICK_SECONDS = 0.2
_READINESS_SECONDS = 0.05
_SLOW_SECONDS = 10.0
_TELL_AGAIN_SECONDS = 2.0
_DISK_SECONDS = 1.0
_MEGABYTE = 1_000_000


class ChildFailedError(AuditvaultError):
    """A child does not start, or keeps dying."""

    code: ClassVar[str] = "child_failed"


class StopRequestedError(AuditvaultError):
    """A signal asked for the end; raised from whatever the supervisor was waiting for."""

    code: ClassVar[str] = "stop_requested"


@dataclass(slots=True)
class _Slot:
    """One child's place: the spec stays, the process changes."""

    spec: ChildSpec
    child: Child | None = None
    ready: bool = False
    pid: int = 0
    died_at: float = 0.0
    restart_at: float = 0.0
    quick_deaths: int = 0
    restarts: int = 0
    established: bool = False  # it has worked once: from now on its death is followed by a restart
    quiet: bool = False  # a full disk's fault: its coming and going is not told until there is room


class Supervisor:
    """Use inside a `with SignalPipe()` block; call `stop` at the end, whatever happened."""

    def __init__(
        self,
        *,
        events: Events,
        signals: SignalPipe,
        on_pids: Callable[[Mapping[str, int]], None] = lambda _pids: None,
        follower: LogFollower | None = None,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        """`on_pids` gets all pids whenever one changes, again later where it raises StorageError."""
        self._events = events
        self._signals = signals
        self._on_pids = on_pids
        self._follower = follower or LogFollower(events)
        self._slots: dict[str, _Slot] = {}
        self._tell_again_at: float | None = None
        self._free_bytes = free_bytes
        self._full: set[Path] = set()  # one directory for each full disk
        self._full_at = -math.inf  # when a disk was last seen full
        self._measure_at = -math.inf

    @property
    def pids(self) -> dict[str, int]:
        """Each child's current process; between death and restart, the last one."""
        return {name: slot.pid for name, slot in self._slots.items()}

    def start(self, spec: ChildSpec, *, timeout: float) -> None:
        """Start a child and wait until it is ready.

        Raises ChildFailedError with the log's end where it dies before that, or takes longer than
        `timeout` seconds; StopRequestedError on a signal.
        """
        slot = self._slots[spec.name] = _Slot(spec=spec)
        began = time.monotonic()
        self._spawn(slot)
        slot.established = slot.ready
        self._wait_first_ready(slot, timeout)
        slot.established = True
        if spec.ready is not None:
            seconds = time.monotonic() - began
            self._events.say(spec.name, f"ready in {seconds:.1f} s (process {slot.pid})")
        else:
            self._events.say(spec.name, f"started (process {slot.pid})")

    def run_once(self, spec: ChildSpec, *, timeout: float, relay: bool = False) -> None:
        """Run a child to its end; `relay` shows its output as it comes.

        Raises ChildFailedError where it fails, or takes longer than `timeout` seconds.
        """
        if relay:
            self._follower.follow(spec.name, spec.log)
        child = Child(spec)
        try:
            deadline = time.monotonic() + timeout
            while (code := child.poll()) is None:
                if time.monotonic() > deadline:
                    raise ChildFailedError(_failure(spec, f"not finished after {timeout:.0f} s"))
                self.tick()
        finally:
            if child.poll() is None:
                child.stop()
            self._follower.pump()
            if relay:
                self._follower.forget(spec.name)
        if code != 0:
            raise ChildFailedError(_failure(spec, describe_exit(code)))

    def run(self) -> None:
        """Look after the children for ever; ends by ChildFailedError or StopRequestedError."""
        while True:
            self.tick()

    def tick(self) -> None:
        """One turn: wait a moment, reap, judge, restart, look at readiness, relay logs."""
        now = time.monotonic()
        due = [slot.restart_at - now for slot in self._slots.values() if slot.child is None]
        starting = any(slot.child and not slot.ready for slot in self._slots.values())
        self._signals.wait(min([_READINESS_SECONDS if starting else _TICK_SECONDS, *due]))
        if self._signals.stop_requests:
            raise StopRequestedError("stopping")
        self._follower.pump()
        if self._tell_again_at is not None and time.monotonic() >= self._tell_again_at:
            self._tell()
        if time.monotonic() >= self._measure_at:
            self._measure_disks()
        for slot in self._slots.values():
            self._reap(slot)
        for slot in self._slots.values():
            self._look(slot)

    def stop(self) -> None:
        """Stop all children, the last started first; a second signal makes it impatient.

        Those that nobody needs end side by side; what others need ends alone, after them.
        """
        together: list[_Slot] = []
        needed = {name for slot in self._slots.values() for name in slot.spec.needs}
        for slot in reversed(self._slots.values()):
            if slot.spec.name in needed:
                self._stop_all(together)
                self._stop_all([slot])
                together = []
            else:
                together.append(slot)
        self._stop_all(together)
        self._slots.clear()
        self._follower.pump()

    def _stop_all(self, slots: Sequence[_Slot]) -> None:
        running = [(slot, slot.child) for slot in slots if slot.child and slot.child.poll() is None]
        for slot, child in running:
            child.send(slot.spec.stop_steps[0][0])
        for slot, child in running:
            self._await_end(slot, child)

    def _await_end(self, slot: _Slot, child: Child) -> None:
        """The first step's signal has been sent; go on to the next where it is not enough."""
        before = self._signals.stop_requests
        for index, (number, seconds) in enumerate(slot.spec.stop_steps):
            if index:
                child.send(number)
            deadline = time.monotonic() + seconds
            while child.poll() is None and time.monotonic() < deadline:
                self._signals.wait(_READINESS_SECONDS)
                if self._signals.stop_requests > before:
                    before = self._signals.stop_requests
                    self._events.say(slot.spec.name, "not waiting any longer")
                    break
            if (code := child.poll()) is not None:
                self._events.say(slot.spec.name, f"stopped ({describe_exit(code)})")
                return

    def _spawn(self, slot: _Slot) -> None:
        slot.child = Child(slot.spec)
        slot.pid = slot.child.pid
        slot.ready = slot.spec.ready is None
        self._tell()

    def _tell(self) -> None:
        """A full disk must not end the service: the file that describes it is written later."""
        first_time, self._tell_again_at = self._tell_again_at is None, None
        try:
            self._on_pids(self.pids)
        except StorageError as error:
            self._tell_again_at = time.monotonic() + _TELL_AGAIN_SECONDS
            if first_time:
                self._events.say("supervisor", error.message)

    def _wait_first_ready(self, slot: _Slot, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        next_word = time.monotonic() + _SLOW_SECONDS
        while not slot.ready:
            self.tick()
            if time.monotonic() > deadline:
                raise ChildFailedError(_failure(slot.spec, f"not ready after {timeout:.0f} s"))
            if time.monotonic() > next_word:
                next_word += _SLOW_SECONDS
                self._events.say(slot.spec.name, "not ready yet")

    def _reap(self, slot: _Slot) -> None:
        if slot.child is None or (code := slot.child.poll()) is None:
            return
        if not slot.established:
            raise ChildFailedError(_failure(slot.spec, f"it did not start ({describe_exit(code)})"))
        self._measure_disks()
        death = Death(
            code=code,
            lived_seconds=slot.child.lived_seconds,
            need_failed=self._need_failed(slot, slot.child.started_at),
            disk_full=self._full_at >= max(slot.child.started_at, time.monotonic() - QUICK_SECONDS),
        )
        verdict = judge(death, slot.quick_deaths)
        slot.child, slot.ready = None, False
        slot.died_at = time.monotonic()
        slot.quick_deaths = verdict.quick_deaths
        slot.restart_at = slot.died_at + verdict.delay_seconds
        if verdict.give_up:
            reason = (
                f"died {slot.quick_deaths} times in a row, the last time by {describe_exit(code)}"
            )
            raise ChildFailedError(_failure(slot.spec, reason))
        self._say_dead(slot, describe_exit(code), verdict.delay_seconds)

    def _say_dead(self, slot: _Slot, how: str, delay_seconds: float) -> None:
        """Once for all the tries while a disk is full; otherwise each time."""
        if slot.quiet:
            return
        slot.quiet = bool(self._full)
        when = (
            f"every {delay_seconds:.0f} s until the disk has room"
            if slot.quiet
            else f"in {delay_seconds:.1f} s"
        )
        self._events.say(slot.spec.name, f"died ({how}); restarting {when}, see {slot.spec.log}")

    def _look(self, slot: _Slot) -> None:
        """Restart what is due and notice what became ready."""
        if slot.child is None:
            needs_ready = all(self._slots[name].ready for name in self._needs(slot))
            if needs_ready and time.monotonic() >= slot.restart_at:
                slot.restarts += 1
                self._respawn(slot)
        elif not slot.ready and slot.spec.ready is not None and slot.spec.ready():
            slot.ready = True
            if slot.restarts:
                self._say_back(slot)

    def _respawn(self, slot: _Slot) -> None:
        try:
            self._spawn(slot)
        except SpawnError as error:
            raise ChildFailedError(error.message) from error
        except StorageError:
            # Its log cannot be opened.
            self._measure_disks()
            if not self._full:
                raise
            slot.restart_at = time.monotonic() + FULL_DISK_RETRY_SECONDS
        if slot.ready:
            self._say_back(slot)

    def _say_back(self, slot: _Slot) -> None:
        if not slot.quiet:
            what = "running" if slot.spec.ready is None else "ready"
            self._events.say(slot.spec.name, f"{what} again (process {slot.pid})")

    def _measure_disks(self) -> None:
        """Look at every disk that a child writes to; say once that it is full, once that it is not."""
        self._measure_at = time.monotonic() + _DISK_SECONDS
        full = self._find_full()
        for directory in full.keys() - self._full:
            self._events.say(
                "supervisor",
                f"the disk under {directory} is full: {full[directory] // _MEGABYTE} MB free; "
                "free some space, everything goes on by itself",
            )
        for directory in self._full - full.keys():
            self._events.say("supervisor", f"the disk under {directory} has room again")
        relieved = bool(self._full) and not full
        self._full = set(full)
        if full:
            self._full_at = time.monotonic()
        if relieved:
            self._go_on()

    def _find_full(self) -> dict[Path, int]:
        """The first directory on each full disk, and the bytes that are free there."""
        devices: set[int] = set()
        full = {}
        for directory in [path for slot in self._slots.values() for path in slot.spec.storage]:
            try:
                device, free = directory.stat().st_dev, self._free_bytes(directory)
            except OSError:
                continue  # not there, or not to be looked at: then it excuses nobody
            if device in devices:
                continue
            devices.add(device)
            if is_disk_full(free, was_full=directory in self._full):
                full[directory] = free
        return full

    def _go_on(self) -> None:
        """There is room again: start at once what is down, and tell what came back meanwhile."""
        for slot in self._slots.values():
            if not slot.quiet:
                continue
            slot.quiet = False
            slot.restart_at = 0.0
            if slot.ready:
                self._say_back(slot)

    def _needs(self, slot: _Slot) -> list[str]:
        """Those that this supervisor runs; a server of somebody else's is not waited for."""
        return [name for name in slot.spec.needs if name in self._slots]

    def _need_failed(self, slot: _Slot, since: float) -> bool:
        needs = [self._slots[name] for name in self._needs(slot)]
        return any(not need.ready or need.died_at >= since for need in needs)


def _failure(spec: ChildSpec, reason: str) -> str:
    return f"{spec.name}: {reason}. {spec.log} ends:\n{last_lines(spec.log)}"
